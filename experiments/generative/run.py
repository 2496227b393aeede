"""One generative model from its options to its figures: trained, saved, loaded, judged."""

import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import saved
from experiments.generative import evaluation
from experiments.generative.base import Generator
from experiments.generative.data import Data, Units, in_units, units
from experiments.generative.data import load as load_data
from experiments.generative.models import make
from experiments.generative.pictures import pictures
from experiments.generative.settings import MODELS, Settings
from jaxdl import plotting, programs, training
from jaxdl.base import Array, TrainState
from jaxdl.checks import one_of
from jaxdl.files import reason
from jaxdl.model_selection.words import plain
from jaxdl.training import divergence


class Trained(NamedTuple):
    """A model that has learnt, and what it was made of; ``data`` and ``history`` if it was just now."""

    settings: Settings
    units: Units
    generator: Generator
    state: TrainState
    data: Data | None = None
    history: Any = None
    seconds: float = 0.0


def settings_of(config: Any, data: Data) -> Settings:
    """The settings that the options of ``generate`` and the data mean.

    Raises ValueError where classes are asked for and there are none.
    """
    if config.conditional and data.train_labels is None:
        raise ValueError(f"conditional: the examples of {config.data} have no classes")
    return Settings(
        config.model,
        data.train.shape[1],
        data.shape,
        int(data.train_labels.max()) + 1 if config.conditional else 0,
        config.width,
        config.depth,
        config.latent,
        config.diffusion_steps,
        config.guidance,
        config.convolutional,
        rate=config.learning_rate,
        steps=config.steps,
        decay=config.weight_decay,
    )


