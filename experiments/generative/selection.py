"""A generative model is chosen as a classifier is: by cross-validation, in one program a signature."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from experiments.generative.base import Generator
from experiments.generative.data import Data, Units, in_units, units
from experiments.generative.models import make
from experiments.generative.settings import Settings
from jaxdl.model_selection import Folds, Study, cross_validate

# What there is to choose of a model of points, and of images; numbers with a point are traced.
GRIDS: dict[str, tuple[dict[str, Sequence], dict[str, Sequence]]] = {
    "vae": ({"latent": [1, 2]}, {"latent": [4, 8, 16]}),
    "flow": ({"depth": [2, 4]}, {"depth": [2, 4]}),
    "diffusion": ({"diffusion_steps": [25, 100]}, {"diffusion_steps": [25, 100]}),
    "gan": ({"penalty": [0.01, 0.1, 1.0]}, {"penalty": [0.01, 0.1, 1.0]}),
}


def score(name: str) -> str:
    """What a model's settings are compared by: held-out bits a dimension, or the samples of a GAN."""
    return {"gan": "energy_score", "diffusion": "bound_bits_per_dim"}.get(name, "bits_per_dim")


def learner(settings: Settings, own: Units):
    """The learner of ``settings``, of data as they were loaded."""
    generator: Generator = make(settings)
    return in_units(generator.learner, own, generator.batch)


def study(
    data: Data,
    settings: Settings,
    grid: Mapping[str, Sequence],
    *,
    key: jax.Array,
    folds: int = 3,
    epochs: int = 20,
    batch_size: int = 256,
    **shown: Any,
) -> Study:
    """Every setting of ``grid`` on every fold of the training part; names are fields of Settings.

    The units are those of the whole training part: they have no part in the choice.
    """
    own = units(data)
    rows = (data.train, data.train_labels) if settings.num_classes else data.train
    return cross_validate(
        lambda h: learner(settings._replace(**h), own),
        grid,
        rows,
        key=key,
        folds=Folds(folds, stratify=settings.num_classes > 0),
        epochs=epochs,
        batch_size=batch_size,
        metric=score(settings.model),
        **shown,
    )
