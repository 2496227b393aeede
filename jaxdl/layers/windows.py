"""Sizes, strides and padding of sliding windows: what convolution and pooling share. Notes: §6."""

from typing import Any

from jaxdl.checks import is_whole, one_of, positive_int

PADDINGS = ("valid", "same")


def per_axis(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """One positive whole number for each of ``rank`` axes; a single one stands for all.

    Raises ValueError for another number of them, and for what is no positive whole number.
    """
    values = (value,) * rank if is_whole(value) or not hasattr(value, "__len__") else tuple(value)
    if len(values) != rank:
        raise ValueError(f"{name} has {len(values)} entries for {rank} spatial axes")
    return tuple(positive_int(name, v) for v in values)


def pads(
    padding: Any, sizes: tuple[int, ...], windows: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """The cells put before and after each axis: ``((before, after), ...)``.

    ``"valid"`` puts none; ``"same"`` as many as give ceil(size / stride) outputs, the odd one
    behind; P puts P on every side; pairs are taken as they are. ``windows`` are dilated already.
    Raises ValueError for anything else.
    """
    rank = len(sizes)
    if isinstance(padding, str):
        one_of("padding (a name, a number or pairs)", padding, PADDINGS)
        if padding == "valid":
            return ((0, 0),) * rank
        total = [
            max((-(-n // s) - 1) * s + f - n, 0)
            for n, f, s in zip(sizes, windows, strides, strict=True)
        ]
        return tuple((t // 2, t - t // 2) for t in total)
    if is_whole(padding):
        padding = ((padding, padding),) * rank
    try:
        pairs = tuple((before, after) for before, after in padding)
    except (TypeError, ValueError):
        raise ValueError(
            f'padding is "valid", "same", a number or ((before, after), ...), not {padding!r}'
        ) from None
    if len(pairs) != rank:
        raise ValueError(f"padding has {len(pairs)} pairs for {rank} spatial axes")
    if any(not is_whole(p) or p < 0 for pair in pairs for p in pair):
        raise ValueError(f"padding is of whole numbers from 0 on, not {padding!r}")
    return tuple((int(before), int(after)) for before, after in pairs)


def output_size(size: int, window: int, stride: int, pad: tuple[int, int], strict: bool) -> int:
    """``floor((size + before + after - window) / stride) + 1`` of one axis; see ``conv_output_size``.

    ``pad`` is ``(before, after)``. Raises a ValueError where the window does not fit and, with
    ``strict``, where some cells are left over (D-61).

    >>> output_size(7, 3, 2, (0, 0), strict=True)
    3
    """
    room = size + sum(pad) - window
    if room < 0:
        raise ValueError(
            f"a window over {window} cells does not fit into {size} cells with padding {pad}"
        )
    if strict and room % stride:
        raise ValueError(
            f"a window over {window} cells at stride {stride} leaves {room % stride} of {size} "
            f"cells (padding {pad}) unseen; strict=False drops them"
        )
    return room // stride + 1


def conv_output_size(
    size: int,
    filter_size: int,
    *,
    stride: int = 1,
    padding: Any = "valid",
    dilation: int = 1,
    strict: bool = False,
) -> int:
    """``H' = floor((H - F' + P_before + P_after) / S) + 1`` with ``F' = dilation (F - 1) + 1``.

    H = ``size``, F = ``filter_size``, S = ``stride`` of one spatial axis; ``padding`` is
    ``"valid"``, ``"same"``, P or (before, after). The notes have no floor, and the quotient need
    not be whole (D-61): ``strict=True`` raises a ValueError then, as does a filter that does not
    fit. Notes: L913, §6.

    >>> conv_output_size(224, 7, stride=2, padding=3)
    112
    """
    size, stride = positive_int("size", size), positive_int("stride", stride)
    window = positive_int("dilation", dilation) * (positive_int("filter_size", filter_size) - 1) + 1
    named = isinstance(padding, str) or is_whole(padding)
    (pad,) = pads(padding if named else (padding,), (size,), (window,), (stride,))
    return output_size(size, window, stride, pad, strict)


def pool_output_size(
    size: int,
    window: int,
    *,
    stride: int | None = None,
    padding: Any = "valid",
    strict: bool = False,
) -> int:
    """``H' = floor((H - F + P_before + P_after) / S) + 1``; the depth stays, ``D' = D``.

    H = ``size``, F = ``window``, S = ``stride``, by default F. ``padding`` and ``strict`` are those
    of ``conv_output_size`` (D-61, D-62). Notes: L919, §6.

    >>> pool_output_size(7, 2)
    3
    """
    return conv_output_size(
        size, window, stride=window if stride is None else stride, padding=padding, strict=strict
    )
