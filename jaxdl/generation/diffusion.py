"""Samples from noise, step by step: DDPM, and DDIM with few steps. Notes: §9.3."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.base import Array, Key, Model, Params, State
from jaxdl.checks import positive_int
from jaxdl.models import diffusion
from jaxdl.models.diffusion import NoiseSchedule


def denoiser(
    model: Model,
    schedule: NoiseSchedule,
    params: Params,
    state: State,
    *,
    target: str = "epsilon",
    label: Array | None = None,
    num_classes: int | None = None,
    guidance: float | Array = 0.0,
) -> Callable[[Array, Array], Array]:
    """``(x_t [N, ...], t [N]) -> x0_hat`` of a trained network; ``target`` as it was trained.

    With ``label`` [N], of ``num_classes`` K, outputs are guided: ``(1 + w) f(x, label) - w f(x, none)``
    with w = ``guidance``, 0 for none (Ho and Salimans, 2022; the weight s of others is 1 + w). It may
    be traced. Raises ValueError for a label without ``num_classes``.
    """
    if label is not None and num_classes is None:
        raise ValueError("a label needs num_classes: with guidance, K stands for no label")
    steps, no_label = len(schedule.beta), num_classes or 0

    def output(x, t, label: Any = None):
        inputs = {"x": x, "time": t / steps}
        inputs = inputs if label is None else {**inputs, "label": label}
        return model.apply(params, state, inputs)[0]

    def denoise(x, t):
        if label is None:
            said = output(x, t)
        else:
            with_label, without = (
                output(x, t, label),
                output(x, t, jnp.full_like(label, no_label)),
            )
            said = (1 + guidance) * with_label - guidance * without
        return diffusion.predicted_x0(schedule, x, t, said, target)

    return denoise


def ddpm_sample(
    key: Key,
    denoise: Callable[[Array, Array], Array],
    schedule: NoiseSchedule,
    shape: tuple[int, ...],
    *,
    clip: float | None = None,
) -> Array:
    """Samples [N, ...] of ``shape``: ``x_T ~ N(0, I)``, then ``x_{t-1} ~ q(x_{t-1} | x_t, x0_hat)``.

    The last step adds no noise. x0_hat is kept within [-clip, clip] where ``clip`` is given. One
    loop of T steps, T calls of the network; the key is consumed. Source: Ho et al. (2020).
    Notes: §9.3.

    >>> schedule = diffusion.linear_schedule(10)
    >>> x = ddpm_sample(jax.random.key(0), lambda x, t: jnp.full_like(x, 3.0), schedule, (2, 1))
    >>> x.round(4).tolist()
    [[3.0], [3.0]]
    """
    first, later = jax.random.split(key)

    def step(x, t):
        now = jnp.full(shape[0], t)
        mean, variance = diffusion.posterior(schedule, x, _clipped(denoise(x, now), clip), now)
        noise = jax.random.normal(jax.random.fold_in(later, t), shape)
        return mean + jnp.sqrt(variance) * noise, None  # the variance is 0 at t = 1

    steps = jnp.arange(len(schedule.beta), 0, -1)
    return lax.scan(step, jax.random.normal(first, shape), steps)[0]


def ddim_steps(total: int, steps: int) -> np.ndarray:
    """The steps that DDIM visits, from T = ``total`` down to 1, as equal as whole numbers can be.

    >>> ddim_steps(1000, 10).tolist()
    [1000, 889, 778, 667, 556, 445, 334, 223, 112, 1]
    """
    total, steps = positive_int("total", total), positive_int("steps", steps)
    if steps > total:
        raise ValueError(f"{steps} steps do not fit into {total}")
    return np.round(np.linspace(total, 1, steps)).astype(np.int32)


def ddim_sample(
    key: Key,
    denoise: Callable[[Array, Array], Array],
    schedule: NoiseSchedule,
    shape: tuple[int, ...],
    *,
    steps: int = 20,
    eta: float | Array = 0.0,
    clip: float | None = None,
    start: Array | None = None,
) -> Array:
    """Samples [N, ...] in few steps s < t of ``ddim_steps``, each

    ``x_s = sqrt(abar_s) x0_hat + sqrt(1 - abar_s - sigma^2) eps_hat + sigma z`` with ``sigma = eta
    sqrt((1 - abar_s) / (1 - abar_t)) sqrt(1 - abar_t / abar_s)``, z ~ N(0, I).

    With ``eta`` 0 all is decided by x_T, which is ``start`` [N, ...], or else drawn from N(0, I); with
    1 and all steps it is DDPM. The chain's last s is 0, with abar_0 = 1. ``eta`` may be traced; the
    key is consumed. Source: Song et al. (2021). Notes: §9.3.
    """
    first, move, pairs = _ddim(key, denoise, schedule, shape, steps, eta, clip, start)
    return lax.scan(lambda x, pair: (move(x, pair), None), first, pairs)[0]


def ddim_path(
    key: Key,
    denoise: Callable[[Array, Array], Array],
    schedule: NoiseSchedule,
    shape: tuple[int, ...],
    *,
    steps: int = 20,
    eta: float | Array = 0.0,
    clip: float | None = None,
    start: Array | None = None,
) -> Array:
    """All that ``ddim_sample`` goes through, from x_T to the samples: [steps + 1, N, ...].

    >>> schedule = diffusion.linear_schedule(10)
    >>> path = ddim_path(jax.random.key(0), lambda x, t: 0 * x, schedule, (2, 1), steps=4)
    >>> path.shape, path[-1].tolist()
    ((5, 2, 1), [[0.0], [0.0]])
    """
    first, move, pairs = _ddim(key, denoise, schedule, shape, steps, eta, clip, start)

    def step(x, pair):
        x = move(x, pair)
        return x, x

    return jnp.concatenate([first[None], lax.scan(step, first, pairs)[1]])


def _ddim(key, denoise, schedule, shape, steps, eta, clip, start):
    """x_T, the move from one visited step to the next, and the pairs (t, s) of them."""
    visited = ddim_steps(len(schedule.beta), steps)
    first, later = jax.random.split(key)
    log_alpha_bar = jnp.concatenate([jnp.zeros(1), schedule.log_alpha_bar])

    def step(x, pair):
        t, s = pair
        now, then = diffusion.scales(schedule, t), diffusion.scales(schedule, s)
        x0 = _clipped(denoise(x, jnp.full(shape[0], t)), clip)
        epsilon = (x - now.signal * x0) / now.noise
        added = jnp.sqrt(-jnp.expm1(log_alpha_bar[t] - log_alpha_bar[s]))
        sigma = eta * then.noise / now.noise * added
        kept = jnp.sqrt(jnp.maximum(jnp.square(then.noise) - jnp.square(sigma), 0))
        noise = jax.random.normal(jax.random.fold_in(later, t), shape)
        return then.signal * x0 + kept * epsilon + sigma * noise

    if start is not None and jnp.shape(start) != tuple(shape):
        raise ValueError(f"x_T must be {list(shape)} as the samples, not {list(jnp.shape(start))}")
    start = jax.random.normal(first, shape) if start is None else jnp.asarray(start)
    return start, step, (jnp.asarray(visited), jnp.asarray(np.append(visited[1:], 0)))


def _clipped(x0, clip):
    return x0 if clip is None else jnp.clip(x0, -clip, clip)
