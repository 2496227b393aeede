"""Where a token stands: sinusoidal, learned and rotary positions. Notes: §8.3.1."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array, Key, Params
from jaxdl.checks import is_whole, one_of, positive_int
from jaxdl.layers.embedding import embedding, embedding_init

LAYOUTS = ("half", "pairs")


def sinusoidal_positions(
    length: int, features: int, *, start: int | Array = 0, base: float = 10_000.0
) -> Array:
    """``P`` [T, D]: ``p_{t,2d} = sin(t / base^(2d/D))``, ``p_{t,2d+1} = cos(t / base^(2d/D))``.

    T = ``length``, D = ``features``, d = 0, ..., and t = ``start``, ..., ``start + T - 1``, from 0
    as in the paper; the notes' text counts from 1 (D-77). An odd D has no cosine of its last sine.
    All entries lie in [-1, 1], P[t + k] is a rotation of P[t], and for an even D a row's square
    norm is D/2. ``start`` may be an array [...], traced or not, which makes it [..., T, D].
    Source: Vaswani et al. (2017). Notes: L1097, §8.3.1.

    >>> sinusoidal_positions(1, 4).tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """
    length, features = positive_int("length", length), positive_int("features", features)
    steps = np.arange(length)
    positions = start + steps if is_whole(start) else jnp.asarray(start)[..., None] + steps
    return sinusoids(positions, features, base=base)


def sinusoids(positions: Array | np.ndarray, features: int, *, base: float = 10_000.0) -> Array:
    """The rows of ``sinusoidal_positions`` at these ``positions`` [...], as [..., D]. Notes: §8.3.1.

    >>> sinusoids(jnp.array([0]), 4).tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """
    sin, cos = _sin_cos(positions, -(-features // 2), features, base)
    both = jnp.stack([sin, cos], axis=-1)
    return both.reshape(*both.shape[:-2], -1)[..., :features]


def learned_positions_init(
    key: Key, max_length: int, features: int, *, scale: float | Array = 0.02, dtype=None
) -> Params:
    """``{"embedding" [L, D]}``, a row for each of L = ``max_length`` positions, of N(0, scale^2)."""
    positive_int("max_length", max_length)
    draw = lambda key, shape, dtype: scale * jax.random.normal(key, shape, dtype)
    return embedding_init(key, max_length, features, embedding_init=draw, dtype=dtype)


def learned_positions(params: Params, length: int, *, start: int = 0) -> Array:
    """The rows ``start``, ..., ``start + length - 1`` of a learned table, [length, D].

    Raises ValueError where the table has no such rows: a model reads no more positions than it has
    learned.

    >>> learned_positions({"embedding": jnp.array([[1.0], [2.0]])}, 1, start=1).tolist()
    [[2.0]]
    """
    known = len(params["embedding"])
    if start < 0 or start + length > known:
        raise ValueError(
            f"positions {start}, ..., {start + length - 1} are asked of a model that has learned "
            f"{known}: shorten the sequences, or build it with a larger max_length"
        )
    return embedding(params, jnp.arange(start, start + length))


def rotary(
    x: Array,
    positions: Array | np.ndarray | None = None,
    *,
    layout: str = "half",
    base: float = 10_000.0,
) -> Array:
    """Turn pairs of features of x [..., T, d] by the angles ``t / base^(2j/d)``, j < d/2.

    A pair (a, b) becomes ``(a cos - b sin, a sin + b cos)``: the product of a turned query and a
    turned key depends on the difference of their positions only. ``positions`` t [..., T] are
    0, ..., T - 1 by default. Pair j is ``(x_j, x_{j + d/2})`` in the ``layout`` "half", as in
    GPT-NeoX, and ``(x_2j, x_{2j+1})`` in "pairs", as in the paper; the weights of one do not fit
    the other. Raises ValueError for an odd d. Source: Su et al. (2021).

    >>> rotary(jnp.array([[1.0, 0.0], [1.0, 0.0]]))[0].tolist()
    [1.0, 0.0]
    """
    one_of("layout", layout, LAYOUTS)
    width = x.shape[-1]
    if width % 2:
        raise ValueError(f"rotary positions turn pairs of features; {width} is odd")
    positions = np.arange(x.shape[-2]) if positions is None else positions
    sin, cos = _sin_cos(positions, width // 2, width, base)
    halves = layout == "half"
    a, b = (x[..., : width // 2], x[..., width // 2 :]) if halves else (x[..., ::2], x[..., 1::2])
    turned = a * cos - b * sin, a * sin + b * cos
    turned = jnp.concatenate(turned, axis=-1) if halves else jnp.stack(turned, axis=-1)
    return turned.reshape(x.shape).astype(x.dtype)


def _sin_cos(positions, number, features, base):
    """Sine and cosine of ``positions [...] / base^(2j / features)``, j < ``number``, [..., number]."""
    frequencies = base ** (-2 * np.arange(number) / features)
    dtype = jnp.result_type(float)
    if not isinstance(positions, jax.Array):  # known now: in double precision
        angles = np.asarray(positions)[..., None] * frequencies
        return jnp.asarray(np.sin(angles), dtype), jnp.asarray(np.cos(angles), dtype)
    positions = positions[..., None].astype(dtype)
    # A frequency in two parts: positions times the first, of twelve bits, is exact up to 4096.
    mantissa, exponent = np.frexp(frequencies)
    first = np.ldexp(np.floor(mantissa * 2**12), exponent - 12)
    large, small = (positions * jnp.asarray(f, dtype) for f in (first, frequencies - first))
    sin = jnp.sin(large) * jnp.cos(small) + jnp.cos(large) * jnp.sin(small)
    return sin, jnp.cos(large) * jnp.cos(small) - jnp.sin(large) * jnp.sin(small)
