"""Synthetic data with a known truth, one generator for each picture of the notes' §1 to §3.

Every generator is a pure function of a typed key, which is consumed: it can be jitted, and mapped
over keys. Features are [N] where there is one and [N, 2] where there are two; classes are integers
from 0.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import norm
from jaxdl.base import Array, Key

# Coefficients of 1, x, x^2, ...: x/2 - x^2/2 + T_7(x)/5 and T_3(x), with Chebyshev's T_k.
SEVENTH_DEGREE = (0.0, -0.9, -0.5, 11.2, 0.0, -22.4, 0.0, 12.8)
CUBIC = (0.0, -3.0, 0.0, 4.0)


class Sample(NamedTuple):
    """Data and what a perfect model would say of it.

    x: features, [N] or [N, D].
    y: responses [N].
    mean: E[y | x] under the truth, [N]; of three and more classes their probabilities [N, K].
    """

    x: Array
    y: Array
    mean: Array


class Heteroskedastic(NamedTuple):
    """A Sample whose noise has a standard deviation ``scale`` [N] that depends on x."""

    x: Array
    y: Array
    mean: Array
    scale: Array


class Separable(NamedTuple):
    """Two classes y in {-1, +1} and a line between them: ``y (x @ weight + bias) >= margin``.

    x: [N, D]; y: [N]; weight: [D], of unit length; bias: [].
    """

    x: Array
    y: Array
    weight: Array
    bias: Array


def polynomial(
    key: Key,
    coefficients: Sequence[float] | Array,
    *,
    n: int = 100,
    noise: float = 0.1,
    low: float = -1.0,
    high: float = 1.0,
) -> Sample:
    """``y = sum_k c_k x^k + noise e``, e ~ N(0, 1), at n equally spaced x [n] in [low, high].

    Source: the model of the notes' polynomial basis, §2.1.
    """
    x = jnp.linspace(low, high, n)
    mean = jnp.polyval(jnp.asarray(coefficients, x.dtype)[::-1], x)
    return Sample(x, mean + noise * jax.random.normal(key, x.shape), mean)


def seventh_degree(key: Key, *, n: int = 100, noise: float = 0.02) -> Sample:
    """The polynomial ``SEVENTH_DEGREE`` at x [n]: no fit of degree 6 is good. Notes: Figure 3."""
    return polynomial(key, SEVENTH_DEGREE, n=n, noise=noise)


def cubic(key: Key, *, n: int = 30, noise: float = 0.1) -> Sample:
    """``y = 4x^3 - 3x + noise e`` at few x [n]: higher degrees fit noise. Notes: Figures 12, 13."""
    return polynomial(key, CUBIC, n=n, noise=noise)


def sine(key: Key, *, n: int = 100, noise: float = 0.1, periods: float = 1.0) -> Sample:
    """``y = sin x + noise e`` at n equally spaced x [n] in ``[-pi, pi] * periods``.

    Notes: Figure 15.
    """
    x = jnp.linspace(-math.pi, math.pi, n) * periods
    mean = jnp.sin(x)
    return Sample(x, mean + noise * jax.random.normal(key, x.shape), mean)


def heteroskedastic(
    key: Key, *, n: int = 200, weight: float = 1.0, log_scale: Sequence[float] = (-1.0, 1.0)
) -> Heteroskedastic:
    """``y ~ N(w x, s(x)^2)``, ``log s(x) = u_0 + u_1 x``, x ~ U(-1, 1) of shape [n]. Notes: §1.3.

    ``weight`` is w and ``log_scale`` is (u_0, u_1).
    """
    x_key, y_key = jax.random.split(key)
    x = jax.random.uniform(x_key, (n,), minval=-1.0, maxval=1.0)
    mean, scale = weight * x, jnp.exp(log_scale[0] + log_scale[1] * x)
    return Heteroskedastic(x, mean + scale * jax.random.normal(y_key, (n,)), mean, scale)


def counts(key: Key, *, n: int = 200, weight: float = 1.0, bias: float = 1.0) -> Sample:
    """``y ~ Poisson(exp(w x + b))``, x ~ U(-1, 1) of shape [n]. Notes: §1.4."""
    x_key, y_key = jax.random.split(key)
    x = jax.random.uniform(x_key, (n,), minval=-1.0, maxval=1.0)
    rate = jnp.exp(weight * x + bias)
    return Sample(x, jax.random.poisson(y_key, rate), rate)


def logistic(key: Key, *, weight: float | Array = 0.1, n: int = 200, scale: float = 8.0) -> Sample:
    """``y ~ Bernoulli(s(w'x))``, s the logistic function, x ~ N(0, scale^2). Notes: Figures 1, 4.

    A scalar weight gives x [n], one of shape [D] gives x [n, D]. The defaults are of Figure 1:
    from w = -1, ten steps of gradient descent of size .02, .05 and 1.5 fall short, arrive and
    overshoot; with x of unit scale they would not.
    """
    x_key, y_key = jax.random.split(key)
    weight = jnp.asarray(weight)
    x = scale * jax.random.normal(x_key, (n, *weight.shape))
    mean = jax.nn.sigmoid(x @ weight if weight.ndim else x * weight)
    return Sample(x, jax.random.bernoulli(y_key, mean).astype(jnp.int32), mean)


def three_classes(key: Key, *, n: int = 300, radius: float = 2.0) -> Sample:
    """Three round clouds with linear borders: x ~ N(mu_y, I) of shape [n, 2]. Notes: Figure 5.

    The centres mu_k lie on a circle around 0, so ``p(y | x) = softmax(x'mu_k)``.
    """
    y_key, x_key = jax.random.split(key)
    angle = math.pi / 2 + 2 * math.pi / 3 * jnp.arange(3)
    centres = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1)
    y = jax.random.randint(y_key, (n,), 0, 3)
    x = centres[y] + jax.random.normal(x_key, (n, 2))
    return Sample(x, y, jax.nn.softmax(x @ centres.T))


def quintic(x: Array) -> Array:
    """Chebyshev's ``T_5(x) = 16x^5 - 20x^3 + 5x``, for x [...]: lower degrees miss it."""
    return 16 * x**5 - 20 * x**3 + 5 * x


def quintic_bands(key: Key, *, n: int = 300, noise: float = 0.35, width: float = 0.7) -> Sample:
    """Three bands with borders of degree five in the plane, x [n, 2] in [-1, 1]^2.

    ``y`` counts how many of the borders -width and +width lie below
    ``2 x_2 - T_5(x_1) + noise e``. Notes: Figures 9 to 11, §3.2, §3.3.
    """
    x_key, e_key = jax.random.split(key)
    x = jax.random.uniform(x_key, (n, 2), minval=-1.0, maxval=1.0)
    height = 2 * x[:, 1] - quintic(x[:, 0])
    borders = jnp.array([-width, width])
    noisy = height + noise * jax.random.normal(e_key, (n,))
    y = jnp.sum(noisy[:, None] > borders, 1)
    above = jax.scipy.stats.norm.cdf((height[:, None] - borders) / noise)
    lower, upper = above[:, 0], above[:, 1]
    return Sample(x, y, jnp.stack([1 - lower, lower - upper, upper], 1))


def xor(key: Key, *, n: int = 200, noise: float = 0.3) -> Sample:
    """The four corners (+-1, +-1) plus noise, x [n, 2]; y is 1 where the signs differ.

    ``p(y = 1 | x) = (1 - tanh(x_1 / noise^2) tanh(x_2 / noise^2)) / 2`` by Bayes' rule.
    ``n=4, noise=0.`` is the truth table. No linear classifier gets more than 3 of 4 corners right.
    Notes: §1.7.
    """
    corner = jnp.arange(n) % 4
    signs = jnp.stack([2 * (corner // 2) - 1, 2 * (corner % 2) - 1], 1)
    x = signs + noise * jax.random.normal(key, (n, 2))
    # Rounded to zero, a noise of zero would leave 0 / 0 on the axes.
    variance = jnp.maximum(jnp.square(noise), jnp.finfo(x.dtype).tiny)
    mean = (1 - jnp.prod(jnp.tanh(x / variance), 1)) / 2
    return Sample(x, (signs[:, 0] != signs[:, 1]).astype(jnp.int32), mean)


def separable(key: Key, *, n: int = 100, dim: int = 2, margin: float = 0.1) -> Separable:
    """Linearly separable classes, x [n, dim]: no point is closer than ``margin`` to the line.

    Points of [-1, 1]^dim are moved away from a random line by the margin. From zero weights the
    perceptron makes at most ``R^2 (1 + bias^2) / margin^2`` mistakes, R the largest length of a
    vector (x, 1). Notes: §1.7; Novikoff (1962).
    """
    w_key, b_key, x_key = jax.random.split(key, 3)
    weight = jax.random.normal(w_key, (dim,))
    weight = weight / jnp.linalg.norm(weight)
    bias = jax.random.uniform(b_key, minval=-0.3, maxval=0.3)
    x = jax.random.uniform(x_key, (n, dim), minval=-1.0, maxval=1.0)
    y = jnp.where(x @ weight + bias > 0, 1, -1)
    return Separable(x + margin * y[:, None] * weight, y, weight, bias)


def _moon(t: Array, which: Array | int) -> Array:
    """Points [..., 2] of the upper (0) and the lower (1) arc at angles t [...] in [0, pi]."""
    upper = jnp.stack([jnp.cos(t), jnp.sin(t)], -1)
    return jnp.where(jnp.asarray(which)[..., None] == 0, upper, jnp.array([1.0, 0.5]) - upper)


def two_moons(key: Key, *, n: int = 200, noise: float = 0.1) -> Sample:
    """Two interleaved half circles of radius 1, uniform along the arc, plus noise; x [n, 2].

    Source: the shape of scikit-learn's ``make_moons``, with random angles.
    """
    y_key, t_key, e_key = jax.random.split(key, 3)
    y = jax.random.bernoulli(y_key, 0.5, (n,)).astype(jnp.int32)
    t = jax.random.uniform(t_key, (n,), maxval=math.pi)
    x = _moon(t, y) + noise * jax.random.normal(e_key, (n, 2))
    log_p = _moon_log_densities(x, noise)
    return Sample(x, y, jax.nn.sigmoid(log_p[:, 1] - log_p[:, 0]))


def two_moons_log_density(x: Array, *, noise: float = 0.1) -> Array:
    """``log p(x)`` in nats, shape [...], for x [..., 2] of ``two_moons``.

    The mean over draws is the ceiling for any density model: -1.007 at noise 0.1.

    ``p(x) = 1/2 sum_k 1/pi int_0^pi N(x; arc_k(t), noise^2 I) dt``.
    """
    return jax.nn.logsumexp(_moon_log_densities(x, noise), axis=-1) - math.log(2)


def rings(
    key: Key, *, n: int = 200, noise: float = 0.05, radii: Sequence[float] = (0.5, 1.0, 1.5)
) -> Sample:
    """Circles around the origin, uniform along each and equally likely, plus noise; x [n, 2].

    y [n] says which circle a point is from. A density of rings has a hole, and parts that no
    straight line divides.
    """
    y_key, t_key, e_key = jax.random.split(key, 3)
    circles = jnp.asarray(radii)
    y = jax.random.randint(y_key, (n,), 0, len(circles))
    t = jax.random.uniform(t_key, (n,), maxval=2 * math.pi)
    x = circles[y, None] * jnp.stack([jnp.cos(t), jnp.sin(t)], -1)
    x = x + noise * jax.random.normal(e_key, (n, 2))
    return Sample(x, y, jax.nn.softmax(_ring_log_densities(x, noise, circles), axis=-1))


def rings_log_density(
    x: Array, *, noise: float = 0.05, radii: Sequence[float] = (0.5, 1.0, 1.5)
) -> Array:
    """``log p(x)`` in nats, [...] for x [..., 2] of ``rings``.

    ``p(x) = mean_r exp(-(|x| - r)^2 / (2 s^2)) e^-k I_0(k) / (2 pi s^2)`` with ``k = |x| r / s^2``, s
    the noise and I_0 the modified Bessel function: a normal distribution averaged along a circle.
    """
    each = _ring_log_densities(x, noise, jnp.asarray(radii))
    return jax.nn.logsumexp(each, axis=-1) - math.log(len(radii))


def _ring_log_densities(x, noise, radii):
    """log p(x | y) [..., K]."""
    r = norm(x, axis=-1)[..., None]
    angular = jnp.log(jax.scipy.special.i0e(r * radii / jnp.square(noise)))
    return angular - jnp.square((r - radii) / noise) / 2 - jnp.log(2 * math.pi * noise**2)


def eight_gaussians(key: Key, *, n: int = 200, noise: float = 0.1, radius: float = 1.0) -> Sample:
    """Eight equally likely clusters on a circle, ``N(radius (cos, sin)(k pi / 4), noise^2 I)``; x [n, 2].

    Its log-density is ``eight_gaussians_log_density``. A generator that loses modes shows it here.
    """
    y_key, e_key = jax.random.split(key)
    y = jax.random.randint(y_key, (n,), 0, 8)
    x = _eight_means(radius)[y] + noise * jax.random.normal(e_key, (n, 2))
    apart = jnp.sum(jnp.square((x[:, None] - _eight_means(radius)) / noise), -1)
    return Sample(x, y, jax.nn.softmax(-apart / 2, axis=-1))


def eight_gaussians_log_density(x: Array, *, noise: float = 0.1, radius: float = 1.0) -> Array:
    """``log p(x) = log 1/8 sum_k N(x; mu_k, noise^2 I)`` in nats, [...] for x [..., 2].

    The mean over draws is close to -log 8 - log(2 pi e noise^2) where the clusters are apart.
    """
    apart = jnp.sum(jnp.square((x[..., None, :] - _eight_means(radius)) / noise), -1)
    return jax.nn.logsumexp(-apart / 2, axis=-1) - jnp.log(16 * math.pi * jnp.square(noise))


def _eight_means(radius):
    t = jnp.arange(8) * (math.pi / 4)
    return radius * jnp.stack([jnp.cos(t), jnp.sin(t)], -1)


def _moon_log_densities(x, noise, points: int = 256):
    """log p(x | y) [..., 2] by Gauss-Legendre quadrature; exact to rounding for noise >= 0.05."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    arcs = _moon(jnp.asarray((nodes + 1) * (math.pi / 2)), jnp.array([[0], [1]]))  # [2, points, 2]
    square = jnp.sum(jnp.square((x[..., None, None, :] - arcs) / noise), -1)
    log_mean = jax.nn.logsumexp(jnp.log(weights / 2) - square / 2, axis=-1)
    return log_mean - jnp.log(2 * math.pi * jnp.square(noise))
