"""Initial kernels: functions ``(key, shape, dtype) -> kernel``, as in ``jax.nn.initializers``.

A kernel is [..., in, out]. Its fan-in is the product of all axes but the last, the units that one
output sees; an appended 1 is none of them, for offsets start at zero. Notes: §4.5.3 (D-48).
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.base import Array
from jaxdl.layers import activations

_RECTIFIERS = ("relu", "leaky_relu", "gelu", "silu", "softplus")
RECTIFIERS = (
    *map(activations.activation, _RECTIFIERS),
    *(getattr(jax.nn, name) for name in _RECTIFIERS),
)
_SIGMOIDAL_GAINS = {"identity": 1.0, "tanh": 1.0, "logistic": 4.0}  # 1 / phi'(0)
_JAX_NAMES = {"identity": "identity", "tanh": "tanh", "logistic": "sigmoid"}


def xavier_uniform(gain: float | Array = 1.0) -> Callable:
    """``W ~ Uniform(-a, a)`` with ``a = gain sqrt(6 / (fan_in + fan_out))``.

    Its variance is ``2 gain^2 / (fan_in + fan_out)``. ``gain`` may be traced; it should be one
    over the activation's slope at 0, which the derivation takes to be 1 (D-49).
    Source: Glorot and Bengio (2010). Notes: Eq. (28), §4.5.3.

    >>> xavier_uniform()(jax.random.key(0), (3, 3), float).max() < 1
    Array(True, dtype=bool)
    """

    def init(key, shape, dtype=None):
        fan_in, fan_out = _fans(shape)
        dtype = _dtype(dtype)
        bound = (gain * jnp.sqrt(6 / (fan_in + fan_out))).astype(dtype)
        return bound * jax.random.uniform(key, shape, dtype, -1, 1)

    return init


def he_normal(negative_slope: float | Array = 0.0) -> Callable:
    """``W ~ Normal(0, variance = 2 / ((1 + s^2) fan_in))``, not truncated (D-91).

    s = ``negative_slope`` of a leaky ReLU, which may be traced. The 2 / D_l of the notes is the
    variance: as a standard deviation the signal dies out (D-48). Source: He et al. (2015).
    Notes: Eq. (29), §4.5.3.
    """

    def init(key, shape, dtype=None):
        dtype = _dtype(dtype)
        std = jnp.sqrt(2 / ((1 + negative_slope**2) * _fans(shape)[0]))
        return jax.random.normal(key, shape, dtype) * std.astype(dtype)

    return init


def orthogonal(gain: float | Array = 1.0) -> Callable:
    """``W'W = gain^2 I``, or ``WW' = gain^2 I`` where outputs outnumber inputs; uniformly drawn.

    All singular values are ``gain``, which may be traced, so a product of many such maps keeps
    the size of what it maps (D-47). Sources: Saxe et al. (2014); Stewart (1980), drawing by
    reflections, which runs in batches on every backend where a factorisation by LAPACK does not.
    """

    def init(key, shape, dtype=None):
        dtype = _dtype(dtype)
        rows, columns = _fans(shape)[0], shape[-1]
        tall = max(rows, columns), min(rows, columns)
        q = _reflections(jax.random.normal(key, tall, jnp.promote_types(dtype, jnp.float32)))
        q = q if rows >= columns else q.T
        return (gain * q).astype(dtype).reshape(shape)

    return init


def _reflections(z):
    """Orthonormal columns [n, m] of normal draws z [n, m], the reflections ``H_0 ... H_{m-1}``.

    H_j maps z's entries j, ..., n - 1 in column j to the axis j, and the sign of each column is
    such that the result is uniformly distributed.
    """
    rows = jnp.arange(z.shape[0])

    def reflect(i, q):
        j = z.shape[1] - 1 - i
        v = jnp.where(rows >= j, z[:, j], 0)
        sign = jnp.where(v[j] < 0, -1, 1)
        v = v.at[j].add(sign * jnp.linalg.norm(v))
        q = q - jnp.outer(v, (2 / jnp.sum(v * v)) * (v @ q))
        return q.at[:, j].multiply(-sign)

    return jax.lax.fori_loop(0, z.shape[1], reflect, jnp.eye(*z.shape, dtype=z.dtype))


def for_activation(
    activation: str | Callable, *, negative_slope: float | Array | None = None
) -> Callable:
    """The initializer that suits an activation, a name or one of the functions in ``layers``.

    Rectifiers (relu, leaky_relu, gelu, silu, softplus) take ``he_normal(negative_slope)``, with
    0.01 for leaky_relu and 0 for the others; tanh and identity take ``xavier_uniform(1)``, and
    logistic, whose slope at 0 is 1/4, ``xavier_uniform(4)`` (D-49). Raises ValueError for a
    function that is none of these. Notes: §4.5.3.

    >>> for_activation("relu")(jax.random.key(0), (4, 2), float).shape
    (4, 2)
    """
    phi = activations.activation(activation)
    for name, gain in _SIGMOIDAL_GAINS.items():
        if phi in (activations.activation(name), getattr(jax.nn, _JAX_NAMES[name])):
            return xavier_uniform(gain)
    if phi not in RECTIFIERS:
        known = ", ".join((*_SIGMOIDAL_GAINS, *_RECTIFIERS))
        raise ValueError(f"no initializer is known for {activation!r}; there are those of {known}")
    leaky = phi in (activations.leaky_relu, jax.nn.leaky_relu)
    slope = (0.01 if leaky else 0.0) if negative_slope is None else negative_slope
    return he_normal(slope)


def _fans(shape):
    """Fan-in and fan-out of a kernel [..., in, out]; leading axes are a receptive field."""
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"a kernel is [..., in, out] with sizes of at least 1, not {list(shape)}")
    return math.prod(shape[:-1]), math.prod(shape[:-2]) * shape[-1]


def _dtype(dtype):
    return jnp.zeros((), dtype or float).dtype
