"""PyTorch's layouts of dense layers, convolutions, embeddings and normalisations."""

from collections.abc import Callable

import numpy as np

from jaxdl.interop.pytorch.layout import Layout, join, only, ours, take, theirs


def linear() -> Layout:
    """``Linear``: ``weight`` [K, D] is ``kernel`` [D, K] of ``layers.dense``, ``bias`` is [K]."""
    return _affine((2,), lambda ndim: (1, 0))


def conv() -> Layout:
    """``Conv1d`` to ``Conv3d``, any groups: ``weight`` [K, D / groups, *F] is ``kernel`` [*F, D / groups, K]."""
    return _affine((3, 4, 5), lambda ndim: (*range(2, ndim), 1, 0))


def conv_transpose() -> Layout:
    """``ConvTranspose1d`` to ``3d`` of one group: ``weight`` [D, K, *F] is ``kernel`` [*F, D, K]."""
    return _affine((3, 4, 5), lambda ndim: (*range(2, ndim), 0, 1))


def embedding() -> Layout:
    """``Embedding``: ``weight`` [V, D] is ``embedding``."""

    def read(weights, prefix):
        return {"embedding": ours(take(weights, join(prefix, "weight"), (None, None)))}, {}

    def write(params, state, prefix):
        only(params, ("embedding",))
        return {join(prefix, "weight"): theirs(params["embedding"])}

    return Layout(read, write)


def layer_norm() -> Layout:
    """``LayerNorm`` of one axis, or ``GroupNorm``: ``weight`` [D] is ``scale``, ``bias`` is ``bias``.

    PyTorch's epsilon is 1e-5; ours of ``layers.layer_norm`` is 1e-6 unless it is given.
    """

    def read(weights, prefix):
        scale = take(weights, join(prefix, "weight"), (None,))
        bias = take(weights, join(prefix, "bias"), scale.shape)
        return {"scale": ours(scale), "bias": ours(bias)}, {}

    def write(params, state, prefix):
        only(params, ("scale", "bias"))
        values = {"weight": params["scale"], "bias": params["bias"]}
        return {join(prefix, name): theirs(value) for name, value in values.items()}

    return Layout(read, write)


def batch_norm() -> Layout:
    """``BatchNorm1d`` to ``3d``: as ``layer_norm``, and ``running_mean``, ``running_var`` [D].

    These are the state ``{"mean", "var"}``. PyTorch's momentum is one minus ours, and its running
    variance is that of ``unbiased_running=True``.
    """
    affine = layer_norm()

    def read(weights, prefix):
        params, _ = affine.read(weights, prefix)
        shape = params["scale"].shape
        state = {k: take(weights, join(prefix, f"running_{k}"), shape) for k in ("mean", "var")}
        return params, {k: ours(v) for k, v in state.items()}

    def write(params, state, prefix):
        only(state, ("mean", "var"))
        running = {join(prefix, f"running_{k}"): theirs(state[k]) for k in ("mean", "var")}
        return {**affine.write(params, {}, prefix), **running}

    return Layout(read, write)


def _affine(ranks: tuple[int, ...], axes: Callable[[int], tuple[int, ...]]) -> Layout:
    """A kernel, its axes those of ``weight`` in another order, the outputs last; and a bias."""

    def read(weights, prefix):
        name = join(prefix, "weight")
        ndim = np.ndim(weights[name]) if name in weights else ranks[0]
        weight = take(weights, name, (None,) * (ndim if ndim in ranks else ranks[0]))
        params = {"kernel": ours(weight.transpose(axes(weight.ndim)))}
        if join(prefix, "bias") in weights:
            params["bias"] = ours(take(weights, join(prefix, "bias"), params["kernel"].shape[-1:]))
        return params, {}

    def write(params, state, prefix):
        only(params, ("kernel", "bias") if "bias" in params else ("kernel",))
        kernel = np.asarray(params["kernel"])
        if kernel.ndim not in ranks:
            raise ValueError(f"{prefix or 'the kernel'} has {kernel.ndim} axes, not one of {ranks}")
        weights = {"weight": kernel.transpose(np.argsort(axes(kernel.ndim)))}
        weights |= {"bias": params["bias"]} if "bias" in params else {}
        return {join(prefix, name): theirs(value) for name, value in weights.items()}

    return Layout(read, write)
