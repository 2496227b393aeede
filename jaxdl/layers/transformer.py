"""The transformer's layers: attention and a position-wise network, each with skip and norm.

Notes: §8.3.
"""

from collections.abc import Callable, Sequence

import jax

from jaxdl.base import Array, Key, Params
from jaxdl.checks import one_of, positive_int
from jaxdl.layers.activations import activation as named_activation
from jaxdl.layers.dense import dense, dense_init, lecun_normal
from jaxdl.layers.dropout import dropout as drop
from jaxdl.layers.multi_head_attention import multi_head_attention, multi_head_attention_init
from jaxdl.layers.normalization import layer_norm, layer_norm_init

NORM_POSITIONS = ("post", "pre")


def position_wise_ffn_init(
    key: Key,
    features: int,
    hidden: int,
    *,
    kernel_init: Callable = lecun_normal,
    use_bias: bool = True,
    dtype=None,
) -> Params:
    """``{"dense_0": W_0 [D, H], "dense_1": W_1 [H, D]}`` with offsets (D-80); the key is consumed.

    D = ``features``, H = ``hidden``. Raises ValueError for sizes under 1. Notes: L1117, §8.3.1.
    """
    d, h = positive_int("features", features), positive_int("hidden", hidden)
    keys = jax.random.split(key)
    options = {"kernel_init": kernel_init, "use_bias": use_bias, "dtype": dtype}
    return {
        "dense_0": dense_init(keys[0], d, h, **options),
        "dense_1": dense_init(keys[1], h, d, **options),
    }


def position_wise_ffn(
    params: Params, x: Array, *, activation: str | Callable[[Array], Array] = "relu"
) -> Array:
    """``phi(x_t W_0 + b_0) W_1 + b_1`` for each position of x [..., T, D], apart from the others.

    phi is ``activation``. Source: Vaswani et al. (2017). Notes: L1117, §8.3.1.

    >>> import jax.numpy as jnp
    >>> params = {"dense_0": {"kernel": jnp.eye(2)}, "dense_1": {"kernel": jnp.eye(2)}}
    >>> position_wise_ffn(params, jnp.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]
    """
    return dense(params["dense_1"], named_activation(activation)(dense(params["dense_0"], x)))


def encoder_layer_init(
    key: Key,
    features: int,
    num_heads: int,
    hidden: int,
    *,
    key_width: int | None = None,
    value_width: int | None = None,
    attention_bias: bool = False,
    use_bias: bool = True,
    kernel_init: Callable = lecun_normal,
    dtype=None,
) -> Params:
    """``{"attention", "norm_0", "ffn", "norm_1"}`` of one encoder layer; the key is consumed.

    The widths and ``attention_bias`` are those of ``multi_head_attention_init``, ``hidden`` and
    ``use_bias`` those of ``position_wise_ffn_init``.
    """
    keys = jax.random.split(key)
    return {
        "attention": multi_head_attention_init(
            keys[0],
            features,
            num_heads,
            key_width=key_width,
            value_width=value_width,
            use_bias=attention_bias,
            kernel_init=kernel_init,
            dtype=dtype,
        ),
        "norm_0": layer_norm_init(features, dtype=dtype),
        "ffn": position_wise_ffn_init(
            keys[1], features, hidden, use_bias=use_bias, kernel_init=kernel_init, dtype=dtype
        ),
        "norm_1": layer_norm_init(features, dtype=dtype),
    }


def encoder_layer(
    params: Params,
    x: Array,
    *,
    mask: Array | None = None,
    causal: bool = False,
    turn: Callable[[Array], Array] | None = None,
    norm_position: str = "post",
    activation: str | Callable = "relu",
    epsilon: float | Array = 1e-6,
    dropout: float | Array = 0.0,
    attention_dropout: float | Array = 0.0,
    key: Key | None = None,
    train: bool = False,
    return_weights: bool = False,
    implementation: str = "auto",
):
    """Self-attention and the position-wise network, for x [..., T, D].

    Post-LN, as in the notes: ``X_1 = LayerNorm(X + MHSA(X))``, ``X_2 = LayerNorm(X_1 + PWFF(X_1))``.
    Pre-LN: ``X_1 = X + MHSA(LayerNorm(X))``, ``X_2 = X_1 + PWFF(LayerNorm(X_1))``, where the skip
    path is never normalised. With ``causal=True`` it is the layer of a decoder without a source.
    Source: Vaswani et al. (2017); Xiong et al. (2020). Notes: Eqs. (41)-(43), §8.3.1.

    Args:
      mask, causal: who may be seen, see ``dot_product_attention``.
      turn: of queries and keys, see ``multi_head_attention``.
      norm_position: "post" or "pre".
      activation: of the position-wise network.
      epsilon: of the layer norms.
      dropout: rate behind each of the two parts, before the skip connection is added.
      attention_dropout: rate of the attention weights.
      key, train: of both dropouts.
      return_weights: whether to return ``(output, weights [..., h, T, T])``.
      implementation: of attention, see ``dot_product_attention``.

    Returns [..., T, D]. Raises ValueError for x of another width.
    """
    keys, kept = _keys(key, 3), []

    def attention(x):
        found = multi_head_attention(
            params["attention"],
            x,
            mask=mask,
            causal=causal,
            turn=turn,
            dropout=attention_dropout,
            key=keys[2],
            train=train,
            return_weights=return_weights,
            implementation=implementation,
        )
        return _keep(kept, found)

    network = lambda x: position_wise_ffn(params["ffn"], x, activation=activation)
    x = sublayers(
        params,
        x,
        (attention, network),
        norm_position=norm_position,
        epsilon=epsilon,
        dropout=dropout,
        keys=keys,
        train=train,
    )
    return (x, kept[0]) if return_weights else x


