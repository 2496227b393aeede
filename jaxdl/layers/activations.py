"""Elementwise activation functions and their derivatives, for x of any shape. Notes: §4.2."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxdl.base import Array


def identity(x: Array) -> Array:
    """``phi(x) = x``, x [...]. Notes: §4.1."""
    return x


def logistic(x: Array) -> Array:
    """``phi(x) = 1 / (1 + exp(-x))``, x [...], without overflow. Notes: L229, §1.5."""
    return jax.nn.sigmoid(x)


def tanh(x: Array) -> Array:
    """``phi(x) = tanh x = 2 logistic(2x) - 1``, x [...]. Notes: §4.2."""
    return jnp.tanh(x)


def relu(x: Array) -> Array:
    """``phi(x) = max(x, 0)``, x [...], with derivative 0 at 0 (D-92). Notes: §4.5."""
    return jax.nn.relu(x)


def leaky_relu(x: Array, negative_slope: float | Array = 0.01) -> Array:
    """``phi(x) = x`` where x > 0, else ``negative_slope * x``; x [...]. Source: Maas et al. (2013).

    The derivative at 0 is ``negative_slope``, which may be traced.
    """
    return jnp.where(x > 0, x, negative_slope * x)


def softplus(x: Array) -> Array:
    """``phi(x) = log(1 + exp x)``, x [...]. Source: Dugas et al. (2001)."""
    return jax.nn.softplus(x)


def gelu(x: Array) -> Array:
    """``phi(x) = x Phi(x)`` with the Normal's CDF, x [...]. Source: Hendrycks and Gimpel (2016)."""
    return jax.nn.gelu(x, approximate=False)


def silu(x: Array) -> Array:
    """``phi(x) = x logistic(x)``, x [...]. Source: Elfwing et al. (2018)."""
    return jax.nn.silu(x)


def _normal_cdf_and_density(x):
    return jax.scipy.stats.norm.cdf(x), jax.scipy.stats.norm.pdf(x)


def _leaky_relu_derivative(x, negative_slope=0.01):
    return jnp.where(x > 0, 1, negative_slope).astype(x.dtype)


def _gelu_derivative(x):
    cdf, density = _normal_cdf_and_density(x)
    return cdf + x * density


def _silu_derivative(x):
    s = jax.nn.sigmoid(x)
    return s + x * s * (1 - s)


ACTIVATIONS: dict[str, Callable] = {
    "identity": identity,
    "logistic": logistic,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "softplus": softplus,
    "gelu": gelu,
    "silu": silu,
}

_DERIVATIVES: dict[str, Callable] = {
    "identity": jnp.ones_like,
    "logistic": lambda x: jax.nn.sigmoid(x) * jax.nn.sigmoid(-x),
    "tanh": lambda x: 1 - jnp.square(jnp.tanh(x)),
    "relu": lambda x: (x > 0).astype(x.dtype),
    "leaky_relu": _leaky_relu_derivative,
    "softplus": jax.nn.sigmoid,
    "gelu": _gelu_derivative,
    "silu": _silu_derivative,
}


def activation(name: str | Callable) -> Callable[[Array], Array]:
    """The activation of that name, ``(x [...]) -> [...]``; a function is returned as it is.

    Raises ValueError with the names there are. Notes: L641, §4.2.
    """
    return name if callable(name) else _look_up(ACTIVATIONS, name)


def derivative(name: str, **settings: float | Array) -> Callable[[Array], Array]:
    """The derivative of the activation of that name, ``(x [...]) -> [...]``, written out.

    ReLU'(0) = 0 and leaky ReLU'(0) is the negative slope (D-92). ``settings``: ``negative_slope``
    of ``"leaky_relu"``. Raises ValueError on another name. Notes: Figure 14, §4.5.

    >>> derivative("relu")(jnp.array([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    return partial(_look_up(_DERIVATIVES, name), **settings)


def _look_up(table, name):
    if name not in table:
        raise ValueError(f"no activation {name!r}; there are {', '.join(table)}")
    return table[name]
