"""All generative models by their names."""

from experiments.generative import denoising_models, flow_models, latent_models
from experiments.generative.base import Generator
from experiments.generative.settings import FLOWS, Settings, check
from jaxdl.base import Array


def make(settings: Settings, data: Array | None = None) -> Generator:
    """The generator that ``settings`` describe; ``data`` [N, D], in its units, to start from.

    Raises ValueError for settings that do not go together.
    """
    check(settings)
    if settings.model in FLOWS:
        return flow_models.flow(settings, data)
    return {
        "vae": latent_models.autoencoder,
        "gan": latent_models.adversarial,
        "diffusion": denoising_models.diffusion,
        "flow_matching": denoising_models.flow_matching,
    }[settings.model](settings)
