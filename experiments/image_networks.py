"""Networks for small images, and how they are trained: what ``digits_cnn`` compares.

A setting has the static ``model`` (one program for each) and floats, which share it.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import jaxdl
from experiments import saved
from jaxdl import data, families, layers, losses, models, training
from jaxdl.base import Learner, Model, identity_transform
from jaxdl.checks import one_of
from jaxdl.files import reason
from jaxdl.model_selection.fitted import Fitted
from jaxdl.model_selection.saved import load, read_header, save
from jaxdl.model_selection.study import Recipe
from jaxdl.optim import schedules
from jaxdl.training.batching import Lengths

MODELS = ("mlp", "cnn", "residual")
FLOATS = ("rate", "dropout", "decay", "shift")


class ImageProblem(NamedTuple):
    """What a saved model knows of its images: plain JSON values.

    name: of the data. shape: (H, W, D). greatest: the pixel value that becomes 1.
    classes: names of the K classes. sizes: of the networks, see ``network``.
    """

    name: str
    shape: tuple[int, int, int]
    greatest: float
    classes: tuple[str, ...]
    sizes: dict[str, Any]


def network(problem: ImageProblem, h: Mapping[str, Any]) -> Model:
    """Images [B, H, W, D] to logits [B, K] by the network that ``h["model"]`` names.

    ``problem.sizes`` has ``hidden``, widths of the MLP, and ``filters`` and ``dense`` of the
    convolutional networks; all have batch normalisation and dropout before their last layers.
    """
    outputs, sizes = len(problem.classes), problem.sizes
    if h["model"] == "cnn":
        return models.cnn(
            problem.shape,
            outputs,
            filters=sizes["filters"],
            hidden=(sizes["dense"],),
            dropout=h["dropout"],
            norm="batch",
        )
    if h["model"] == "residual":
        return models.residual_cnn(
            problem.shape, outputs, filters=sizes["filters"], dropout=h["dropout"]
        )
    flat = int(np.prod(problem.shape))
    plain = models.mlp((flat, *sizes["hidden"], outputs), norm="batch", dropout=h["dropout"])

    def apply(params, state, x, *, key=None, train=False, mask=None, observe=False):
        x = x.reshape(*x.shape[:-3], flat)
        return plain.apply(params, state, x, key=key, train=train, mask=mask, observe=observe)

    return Model(plain.init, apply, sees_mask=True)


def make_learner(problem: ImageProblem, steps: int) -> Callable[[Mapping[str, Any]], Learner]:
    """A function of a setting that builds a Learner; the rate falls over ``steps`` as a cosine.

    ``shift`` is the share of the images that are moved by up to a pixel each way in a step.
    """

    def make(h):
        model = network(problem, h)
        plain = training.negative_log_likelihood(model, families.categorical(len(problem.classes)))

        def loss(params, state, batch, *, key=None, train=False, mask=None):
            x, y = batch
            if train:
                shift_key, key = jax.random.split(key)
                x = data.augmentation.random_shift(shift_key, x, 1, rate=h["shift"])
            return plain.loss(params, state, (x, y), key=key, train=train, mask=mask)

        optimizer = optax.adamw(
            schedules.cosine(h["rate"], steps), weight_decay=h["decay"], mask=losses.decay_mask
        )
        return training.gradient_learner(model, plain._replace(loss=loss), optimizer)

    return make


def first_layer(problem: ImageProblem, setting: Mapping[str, Any], state: Any, x: Any):
    """The kernel [F, F, D, K] that a network meets images with, and its maps of x [N, H, W, D].

    Maps are [N, H, W, K], normalised and rectified; of an MLP the units' kernels are as large as
    the images, and there are no maps, None.
    """
    params, statistics = state.params, state.state
    if setting["model"] == "mlp":
        return params["dense_0"]["kernel"].reshape(*problem.shape, -1), None
    if setting["model"] == "cnn":
        layer, scale, seen = params["conv_0"], params["norm_0"], statistics["norm_0"]
    else:
        layer, scale = params["stem"]["conv"], params["stem"]["norm"]
        seen = statistics["stem"]["norm"]
    maps, _ = layers.batch_norm(scale, seen, layers.conv(layer, x, padding="same"))
    return layer["kernel"], layers.relu(maps)


def save_model(path: str | os.PathLike, fitted: Fitted, problem: ImageProblem) -> None:
    """Write trained networks with their ImageProblem, for ``load_model``."""
    save(path, fitted, {"format": 1, "jaxdl": jaxdl.__version__, "images": problem._asdict()})


def load_model(path: str | os.PathLike) -> tuple[Fitted, ImageProblem]:
    """What ``save_model`` wrote. Raises a ValueError for a file that is damaged or something else."""
    header = read_header(Path(path))
    try:
        values = header["about"]["images"]
        problem = ImageProblem(
            name=str(values["name"]),
            shape=saved.sizes(values["shape"], "shape", 1024),
            greatest=saved.number(values["greatest"], "greatest", 1e-6),
            classes=saved.texts(values["classes"], "classes"),
            sizes={
                "hidden": saved.sizes(values["sizes"]["hidden"], "hidden"),
                "filters": saved.sizes(values["sizes"]["filters"], "filters"),
                "dense": saved.size(values["sizes"]["dense"], "dense"),
            },
        )
        hparams = [
            {
                "model": one_of("model", h["model"], MODELS),
                **{name: saved.number(h[name], name) for name in FLOATS},
            }
            for h in header["hparams"]
        ]
        if not hparams or len(problem.shape) != 3:
            raise ValueError("its settings make no sense")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a model of experiments.digits_cnn ({reason(error)})"
        ) from None
    recipe = Recipe(
        make_learner(problem, 1),
        identity_transform(),
        Lengths(1, 1, 1, "keep"),
        None,
        jax.random.key(0),
    )
    rows = np.zeros((2, *problem.shape), np.float32)
    return load(path, recipe, hparams, (rows, np.zeros(2, np.int32))), problem


def as_images(values: Any, problem: ImageProblem, name: str) -> np.ndarray:
    """Pixels [N, H, W] or [N, H, W, D] as the network's x, 1 for the greatest. Raises ValueError."""
    x = np.asarray(values, np.float32)
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[1:] != problem.shape:
        raise ValueError(f"{name}: images of {list(problem.shape)} are expected, not {x.shape[1:]}")
    return x / np.float32(problem.greatest)
