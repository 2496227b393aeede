"""Feed-forward networks. Notes: §4.2, §4.3."""

from collections.abc import Callable, Sequence
from numbers import Integral

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Model, stateless
from jaxdl.layers.activations import activation as find_activation
from jaxdl.layers.dense import dense, dense_init
from jaxdl.layers.dropout import dropout as drop

_RECTIFIERS = ("relu", "leaky_relu", "gelu", "silu", "softplus")
RECTIFIERS = (*map(find_activation, _RECTIFIERS), *(getattr(jax.nn, f) for f in _RECTIFIERS))


def he_normal(key, shape, dtype):
    """Normal with variance 2 / fan_in for kernels [fan_in, fan_out], not truncated (D-91).

    Source: He et al. (2015). Notes: Eq. (29), §4.5.3, where 2 / fan_in is the variance (D-48).
    """
    return jax.random.normal(key, shape, dtype) * jnp.sqrt(2 / shape[0]).astype(dtype)


def mlp(
    sizes: Sequence[int],
    *,
    activation: str | Callable | Sequence[str | Callable] = "relu",
    dropout: float | Array = 0.0,
    kernel_init: Callable | None = None,
    use_bias: bool = True,
) -> Model:
    """A multi-layer perceptron: ``h_l = phi_l(W_l' h_{l-1} + b_l)``, the last layer linear.

    Its output is eta, which a family's inverse link maps to the mean: ``sizes = (D, K)`` is the
    linear model (softmax regression, say). Notes: Eqs. (20)-(22), §4.2-4.3.

    Args:
      sizes: widths ``(D, hidden..., K)``.
      activation: of the hidden layers, a name, a function, or one for each of them.
      dropout: rate behind each hidden activation; may be traced.
      kernel_init: ``(key, shape, dtype) -> kernel``; default He's for rectifiers, LeCun's else.
      use_bias: whether layers have offsets.

    Params are ``{"dense_0": {"kernel" [D, H], "bias" [H]}, ...}``. Raises ValueError for fewer
    than two widths, a number of activations that does not fit, and x of another width.

    >>> net = mlp((4, 8, 3), activation="tanh")
    >>> params, state = net.init(jax.random.key(0))
    >>> net.apply(params, state, jnp.ones((2, 4)))[0].shape
    (2, 3)
    """
    sizes = tuple(sizes)
    if len(sizes) < 2 or any(not isinstance(s, Integral) or s < 1 for s in sizes):
        raise ValueError(f"sizes are at least two positive whole numbers (D, ..., K), not {sizes}")
    hidden = len(sizes) - 2
    if isinstance(activation, str) or callable(activation):
        activation = (activation,) * hidden
    if len(activation) != hidden:
        raise ValueError(f"{len(activation)} activations for {hidden} hidden layers")
    phi = [find_activation(a) for a in activation]
    rectified = [f in RECTIFIERS for f in phi]
    lecun = jax.nn.initializers.lecun_normal()
    inits = [kernel_init or (he_normal if r else lecun) for r in (*rectified, False)]
    names = [f"dense_{i}" for i in range(hidden + 1)]

    def init(key):
        keys = jax.random.split(key, len(names))
        return {
            name: dense_init(k, m, n, kernel_init=w, use_bias=use_bias)
            for name, k, m, n, w in zip(names, keys, sizes[:-1], sizes[1:], inits, strict=True)
        }

    def apply(params, x, *, key=None, train=False):
        for i, name in enumerate(names[:-1]):
            layer_key = None if key is None else jax.random.fold_in(key, i)
            x = phi[i](dense(params[name], x))
            x = drop(x, dropout, key=layer_key, train=train)
        return dense(params[names[-1]], x)

    return stateless(init, apply)
