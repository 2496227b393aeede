"""Data for generative models: points of the plane with known densities, and small images."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

from jaxdl import data
from jaxdl.base import Array, Learner, evaluation_key
from jaxdl.data import synthetic
from jaxdl.flows import dequantise

PLANE: dict[str, tuple[Callable, Callable]] = {
    "moons": (synthetic.two_moons, synthetic.two_moons_log_density),
    "rings": (synthetic.rings, synthetic.rings_log_density),
    "eight_gaussians": (synthetic.eight_gaussians, synthetic.eight_gaussians_log_density),
}
NAMES = (*PLANE, "digits")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


class Data(NamedTuple):
    """Examples to learn from, and others to judge by.

    train, test: [N, D]; points of the plane, or the whole numbers of images' pixels.
    train_labels, test_labels: [N] int32, or None.
    shape: (H, W, C) of images, else None.
    levels: how many values a pixel has, else None.
    log_density: the true log p(x) [N] of x [N, D], where it is known.
    """

    train: Array
    test: Array
    train_labels: Array | None = None
    test_labels: Array | None = None
    shape: tuple[int, int, int] | None = None
    levels: int | None = None
    log_density: Callable | None = None


class Units(NamedTuple):
    """How x is told to a network: ``(x / levels - center) / scale``, of mean 0 and deviation 1."""

    center: Array
    scale: Array
    levels: int | None

    def inside(self, x: Array) -> Array:
        """Of points, or of pixels in [0, 1]."""
        return (x - self.center) / self.scale

    def outside(self, z: Array) -> Array:
        """Points, or pixels in [0, 1], of what a network says."""
        return z * self.scale + self.center

    def volume(self) -> Array:
        """What ``-log p`` of x is above that of ``inside(x)``, in nats: the logarithm of its cell."""
        cells = 0.0 if self.levels is None else len(self.scale) * np.log(self.levels)
        return jnp.sum(jnp.log(self.scale)) + cells

    def noisy(self, key: jax.Array, x: Array) -> Array:
        """Points as they are; of whole numbers, uniform noise makes numbers in [0, 1)."""
        return x if self.levels is None else dequantise(key, x, self.levels)


def load(name: str, seed: int, n: int) -> Data:
    """The data of a name in ``NAMES``, or of a folder.

    Of points there are n for training and a fourth of that for the test; of the digits three
    quarters and one. A folder has MNIST's four IDX files, or pictures of one size (a quarter of
    them are the test's; as many as n are learnt from). Raises ValueError for another name, and for
    pictures that differ in size; OSError for files that cannot be read.
    """
    if name in PLANE:
        draw, log_density = PLANE[name]
        x = draw(jax.random.key(seed), n=n + n // 4).x
        return Data(x[:n], x[n:], log_density=log_density)
    if name == "digits":
        digits = load_digits()
        order = np.random.default_rng(seed).permutation(len(digits.data))
        return _images(digits.data[order].reshape(-1, 8, 8), digits.target[order], 17, 1347)
    if not Path(name).is_dir():
        raise ValueError(f"data are one of {', '.join(NAMES)}, or a folder of images, not {name!r}")
    pictures = sorted(p for p in Path(name).iterdir() if p.suffix.lower() in SUFFIXES)
    if pictures:
        x = np.random.default_rng(seed).permutation(_pictures(pictures))
        if len(x) < 8:
            raise ValueError(f"{name}: {len(x)} pictures are too few to learn from")
        count = min(n, len(x) - max(len(x) // 4, 2))
        return _images(x[: count + max(len(x) // 4, 2)], None, 256, count)
    if not any("idx3" in p.name for p in Path(name).iterdir()):
        raise ValueError(
            f"{name}: there are neither MNIST's four IDX files nor pictures ({', '.join(SUFFIXES)})"
        )
    (x, y), (x_test, y_test) = (data.load_idx_images(name, part) for part in ("train", "test"))
    kept = np.random.default_rng(seed).permutation(len(x))[:n]
    x, y = np.concatenate([x[kept], x_test]), np.concatenate([y[kept], y_test])
    return _images(x, y, 256, len(kept))


def units(data: Data) -> Units:
    """Means and standard deviations of the training part; a deviation counts as 0.05 at least."""
    x = data.train if data.levels is None else (data.train + 0.5) / data.levels
    return Units(jnp.mean(x, 0), jnp.maximum(jnp.std(x, 0), 0.05), data.levels)


def in_units(learner: Learner, units: Units, batch: Callable = lambda x, label: x) -> Learner:
    """The learner, of data as ``load`` gives them: whole numbers get new noise in every step.

    Noise that is drawn once would be learnt by heart. ``batch`` makes what the learner is given of
    x in its units and the labels (None for none). Scores in nats and bits are of x as it is: of
    points in their own units, of whole numbers by themselves.
    """

    def told(data, key):
        x, label = data if isinstance(data, tuple) else (data, None)
        return batch(units.inside(units.noisy(key, x)), label)

    def step(ts, data, *, mask=None):
        # A key below that of the step, for the learner itself draws from fold_in(key, step).
        key = jax.random.fold_in(jax.random.fold_in(ts.key, ts.step), 1)
        return learner.step(ts, told(data, key), mask=mask)

    def evaluate(ts, data):
        key = jax.random.fold_in(evaluation_key(ts.key), 1)
        scores = learner.evaluate(ts, told(data, key))
        nats, bits = units.volume(), units.volume() / (len(units.scale) * np.log(2))
        shift = {
            "nll": nats,
            "negative_elbo": nats,
            "bits_per_dim": bits,
            "bound_bits_per_dim": bits,
        }
        return {name: value + shift.get(name, 0.0) for name, value in scores.items()}

    return learner._replace(step=step, evaluate=evaluate)


def _images(images, labels, levels, count) -> Data:
    images = images if images.ndim == 4 else images[..., None]
    x = jnp.asarray(images.reshape(len(images), -1), jnp.result_type(float))
    y = None if labels is None else jnp.asarray(labels, jnp.int32)
    part = lambda a, rows: None if a is None else a[rows]
    train, test = slice(count), slice(count, None)
    return Data(x[train], x[test], part(y, train), part(y, test), tuple(images.shape[1:]), levels)


def _pictures(paths) -> np.ndarray:
    """[N, H, W] of grey or [N, H, W, 3] of coloured pictures, bytes."""
    from PIL import Image

    images = []
    for path in paths:
        with Image.open(path) as image:
            grey = image.mode in ("1", "L", "LA", "I", "I;16", "F")
            images.append(np.asarray(image.convert("L" if grey else "RGB")))
        if images[-1].shape != images[0].shape:
            raise ValueError(
                f"{path}: {list(images[-1].shape)} where {paths[0].name} is "
                f"{list(images[0].shape)}; pictures must have one size and one kind of colour"
            )
    return np.stack(images)
