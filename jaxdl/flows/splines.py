"""Monotone rational-quadratic splines: smooth, flexible, and inverted in closed form."""

import jax
import jax.numpy as jnp

from jaxdl.base import Array
from jaxdl.checks import positive_int
from jaxdl.flows.scalar_maps import ScalarMap, inverse_softplus


def spline_map(
    bins: int = 8,
    *,
    bound: float | Array = 4.0,
    min_width: float = 1e-3,
    min_height: float = 1e-3,
    min_slope: float = 1e-3,
) -> ScalarMap:
    """A rational-quadratic spline on [-B, B], and the identity outside.

    With K = ``bins`` and B = ``bound`` (may be traced), theta [..., 3K - 1] are K widths, K heights
    (through softmax, none below its minimum, a share of 2B) and K - 1 slopes at the inner knots
    (through softplus). The slopes at -B and B are 1, so that the map is smooth there. ``theta = 0``
    is the identity. Raises ValueError where the minima do not leave room for K bins.

    Source: Durkan et al. (2019), Neural spline flows.

    >>> spline = spline_map(bins=3)
    >>> theta = jnp.linspace(-1, 1, spline.num_parameters)
    >>> z, log_slope = spline.inverse(theta, spline.forward(theta, jnp.array(0.5))[0])
    >>> round(z.item(), 4)
    0.5
    """
    bins = positive_int("bins", bins)
    for name, share in (("min_width", min_width), ("min_height", min_height)):
        if not 0 < share * bins < 1:
            raise ValueError(f"{name} must lie between 0 and 1 / bins = {1 / bins}, not {share}")
    if not 0 < min_slope < 1:
        raise ValueError(f"min_slope must lie between 0 and 1, not {min_slope}")
    offset = inverse_softplus(1 - min_slope)

    def spans(theta, share):
        return 2 * bound * (share + (1 - share * bins) * jax.nn.softmax(theta, axis=-1))

    def knots(theta):
        widths = spans(theta[..., :bins], min_width)
        heights = spans(theta[..., bins : 2 * bins], min_height)
        inner = min_slope + jax.nn.softplus(theta[..., 2 * bins :] + offset)
        ends = jnp.ones((*inner.shape[:-1], 1), inner.dtype)
        return widths, heights, jnp.concatenate([ends, inner, ends], axis=-1)

    def forward(theta, z):
        return rational_quadratic(*knots(theta), z, bound)

    def inverse(theta, x):
        return rational_quadratic_inverse(*knots(theta), x, bound)

    return ScalarMap(3 * bins - 1, forward, inverse)


def rational_quadratic(
    widths: Array, heights: Array, slopes: Array, z: Array, bound: float | Array
) -> tuple[Array, Array]:
    """The spline through knots that start at (-B, -B), and the logarithm of its slope.

    In the bin with ``xi = (z - z_k) / w_k`` and ``s = h_k / w_k``:
    ``x = x_k + h_k (s xi^2 + d_k xi (1 - xi)) / (s + (d_{k+1} + d_k - 2 s) xi (1 - xi))``.
    Outside of [-B, B], x = z.

    Args:
      widths, heights: w and h [..., K], each of sum 2B.
      slopes: d [..., K + 1] at the knots.
      z: [...].
      bound: B.

    Source: Gregory and Delbourgo (1982); Durkan et al. (2019), Eqs. (4) and (5).
    """
    inside, z_in = _inside(z, bound)
    x_k, z_k, w, h, d, d_next = _bin(z_in, widths, heights, slopes, bound, by_height=False)
    s, xi = h / w, (z_in - z_k) / w
    below, bend = _denominator(s, d, d_next, xi)
    x = x_k + h * xi * (s * xi + d * (1 - xi)) / below
    return jnp.where(inside, x, z), jnp.where(inside, _log_slope(s, d, d_next, xi, below, bend), 0)


def rational_quadratic_inverse(
    widths: Array, heights: Array, slopes: Array, x: Array, bound: float | Array
) -> tuple[Array, Array]:
    """The inverse of ``rational_quadratic``, and the logarithm of its slope.

    In the bin, xi is the root ``2c / (-b - sqrt(b^2 - 4ac))`` of a quadratic. Values outside of
    [-B, B] never meet it: its discriminant may be negative there.

    Source: Durkan et al. (2019), Eqs. (6) to (8).
    """
    inside, x_in = _inside(x, bound)
    x_k, z_k, w, h, d, d_next = _bin(x_in, widths, heights, slopes, bound, by_height=True)
    s, rise = h / w, x_in - x_k
    bent = rise * (d_next + d - 2 * s)
    a, b, c = h * (s - d) + bent, h * d - bent, -s * rise
    discriminant = jnp.maximum(b * b - 4 * a * c, 0)
    # In a bin b > 0 or the root is positive: their sum is never zero.
    xi = jnp.clip(2 * c / (-b - jnp.sqrt(discriminant)), 0, 1)
    below, bend = _denominator(s, d, d_next, xi)
    log_slope = -_log_slope(s, d, d_next, xi, below, bend)
    return jnp.where(inside, z_k + xi * w, x), jnp.where(inside, log_slope, 0)


def _inside(value, bound):
    """Whether values lie inside, and values that all do: what is not used must be safe."""
    inside = (value > -bound) & (value < bound)
    return inside, jnp.where(inside, value, 0)


def _bin(value, widths, heights, slopes, bound, *, by_height):
    """Start, size and slopes of the bin that each value is in."""
    ends = lambda sizes: jnp.cumsum(sizes, axis=-1) - bound
    z_ends, x_ends = ends(widths), ends(heights)
    inner = (x_ends if by_height else z_ends)[..., :-1]
    index = jnp.sum(value[..., None] >= inner, axis=-1, keepdims=True)
    chosen = index == jnp.arange(widths.shape[-1])  # a product is quicker than a gather here
    pick = lambda values: jnp.sum(jnp.where(chosen, values, 0), axis=-1)
    w, h = pick(widths), pick(heights)
    z_k, x_k = pick(z_ends - widths), pick(x_ends - heights)
    return x_k, z_k, w, h, pick(slopes[..., :-1]), pick(slopes[..., 1:])


def _denominator(s, d, d_next, xi):
    bend = xi * (1 - xi)
    return s + (d_next + d - 2 * s) * bend, bend


def _log_slope(s, d, d_next, xi, below, bend):
    above = d_next * xi**2 + 2 * s * bend + d * (1 - xi) ** 2
    return 2 * jnp.log(s) + jnp.log(above) - 2 * jnp.log(below)
