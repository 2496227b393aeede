"""Pictures of generative models: samples, densities, and what their latent points mean."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.generative.base import Generator
from experiments.generative.data import Data, Units
from jaxdl import plotting
from jaxdl.base import Array

WIDTH = 9  # images in a row of a traversal or an interpolation


def pictures(
    generator: Generator,
    state: Any,
    key: Array,
    data: Data,
    units: Units,
    samples: Array,
    labels: Array | None,
) -> dict[str, Figure]:
    """All figures that the model and the data allow, by name."""
    keys = jax.random.split(key, 4)
    test = units.noisy(keys[0], data.test)
    told = labels is not None
    decode = lambda z, label: units.outside(generator.decode(state, z, label))
    if data.shape is None:
        density = None
        if generator.exact and data.train.shape[1] == 2:
            volume = jnp.log(units.scale).sum()
            density = lambda x: generator.log_prob(state, keys[1], units.inside(x), None) - volume
        drawn = {"samples": plane(test, samples, density)}
    else:
        drawn = {"samples": images(test, samples, data.shape, labels)}
        ends = test[: 2 * 6] if generator.encode is not None else None
        own = data.test_labels[:12] if told else None
        drawn["interpolation"] = interpolation(
            generator, state, keys[2], units, decode, ends, own, data.shape
        )
        if generator.latent < data.train.shape[1]:
            drawn["traversal"] = traversal(decode, generator.latent, told, data.shape)
            if generator.encode is not None:
                label = data.test_labels[:16] if told else None
                again = decode(generator.encode(state, units.inside(test[:16]), label), label)
                drawn["reconstructions"] = pairs(test[:16], again, data.shape)
    if generator.film is not None:
        n = 8 if data.shape is not None else 1000
        label = jnp.arange(n) % (int(data.train_labels.max()) + 1) if told else None
        frames = units.outside(generator.film(state, keys[3], n, label))
        drawn["film"] = film(frames, data.shape)
    return drawn


def plane(test, samples, density: Callable | None = None) -> Figure:
    """Data and samples [N, 2] side by side, and the density of the model where it has one."""
    test, samples = np.asarray(test), np.asarray(samples)
    panels = 3 if density is not None else 2
    figure = Figure(figsize=(3.4 * panels, 3.5), layout="constrained")
    axes = figure.subplots(1, panels)
    low, high = test.min(0) - 0.3, test.max(0) + 0.3
    for ax, points, title in zip(axes, (test, samples), ("data", "samples"), strict=False):
        ax.plot(points[:1000, 0], points[:1000, 1], ".", ms=2, alpha=0.6)
        ax.set_title(title)
    if density is not None:
        grid = [np.linspace(a, b, 120) for a, b in zip(low, high, strict=True)]
        places = np.stack(np.meshgrid(*grid), -1).reshape(-1, 2)
        values = np.exp(np.asarray(density(jnp.asarray(places, jnp.float32)))).reshape(120, 120)
        axes[2].pcolormesh(*grid, values, cmap="Blues", shading="gouraud")
        axes[2].set_title("density of the model")
    for ax in axes:
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return figure


def images(test, samples, shape, labels=None) -> Figure:
    """A row of data and three of samples; or a column of samples for each class."""
    if labels is None:
        shown = np.concatenate([test[:16], samples[:48]])
        return _grid(shown, shape, 16, {0: "data", 16: "samples"})
    labels = np.asarray(labels)
    classes = range(int(labels.max()) + 1)
    places = [np.flatnonzero(labels == k)[:5] for k in classes]
    rows = min(len(p) for p in places)
    order = [p[row] for row in range(rows) for p in places]
    titles = {k: str(k) for k in classes}
    return _grid(np.asarray(samples)[np.array(order)], shape, len(places), titles)


def pairs(x, again, shape) -> Figure:
    """Images above what the model makes of their latent points."""
    return _grid(np.concatenate([x, again]), shape, len(x), {0: "x", len(x): "decoded"})


def traversal(decode: Callable, latent: int, told: bool, shape) -> Figure:
    """Rows of latent variables, each from -2 to 2 while the others are 0."""
    rows = min(latent, 8)
    along = jnp.linspace(-2, 2, WIDTH)
    z = (jnp.eye(latent)[:rows, None] * along[:, None]).reshape(-1, latent)
    label = jnp.full(len(z), 3) if told else None
    titles = {i: f"{value:g}" for i, value in enumerate(np.asarray(along))}
    return _grid(decode(z, label), shape, WIDTH, titles)


def interpolation(generator, state, key, units, decode, ends, labels, shape) -> Figure:
    """Rows from one image to another on a great circle between their latent points.

    ``ends`` [2 R, D] are the images, of which a row's first and last are the decoded ones; None for
    latent points that are drawn, each row with the class of its first.
    """
    z = (
        jax.random.normal(key, (12, generator.latent))
        if ends is None
        else generator.encode(state, units.inside(ends), labels)
    )
    first, last = z[0::2], z[1::2]
    between = jax.vmap(lambda t: great_circle(first, last, t), out_axes=1)(
        jnp.linspace(0, 1, WIDTH)
    )
    label = None if labels is None else jnp.repeat(labels[0::2], WIDTH)
    x = decode(between.reshape(-1, z.shape[1]), label)
    return _grid(x, shape, WIDTH, {0: "from", WIDTH - 1: "to"})


def great_circle(a: Array, b: Array, t: float | Array) -> Array:
    """Between a and b [N, K]: directions turn evenly, lengths go in a straight line (Shoemake, 1985).

    A straight line between two draws of N(0, I) would pass through points that it never draws.
    """
    norm = lambda v: jnp.maximum(jnp.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
    u, v = a / norm(a), b / norm(b)
    angle = jnp.arctan2(norm(u - v), norm(u + v)) * 2
    turn = jnp.sin(angle)
    flat = turn < 1e-4
    weight = lambda s: jnp.where(flat, s, jnp.sin(s * angle) / jnp.where(flat, 1, turn))
    return (weight(1 - t) * u + weight(t) * v) * ((1 - t) * norm(a) + t * norm(b))


def film(frames, shape) -> Figure:
    """How samples come to be, from noise at the left [F, N, D]."""
    frames = np.asarray(frames)
    if shape is not None:
        x = frames.swapaxes(0, 1).reshape(-1, frames.shape[2])
        return _grid(x, shape, len(frames), {0: "noise", len(frames) - 1: "sample"})
    figure = Figure(figsize=(2.1 * len(frames), 2.4), layout="constrained")
    low, high = frames[-1].min(0) - 0.4, frames[-1].max(0) + 0.4
    for i, ax in enumerate(figure.subplots(1, len(frames))):
        ax.plot(frames[i, :, 0], frames[i, :, 1], ".", ms=1.5, alpha=0.6)
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xticks=[], yticks=[])
        ax.set_title({0: "noise", len(frames) - 1: "samples"}.get(i, ""))
    return figure


def _grid(x, shape, columns, titles) -> Figure:
    x = np.asarray(x).reshape(-1, *shape)
    names = [titles.get(i, "") for i in range(len(x))]
    return plotting.image_grid(x, names, columns=columns, low=0, high=1)
