"""PyTorch's layouts of recurrent cells and of their stacks in one or both directions."""

import numpy as np

from jaxdl.interop.pytorch.layout import Layout, count, join, only, ours, take, theirs


def cell(ending: str = "") -> Layout:
    """``RNNCell``, ``LSTMCell`` or ``GRUCell``, as its shapes say; ours have the same order of gates.

    ``weight_ih`` [G H, D] and ``weight_hh`` [G H, H] are the kernels of ``"input"`` and
    ``"recurrent"``, transposed. PyTorch has two offsets of each gate, whose sum is ours: it is
    written as ``bias_ih``, with a ``bias_hh`` of zeros. Of a GRU's candidate both count, the second
    one as ``"recurrent"``'s ``bias`` [H]: PyTorch's reset gate is that of ``reset="after"``, and
    without offsets nothing in the weights of the other tells them apart. ``ending`` stands behind
    each name, as ``"_l0"`` in a stack.

    Raises a ValueError for a learned initial state, which PyTorch's cells have not.
    """

    def read(weights, prefix):
        name = lambda kind: join(prefix, f"{kind}{ending}")
        u = take(weights, name("weight_hh"), (None, None))
        size, hidden = u.shape
        if size not in (hidden, 3 * hidden, 4 * hidden):
            raise ValueError(
                f"{name('weight_hh')!r} is [G H, H] with G of 1, 3 or 4, not {list(u.shape)}"
            )
        w = take(weights, name("weight_ih"), (size, None))
        params = {"input": {"kernel": ours(w.T)}, "recurrent": {"kernel": ours(u.T)}}
        if name("bias_ih") in weights or name("bias_hh") in weights:
            b, c = (take(weights, name(f"bias_{k}"), (size,)) for k in ("ih", "hh"))
            if size == 3 * hidden:
                params["recurrent"]["bias"] = ours(c[2 * hidden :])
                c = np.where(np.arange(size) < 2 * hidden, c, 0)
            params["input"]["bias"] = ours(b + c)
        return params, {}

    def write(params, state, prefix):
        only(params, ("input", "recurrent"))
        w, u = (np.asarray(params[k]["kernel"]) for k in ("input", "recurrent"))
        hidden, size = u.shape
        weights = {"weight_ih": w.T, "weight_hh": u.T}
        bias, candidate = (params[k].get("bias") for k in ("input", "recurrent"))
        if (candidate is not None) != (bias is not None and size == 3 * hidden):
            raise ValueError(
                "PyTorch's GRU has offsets of inputs and of the candidate, or none: it is a "
                'gru_cell with reset="after"'
            )
        if bias is not None:
            second = np.zeros_like(bias)
            if candidate is not None:
                second[2 * hidden :] = candidate
            weights |= {"bias_ih": bias, "bias_hh": second}
        return {join(prefix, f"{k}{ending}"): theirs(v) for k, v in weights.items()}

    return Layout(read, write)


def recurrent() -> Layout:
    """``RNN``, ``LSTM`` or ``GRU`` as the params of ``layers.stacked``, ``{"layer_0": ..., ...}``.

    How many layers there are, and whether each is a pair ``{"forward", "backward"}``, is read off
    the names. Projections (``proj_size``) have no counterpart.
    """

    def direction(layer, name):
        return cell(f"_l{layer}_reverse" if name == "backward" else f"_l{layer}")

    def read(weights, prefix):
        there = lambda end: join(prefix, f"weight_hh{end}") in weights
        params = {}
        for i in range(max(count(lambda i: there(f"_l{i}")), 1)):
            names = ("forward", "backward") if there(f"_l{i}_reverse") else ("forward",)
            both = {name: direction(i, name).read(weights, prefix)[0] for name in names}
            params[f"layer_{i}"] = both if len(both) == 2 else both["forward"]
        return params, {}

    def write(params, state, prefix):
        only(params, [f"layer_{i}" for i in range(len(params))])
        weights = {}
        for i in range(len(params)):
            layer = params[f"layer_{i}"]
            both = layer if "backward" in layer else {"forward": layer}
            for name, one in both.items():
                weights |= direction(i, name).write(one, {}, prefix)
        return weights

    return Layout(read, write)
