"""PyTorch's layouts of attention, of the transformer's layers and of its stacks."""

import numpy as np

from jaxdl.checks import positive_int
from jaxdl.interop.pytorch.layers import layer_norm, linear
from jaxdl.interop.pytorch.layout import Layout, join, only, ours, parts, stack, take, theirs

NAMES = ("query", "key", "value")


def attention(num_heads: int) -> Layout:
    """``MultiheadAttention`` with h = ``num_heads`` as ``layers.multi_head_attention``.

    ``in_proj_weight`` [3 D, D], or ``q_proj_weight`` [D, D], ``k_proj_weight`` [D, D_k] and
    ``v_proj_weight`` [D, D_v], are the kernels [D, h, D / h] of ``"query"``, ``"key"`` and
    ``"value"``; ``out_proj.weight`` [D, D] is that of ``"out"``, [h, D / h, D]. ``bias_k`` and
    ``bias_v`` have no counterpart.

    Raises a ValueError for heads of other widths than D / h, and for offsets of some maps only.
    """
    positive_int("num_heads", num_heads)
    out_layout = linear()

    def into_heads(weight, name):
        if weight.shape[0] % num_heads:
            raise ValueError(f"{name!r} has {weight.shape[0]} rows, no multiple of {num_heads}")
        return ours(weight.T.reshape(weight.shape[1], num_heads, -1))

    def read(weights, prefix):
        joined = join(prefix, "in_proj_weight")
        if joined in weights:
            found = take(weights, joined, (None, None))
            features = found.shape[1]
            split = dict(
                zip(
                    NAMES,
                    take(weights, joined, (3 * features, features)).reshape(3, features, -1),
                    strict=True,
                )
            )
        else:
            names = {n: join(prefix, f"{n[0]}_proj_weight") for n in NAMES}
            if not any(name in weights for name in names.values()):
                take(weights, joined, (None, None))  # which says that there is none
            query = take(weights, names["query"], (None, None))
            features = len(query)
            split = {n: take(weights, name, (features, None)) for n, name in names.items()}
        params = {n: {"kernel": into_heads(w, joined)} for n, w in split.items()}
        out, _ = out_layout.read(weights, join(prefix, "out_proj"))
        params["out"] = {
            **out,
            "kernel": out["kernel"].reshape(num_heads, -1, out["kernel"].shape[1]),
        }
        name = join(prefix, "in_proj_bias")
        if name in weights:
            bias = take(weights, name, (3 * features,)).reshape(3, num_heads, -1)
            for n, b in zip(NAMES, bias, strict=True):
                params[n]["bias"] = ours(b)
        return params, {}

    def write(params, state, prefix):
        only(params, (*NAMES, "out"))
        kernels = [np.asarray(params[n]["kernel"]) for n in NAMES]
        out = np.asarray(params["out"]["kernel"])
        features = out.shape[-1]
        width = (num_heads, features // num_heads)
        if any(k.shape[1:] != width for k in kernels) or out.shape[:2] != width:
            shapes = {n: list(np.shape(params[n]["kernel"])) for n in params}
            raise ValueError(
                f"PyTorch's {num_heads} heads of {features} features have the widths "
                f"{features} / {num_heads}; the kernels here are {shapes}"
            )
        flat = [k.reshape(len(k), features).T for k in kernels]
        if all(k.shape == (features, features) for k in flat):
            weights = {"in_proj_weight": np.concatenate(flat)}
        else:
            weights = {f"{n[0]}_proj_weight": k for n, k in zip(NAMES, flat, strict=True)}
        biases = [params[n]["bias"] for n in NAMES if "bias" in params[n]]
        if len(biases) not in (0, 3) or bool(biases) != ("bias" in params["out"]):
            raise ValueError("PyTorch's attention has offsets in all of its maps, or in none")
        if biases:
            weights["in_proj_bias"] = np.concatenate([np.ravel(b) for b in biases])
        weights = {join(prefix, name): theirs(value) for name, value in weights.items()}
        flat_out = {**params["out"], "kernel": out.reshape(-1, features)}
        return weights | out_layout.write(flat_out, {}, join(prefix, "out_proj"))

    return Layout(read, write)


def encoder_layer(num_heads: int) -> Layout:
    """``TransformerEncoderLayer`` as ``layers.encoder_layer``; PyTorch's epsilon is 1e-5."""
    return parts(_layer(num_heads))


def decoder_layer(num_heads: int) -> Layout:
    """``TransformerDecoderLayer`` as ``layers.decoder_layer``; PyTorch's epsilon is 1e-5."""
    more = {
        "source_attention": ("multihead_attn", attention(num_heads)),
        "norm_2": ("norm3", layer_norm()),
    }
    return parts({**_layer(num_heads), **more})


def encoder(num_heads: int) -> Layout:
    """``TransformerEncoder`` as ``{"layer_0": ..., ..., "norm"}``, the norm where there is one."""
    return stack(encoder_layer(num_heads), norm=layer_norm())


def decoder(num_heads: int) -> Layout:
    """``TransformerDecoder`` as ``{"layer_0": ..., ..., "norm"}``, the norm where there is one."""
    return stack(decoder_layer(num_heads), norm=layer_norm())


def _layer(num_heads):
    ffn = parts({"dense_0": ("linear1", linear()), "dense_1": ("linear2", linear())})
    return {
        "attention": ("self_attn", attention(num_heads)),
        "norm_0": ("norm1", layer_norm()),
        "ffn": ("", ffn),
        "norm_1": ("norm2", layer_norm()),
    }