def decoder_layer_init(
    key: Key,
    features: int,
    num_heads: int,
    hidden: int,
    *,
    source_features: int | None = None,
    key_width: int | None = None,
    value_width: int | None = None,
    attention_bias: bool = False,
    use_bias: bool = True,
    kernel_init: Callable = lecun_normal,
    dtype=None,
) -> Params:
    """``{"attention", "norm_0", "source_attention", "norm_1", "ffn", "norm_2"}``; the key is consumed.

    ``source_features`` is the width of the encoder's output, by default ``features`` (D-76); the
    rest as in ``encoder_layer_init``.
    """
    keys = jax.random.split(key)
    norm = layer_norm_init(features, dtype=dtype)
    layer = encoder_layer_init(
        keys[0],
        features,
        num_heads,
        hidden,
        key_width=key_width,
        value_width=value_width,
        attention_bias=attention_bias,
        use_bias=use_bias,
        kernel_init=kernel_init,
        dtype=dtype,
    )
    source_attention = multi_head_attention_init(
        keys[1],
        features,
        num_heads,
        kv_dim=source_features,
        key_width=key_width,
        value_width=value_width,
        use_bias=attention_bias,
        kernel_init=kernel_init,
        dtype=dtype,
    )
    return {**layer, "source_attention": source_attention, "norm_2": norm}


def decoder_layer(
    params: Params,
    y: Array,
    source: Array,
    *,
    mask: Array | None = None,
    source_mask: Array | None = None,
    causal: bool = True,
    turn: Callable[[Array], Array] | None = None,
    norm_position: str = "post",
    activation: str | Callable = "relu",
    epsilon: float | Array = 1e-6,
    dropout: float | Array = 0.0,
    attention_dropout: float | Array = 0.0,
    key: Key | None = None,
    train: bool = False,
    return_weights: bool = False,
    implementation: str = "auto",
):
    """Masked self-attention, attention to the encoder's output, and the position-wise network.

    For targets Y [..., T, D] and ``source`` X [..., S, D_x], post-LN:
    ``Y_1 = LayerNorm(Y + MHSA(Y))``, ``Y_2 = LayerNorm(Y_1 + MHA(Q=Y_1, K=X, V=X))``,
    ``Y_3 = LayerNorm(Y_2 + PWFF(Y_2))``. The query of the second is Y_1, as in (45); the notes'
    (46) has Y in its place (D-75). Pre-LN normalises the input of each part instead.
    Source: Vaswani et al. (2017). Notes: Eqs. (44)-(47), §8.3.2.

    Args:
      mask, causal: which targets may be seen; ``source_mask``: which positions of the source,
        [B or 1, h or 1, T or 1, S].
      turn: of the queries and keys of self-attention.
      return_weights: whether to return ``(output, (weights [..., h, T, T], source_weights
        [..., h, T, S]))``.
      The rest as in ``encoder_layer``.

    Returns [..., T, D].
    """
    keys, kept = _keys(key, 5), []

    def attention(y):
        found = multi_head_attention(
            params["attention"],
            y,
            mask=mask,
            causal=causal,
            turn=turn,
            dropout=attention_dropout,
            key=keys[3],
            train=train,
            return_weights=return_weights,
            implementation=implementation,
        )
        return _keep(kept, found)

    def source_attention(y):
        found = multi_head_attention(
            params["source_attention"],
            y,
            source,
            mask=source_mask,
            dropout=attention_dropout,
            key=keys[4],
            train=train,
            return_weights=return_weights,
            implementation=implementation,
        )
        return _keep(kept, found)

    network = lambda y: position_wise_ffn(params["ffn"], y, activation=activation)
    y = sublayers(
        params,
        y,
        (attention, source_attention, network),
        norm_position=norm_position,
        epsilon=epsilon,
        dropout=dropout,
        keys=keys,
        train=train,
    )
    return (y, tuple(kept)) if return_weights else y


def sublayers(
    params: Params,
    x: Array,
    parts: Sequence[Callable[[Array], Array]],
    *,
    norm_position: str = "post",
    epsilon: float | Array = 1e-6,
    dropout: float | Array = 0.0,
    keys: Sequence[Key | None] | None = None,
    train: bool = False,
) -> Array:
    """Each part i in turn, with its skip connection and ``params["norm_i"]``.

    "post": ``x = LayerNorm_i(x + f_i(x))``; "pre": ``x = x + f_i(LayerNorm_i(x))``.
    """
    one_of("norm_position", norm_position, NORM_POSITIONS)
    for i, part in enumerate(parts):
        normed = lambda x, i=i: layer_norm(params[f"norm_{i}"], x, epsilon=epsilon)
        y = part(x) if norm_position == "post" else part(normed(x))
        y = drop(y, dropout, key=None if keys is None else keys[i], train=train)
        x = normed(x + y) if norm_position == "post" else x + y
    return x


def _keep(kept, result):
    """What attention gives; weights that come along are kept aside."""
    if not isinstance(result, tuple):
        return result
    kept.append(result[1])
    return result[0]


def _keys(key, number):
    return [None] * number if key is None else list(jax.random.split(key, number))
