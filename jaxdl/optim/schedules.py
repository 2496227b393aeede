"""Step-size schedules ``step -> alpha`` whose every setting may be a traced value.

Large steps first, smaller ones close to the minimum (notes: §1.6). optax's schedules branch in
Python on rates and lengths, so they cannot be swept under ``vmap``; these can. A step is counted
from 0 and may be a Python int or an integer array.
"""

from collections.abc import Callable

import jax.numpy as jnp

from jaxdl.arrays import safe_divide
from jaxdl.base import Array

Scalar = float | Array
Schedule = Callable[[Array], Array]


def _float(value, like):
    return jnp.asarray(value).astype(jnp.result_type(like, float))


def _progress(step, length, like):
    """step / length clipped to [0, 1] in the dtype of like; 1 where the length is zero."""
    step, length = _float(step, like), _float(length, like)
    return jnp.where(length > 0, jnp.clip(safe_divide(step, length), 0, 1), 1)


def constant(peak: Scalar) -> Schedule:
    """alpha_t = peak, of the shape of t. Notes: Eq. (14), §1.6."""
    return lambda step: jnp.full(jnp.shape(step), peak, jnp.result_type(peak, float))


def step(peak: Scalar, rate: Scalar, length: Scalar) -> Schedule:
    """alpha_t = peak * rate^floor(t / length): a drop by ``rate`` every ``length`` steps.

    t and alpha_t have one shape. Notes: §1.6 (E-1).
    """
    return lambda t: peak * _float(rate, peak) ** jnp.floor(_float(t, peak) / length)


def exponential(peak: Scalar, rate: Scalar, length: Scalar = 1.0) -> Schedule:
    """alpha_t = peak * rate^(t / length), of the shape of t. Notes: §1.6 (E-1)."""
    return lambda t: peak * _float(rate, peak) ** (_float(t, peak) / length)


def inverse_time(peak: Scalar, rate: Scalar, length: Scalar = 1.0) -> Schedule:
    """alpha_t = peak / (1 + rate t / length).

    Its sum diverges and the sum of its squares does not, as stochastic approximation asks
    (Robbins & Monro 1951).

    >>> [round(float(inverse_time(1.0, 0.5)(t)), 2) for t in (0, 2, 6)]
    [1.0, 0.5, 0.25]
    """
    return lambda t: peak / (1 + _float(rate, peak) * _float(t, peak) / length)


def cosine(peak: Scalar, length: Scalar, floor: Scalar = 0.0) -> Schedule:
    """alpha_t = floor + (peak - floor) (1 + cos(pi t / length)) / 2; floor from t = length on.

    Loshchilov & Hutter (2017), without restarts.
    """

    def schedule(t):
        wave = (1 + jnp.cos(jnp.pi * _progress(t, length, peak))) / 2
        return floor + (peak - floor) * wave

    return schedule


def warmup_cosine(
    peak: Scalar, warmup: Scalar, length: Scalar, floor: Scalar = 0.0, start: Scalar = 0.0
) -> Schedule:
    """A line from ``start`` to ``peak`` over ``warmup`` steps, then a cosine down to ``floor``.

    The floor is reached at t = length, which counts the warm-up. With ``warmup`` 0 this is
    ``cosine``. Goyal et al. 2017; Loshchilov & Hutter 2017.
    """

    def schedule(t):
        rise = start + (peak - start) * _progress(t, warmup, peak)
        fall = cosine(peak, length - _float(warmup, peak), floor)(_float(t, peak) - warmup)
        return jnp.where(_float(t, peak) < warmup, rise, fall)

    return schedule


def one_cycle(
    peak: Scalar,
    length: Scalar,
    *,
    warmup_share: Scalar = 0.3,
    start_ratio: Scalar = 25.0,
    end_ratio: Scalar = 1e4,
) -> Schedule:
    """Up from ``peak / start_ratio`` to the peak, down to ``peak / (start_ratio end_ratio)``.

    Both ways are halves of a cosine; the peak is at ``t = warmup_share length``, the end at
    t = length, of the shape of t. Source: Smith and Topin (2018).
    """

    def schedule(t):
        low = peak / start_ratio
        turn = _float(warmup_share, peak) * length
        rise = peak + (low - peak) * (1 + jnp.cos(jnp.pi * _progress(t, turn, peak))) / 2
        fall = cosine(peak, length - turn, low / end_ratio)(_float(t, peak) - turn)
        return jnp.where(_float(t, peak) < turn, rise, fall)

    return schedule


def cosine_restarts(peak: Scalar, length: Scalar, floor: Scalar = 0.0) -> Schedule:
    """alpha_t = floor + (peak - floor) (1 + cos(pi (t mod length) / length)) / 2.

    A cosine from the peak to the floor that starts again every ``length`` steps; t and alpha_t
    have one shape. Source: Loshchilov & Hutter (2017); Huang et al. (2017), Eq. (2).

    >>> [round(float(cosine_restarts(1.0, 4)(t)), 2) for t in (0, 2, 3, 4, 6)]
    [1.0, 0.5, 0.15, 1.0, 0.5]
    """

    def schedule(t):
        t, cycle = _float(t, peak), _float(length, peak)
        return cosine(peak, length, floor)(jnp.mod(t, jnp.where(cycle > 0, cycle, 1)))

    return schedule
