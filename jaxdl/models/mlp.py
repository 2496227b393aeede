"""Feed-forward networks. Notes: §4.2, §4.3, §4.5.2-4.6.2."""

from collections.abc import Callable, Sequence
from numbers import Integral

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.arrays import spread_mask
from jaxdl.base import Array, Model, stateless
from jaxdl.checks import one_of
from jaxdl.layers.initializers import RECTIFIERS
from jaxdl.models.normalizations import find_normalization, without_empty


def mlp(
    sizes: Sequence[int],
    *,
    activation: str | Callable | Sequence[str | Callable] = "relu",
    dropout: float | Array = 0.0,
    kernel_init: Callable | Sequence[Callable] | None = None,
    use_bias: bool = True,
    norm: layers.Normalization | str | None = None,
    norm_position: str = "pre",
    skip: bool = False,
    momentum: float | Array = 0.9,
    statistics: str = "running",
) -> Model:
    """A multi-layer perceptron: ``h_l = phi_l(W_l' h_{l-1} + b_l)``, the last layer linear.

    Its output is eta, which a family's inverse link maps to the mean: ``sizes = (D, K)`` is the
    linear model (softmax regression, say). A hidden layer with everything is
    ``h_l = dropout(phi_l(norm(W_l' h_{l-1}))) + U_l' h_{l-1}``.
    Notes: Eqs. (20)-(22), L645, §4.2-4.3; Eq. (27), §4.5.2.

    Args:
      sizes: widths ``(D, hidden..., K)``.
      activation: of the hidden layers, a name, a function, or one for each of them.
      dropout: rate behind each hidden activation; may be traced.
      kernel_init: ``(key, shape, dtype) -> kernel``, one or one for each layer, the last included;
        default He's for rectifiers, LeCun's else. ``layers.for_activation`` has the notes' choice.
      use_bias: whether layers have offsets; none has where a normalisation over the batch follows,
        which takes it off (D-53).
      norm: the ``layers.Normalization`` of each hidden layer, or None. "layer" is short for
        ``layer_normalization()``, "batch" for ``batch_normalization(momentum=, statistics=)``.
      norm_position: "pre", before the activation, or "post", behind it.
      skip: whether each hidden layer has a skip connection: the identity where its widths agree,
        else projected by a kernel that starts orthogonal. There is none around the last layer.
      momentum: of the running statistics of "batch", and of no other ``norm``; may be traced.
      statistics: "running" or "last", of "batch" likewise, see ``layers.batch_norm``.

    Params are ``{"dense_0": {"kernel" [D, H], "bias" [H]}, ...}``, with ``"norm_0": {"scale",
    "bias"}`` and ``"skip_0": {"kernel"}`` where there are any. With a normalisation over the batch
    the state is ``{"norm_0": {"mean", "var"}, ...}``, and ``apply`` takes two more keywords:
    ``mask``, x's leading axes or the first of them, True for the rows that count (others may hold
    NaN, and their eta means nothing), and ``observe``, see ``population_statistics``.

    Raises ValueError for fewer than two widths, a number of activations or initializers that does
    not fit, unknown names, a state of a normalisation that is not over the batch, and x of another
    width.

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
    one_of("norm_position", norm_position, ("pre", "post"))
    norm = find_normalization(norm, momentum, statistics)
    phi = [layers.activation(a) for a in activation]
    lecun = jax.nn.initializers.lecun_normal()
    if kernel_init is None:
        kernel_init = [layers.he_normal() if f in RECTIFIERS else lecun for f in phi] + [lecun]
    elif callable(kernel_init):
        kernel_init = (kernel_init,) * (hidden + 1)
    if len(kernel_init) != hidden + 1:
        raise ValueError(f"{len(kernel_init)} initializers for {hidden + 1} layers")
    hidden_bias = use_bias and not (norm.over_batch and norm_position == "pre")

    def init(key):
        keys = jax.random.split(key, hidden + 1)
        params, state = {}, {}
        for i, (k, m, n) in enumerate(zip(keys, sizes[:-1], sizes[1:], strict=True)):
            if skip and i < hidden and m != n:  # a key of its own: other draws stay as they are
                params[f"skip_{i}"] = layers.skip_init(jax.random.fold_in(k, 1), m, n)
            params[f"dense_{i}"] = layers.dense_init(
                k,
                m,
                n,
                kernel_init=kernel_init[i],
                use_bias=hidden_bias if i < hidden else use_bias,
            )
            if i < hidden:
                params[f"norm_{i}"], state[f"norm_{i}"] = norm.init(n)
        params, state = without_empty(params), without_empty(state)
        if state and not norm.over_batch:
            raise ValueError("a normalisation with a state is over the batch: over_batch=True")
        return params, state

    def apply(params, state, x, *, key=None, train=False, mask=None, observe=False):
        if mask is not None:  # also without training: zero times NaN is NaN in gradients
            x = jnp.where(spread_mask(mask, x), x, 0)
        new = dict(state)

        def normalize(i, a):
            name = f"norm_{i}"
            old = params.get(name, {}), state.get(name, {})
            y, new[name] = norm.apply(*old, a, train=train, mask=mask, observe=observe)
            return y

        for i in range(hidden):
            a = layers.dense(params[f"dense_{i}"], x)
            h = phi[i](normalize(i, a)) if norm_position == "pre" else normalize(i, phi[i](a))
            layer_key = None if key is None else jax.random.fold_in(key, i)
            h = layers.dropout(h, dropout, key=layer_key, train=train)
            x = layers.add_skip(params.get(f"skip_{i}"), x, h) if skip else h
        return layers.dense(params[f"dense_{hidden}"], x), without_empty(new)

    def apply_without_state(params, x, *, key, train):
        return apply(params, {}, x, key=key, train=train)[0]

    if norm.over_batch:
        return Model(init, apply, sees_mask=True)
    return stateless(lambda key: init(key)[0], apply_without_state)
