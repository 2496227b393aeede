"""What a generative model is built from; plain values, saved beside its parameters."""

from typing import NamedTuple

FLOWS = ("flow", "realnvp", "maf", "naf", "glow")  # flow is of couplings by splines
CONDITIONAL = ("vae", "diffusion", "gan")
MODELS = (*FLOWS, "vae", "diffusion", "flow_matching", "gan")


class Settings(NamedTuple):
    """Of one model and its training.

    model: a name in ``MODELS``.
    dim: D of x [N, D].
    shape: (H, W, C) of images, else None.
    num_classes: that the model is told of each x; 0 for none.
    width: of the networks' layers.
    depth: layers of a flow; 0 for what suits the data.
    latent: K of the VAE and the GAN; 0 for what suits the data.
    diffusion_steps: T.
    guidance: w of samples for a class.
    convolutional: whether networks of images are convolutional.
    penalty: lambda of the GAN's gradient penalty.
    rate: the largest step of the optimizer. steps: of training. decay: of the weights.
    """

    model: str
    dim: int
    shape: tuple[int, int, int] | None = None
    num_classes: int = 0
    width: int = 64
    depth: int = 0
    latent: int = 0
    diffusion_steps: int = 100
    guidance: float = 0.5
    convolutional: bool = False
    penalty: float = 0.1
    rate: float = 0.003
    steps: int = 3000
    decay: float = 0.0


def check(settings: Settings) -> None:
    """Raise a ValueError for a model that cannot be told what it is to be told."""
    name = settings.model
    if settings.num_classes and name not in CONDITIONAL:
        raise ValueError(f"{name} cannot be told classes; {', '.join(CONDITIONAL)} can")
    if name == "glow" and settings.shape is None:
        raise ValueError("glow is a model of images; of points, take realnvp")
    if name == "glow" and (settings.shape[0] % 2 or settings.shape[1] % 2):
        raise ValueError(f"glow needs images of even sides, not {list(settings.shape)}")
    if settings.convolutional and settings.shape is None:
        raise ValueError("convolutional networks are for images, not for points")
    if settings.convolutional and (settings.shape[0] % 4 or settings.shape[1] % 4):
        raise ValueError(f"convolutional networks need sides that 4 divides, not {settings.shape}")