def train(
    config: Any,
    checkpoints: Path | None = None,
    *,
    data: Data | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> Trained:
    """Train the model that the options describe; raises ValueError where training diverges.

    ``data`` are those of the options where they are loaded already; ``chosen`` are settings that
    replace those of the options.
    """
    data = load_data(config.data, config.seed, config.examples) if data is None else data
    own, settings = units(data), settings_of(config, data)._replace(**(chosen or {}))
    few = data.train[:1024]
    start = own.inside(own.noisy(jax.random.key(config.seed), few))
    generator = make(settings, start)
    told = settings.num_classes > 0
    began = time.perf_counter()
    result = training.fit(
        in_units(generator.learner, own, generator.batch),
        (data.train, data.train_labels) if told else data.train,
        key=jax.random.key(config.seed),
        steps=config.steps,
        batch_size=min(config.batch_size, len(data.train)),
        progress=config.progress,
        checkpoint=checkpoints,
    )
    state = jax.block_until_ready(result.state)
    seconds = time.perf_counter() - began
    if int(result.history.diverged) >= 0:
        raise ValueError(f"training {divergence.of_history(result.history)}")
    return Trained(settings, own, generator, state, data, result.history, seconds)


def measure(config: Any, trained: Trained) -> tuple[dict[str, Any], Array, Array | None]:
    """The figures of a trained model, and the samples that they are of, with their classes."""
    settings, own, generator, state, data = trained[:5]
    told = settings.num_classes > 0
    keys = jax.random.split(jax.random.key(config.seed + 1), 6)
    n = evaluation.JUDGED
    label = jnp.arange(n, dtype=jnp.int32) % settings.num_classes if told else None
    sample = jax.jit(
        lambda key: own.outside(generator.sample(state, key, n, label)),
        compiler_options=programs.compiler_options(),
    )
    drawn = jax.block_until_ready(sample(keys[0]))
    began = time.perf_counter()
    jax.block_until_ready(sample(keys[1]))
    figures = {
        "model": config.model,
        "data": config.data,
        "steps": config.steps,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "seconds_to_train": trained.seconds,
        "seconds_per_1000_samples": (time.perf_counter() - began) * 1000 / n,
        **evaluation.likelihoods(generator, state, keys[2], data, own, told),
        **evaluation.distances(keys[3], data, own, drawn),
    }
    if data.train_labels is not None:
        real = evaluation.classifier(keys[4], data, own)
        figures |= evaluation.classified(real, keys[5], data, own, drawn, label)
    return figures, drawn, label


def judge(config: Any, trained: Trained, folder: Path) -> dict[str, Any]:
    """Write the model and its pictures into ``folder``; returns its figures."""
    figures, drawn, label = measure(config, trained)
    save(folder / "model.npz", trained)
    key = jax.random.key(config.seed + 2)
    of = trained.generator, trained.state, key, trained.data, trained.units
    shown = pictures(*of, drawn, label)
    shown["training"] = plotting.training_curves(trained.history)
    for name, figure in shown.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
    return figures


def samples(trained: Trained, seed: int, n: int) -> tuple[Array, Array | None]:
    """n draws [n, D] in the data's own units, and their classes, one after the other."""
    classes = trained.settings.num_classes
    label = jnp.arange(n, dtype=jnp.int32) % classes if classes else None
    x = trained.generator.sample(trained.state, jax.random.key(seed), n, label)
    return trained.units.outside(x), label


def save(path: Path, trained: Trained) -> None:
    """The parameters and what they belong to, in one NPZ file."""
    own, state = trained.units, trained.state
    settings = {k: plain(v) for k, v in trained.settings._asdict().items()}
    about = {
        "experiment": "generate",
        "settings": settings,
        "levels": own.levels,
        "center": np.asarray(own.center).tolist(),
        "scale": np.asarray(own.scale).tolist(),
    }
    saved.save(path, {"params": state.params, "state": state.state}, about)


def load(path: Path) -> Trained:
    """What ``save`` wrote. Raises OSError where there is no file, ValueError for another one."""
    about, arrays = saved.read(path)
    try:
        if about["experiment"] != "generate":
            raise ValueError("it is of another experiment")
        settings = _checked(Settings(**about["settings"]))
        center, scale = (
            [saved.number(v, name, least) for v in about[name]]
            for name, least in (("center", -1e30), ("scale", 1e-6))
        )
        if len(center) != settings.dim or len(scale) != settings.dim:
            raise ValueError("its units are of other data")
        levels = about["levels"]
        levels = levels if levels is None else saved.size(levels, "levels", 2**16)
        own = Units(jnp.array(center), jnp.array(scale), levels)
        generator = make(settings)
        like = jax.eval_shape(generator.learner.init, jax.random.key(0))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: not a model of generate ({reason(error)})") from None
    tree = saved.restored(arrays, {"params": like.params, "state": like.state}, path)
    state = like._replace(params=tree["params"], state=tree["state"])
    return Trained(settings, own, generator, state)


def _checked(settings: Settings) -> Settings:
    """The settings of a file, whose numbers must be ones that a network is soon built of."""
    one_of("model", settings.model, MODELS)
    limits = {
        "dim": (1, 2**12),
        "num_classes": (0, 1000),
        "width": (1, 2**12),
        "depth": (0, saved.MAX_LAYERS),
        "latent": (0, 2**12),
        "diffusion_steps": (1, 10**4),
        "steps": (1, 2**31 - 1),
    }
    for name, (least, most) in limits.items():
        saved.size(getattr(settings, name), name, most, least)
    for name in ("guidance", "penalty", "rate", "decay"):
        saved.number(getattr(settings, name), name)
    if not isinstance(settings.convolutional, bool):
        raise ValueError("convolutional is yes or no")
    if settings.shape is None:
        return settings
    shape = saved.sizes(settings.shape, "shape", longest=3)
    if len(shape) != 3 or math.prod(shape) != settings.dim:
        raise ValueError("its shape is not that of its examples")
    return settings._replace(shape=shape)


def forget(checkpoints: Path) -> bool:
    """Remove the checkpoints of a run that is over, or that is begun anew; whether there were any."""
    there = checkpoints.is_dir()
    shutil.rmtree(checkpoints, ignore_errors=True)
    return there
