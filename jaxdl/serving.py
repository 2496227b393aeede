"""Models that were exported whole: predictions from one file, without any code of the model's.

The file is an NPZ: ``program``, the bytes of ``jax.export`` (StableHLO with the weights and the
transform in it), and ``__header__``, a JSON text that says what goes in and what the classes are
called. JAX and NumPy read it, with flatbuffers (the extra ``serve``), which JAX takes for that::

    file = np.load("model.npz")
    predict = jax.export.deserialize(file["program"].tobytes()).call  # predict(x), x [B, ...]

This module adds what whoever serves wants: a file that is checked before it is used, labels and
tables in and out, few compilations whatever the numbers of rows, and the compiler options by which
sums on CPUs are right (``programs``). A program is data for XLA: it computes from its input, reads
no file and calls no Python, and one that would is refused. JAX runs files of the last six months,
of its own counting. Source: https://docs.jax.dev/en/latest/export/export.html
"""

import json
import os
import re
import zlib
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export

from jaxdl import checks, files, programs
from jaxdl.arrays import filled_up, num_rows
from jaxdl.base import Responses
from jaxdl.data import frames
from jaxdl.data.frames import Names

FORMAT = 1
# What a program may call of XLA's own; anything else is code that is somewhere on the machine.
CALLS = {
    "Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "mhlo.erf", "mhlo.topk",
    "shape_assertion", "stablehlo.dynamic_reduce_window", "stablehlo.dynamic_top_k",
}  # fmt: skip
_CALL = re.compile(r'custom_call\s+@(?:"([^"]+)"|([\w.$]+))|call_target_name\s*=\s*"([^"]*)"')


class Served(NamedTuple):
    """A model that was exported.

    exported: jax.export's. row: shape and dtype of a row [...] of each array of x. batch: the rows
    that it takes at once; None for any number. responses, names: as those of the Fitted.
    """

    exported: Any
    row: tuple[jax.ShapeDtypeStruct, ...]
    batch: int | None
    responses: Responses | None
    names: Names

    def __repr__(self) -> str:
        rows = " and ".join(
            f"{leaf.dtype}{['B', *leaf.shape]}".replace("'", "") for leaf in self.row
        )
        out = ", ".join(map(str, self.exported.out_avals))
        return f"exported for {', '.join(self.exported.platforms)}: {rows} to {out}"

    def predict(self, x: Any) -> Any:
        """The mean prediction E[y|x], [B, ...], as ``Fitted.predict``: of arrays or a DataFrame.

        Raises a ValueError for features of another kind.
        """
        out, names = self._predicted(x), self.names
        columns = names.classes if out.shape[1:] == (len(names.classes or ()),) else None
        return frames.like(x, out, columns, names.target)

    def predict_proba(self, x: Any) -> Any:
        """Probabilities [B, K] of the classes, as ``Fitted.predict_proba``."""
        p = self._of_classes(x)
        return frames.like(x, frames.as_probabilities(p), self.names.classes)

    def labels(self, x: Any) -> Any:
        """The likeliest class [B] of each row, by its name where there are any."""
        return frames.like(
            x, frames.as_labels(self._of_classes(x), self.names), name=self.names.target
        )

    def _of_classes(self, x):
        p = self._predicted(x)
        frames.check_classes(p, self.responses, self.names)
        return p

    def _predicted(self, x: Any) -> np.ndarray:
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(frames.values_of(x, self.names))]
        shapes = [list(leaf.shape) for leaf in leaves]
        wanted = [["B", *leaf.shape] for leaf in self.row]
        if [shape[1:] for shape in shapes] != [shape[1:] for shape in wanted]:
            raise ValueError(
                f"x has the shapes {shapes}, the model takes {wanted}".replace("'", "")
            )
        for array, leaf in zip(leaves, self.row, strict=True):
            if not np.can_cast(array.dtype, leaf.dtype, "same_kind"):
                raise ValueError(f"x is {array.dtype}, and the model takes {leaf.dtype}")
        leaves = [a.astype(leaf.dtype) for a, leaf in zip(leaves, self.row, strict=True)]
        n, call = num_rows(leaves), programs.compiled(_call)
        if self.batch is None:
            return np.asarray(call(_Kept(self.exported), *filled_up(leaves)))[:n]
        blocks = []
        for start in range(0, n, self.batch):
            index = np.minimum(np.arange(start, start + self.batch), n - 1)
            blocks.append(np.asarray(call(_Kept(self.exported), *(a[index] for a in leaves))))
        return np.concatenate(blocks)[:n]


class _Kept:
    """An exported program as a key of ``jit``: known by its identity."""

    def __init__(self, exported: Any):
        self.exported = exported

    def __hash__(self) -> int:
        return id(self.exported)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Kept) and other.exported is self.exported


def _call(kept: _Kept, *leaves):
    return kept.exported.call(*leaves)


def header_of(served: Served, program: bytes, version: str) -> dict[str, Any]:
    """What is written beside a program, in JSON's types."""
    responses = served.responses
    return {
        "kind": "exported",
        "format": FORMAT,
        "jaxdl": version,
        "row": [{"shape": list(leaf.shape), "dtype": str(leaf.dtype)} for leaf in served.row],
        "batch": served.batch,
        "responses": None if responses is None else [str(v) for v in responses],
        "names": served.names._asdict(),
        "platforms": list(served.exported.platforms),
        "checksum": zlib.crc32(program),
    }


def load(path: str | os.PathLike) -> Served:
    """The model that ``model_selection.export`` wrote.

    Raises a ValueError in one line for a file that is missing, damaged or of another kind, of a
    newer format, for another platform, and for a program that calls anything on the machine.
    """
    try:
        with files.opened_npz(path) as arrays:
            header = files.json_of(arrays, "__header__")
            if header.get("kind") != "exported":
                raise ValueError("it is no exported model")
            if header.get("format") != FORMAT:
                raise ValueError(f"its format is {str(header.get('format'))[:20]}, not {FORMAT}")
            described = arrays.described.get("program")
            if described is None or (described.dtype, len(described.shape)) != (
                np.dtype(np.uint8),
                1,
            ):
                raise ValueError("it has no program")
            program = arrays.read("program").tobytes()
        if zlib.crc32(program) != header["checksum"]:
            raise ValueError("its program is not what was written")
        return _checked(header, _deserialized(program))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: not an exported model, or a damaged one ({files.reason(error)})"
        ) from None


def _deserialized(program: bytes) -> Any:
    check_extra()
    try:
        exported = export.deserialize(bytearray(program))
        text = exported.mlir_module()
    except Exception as error:  # flatbuffers and MLIR fail in ways of their own
        raise ValueError(f"its program cannot be read: {files.reason(error)}") from None
    check_calls(text)
    return exported


def check_extra() -> None:
    """Raise an ImportError that names the extra where flatbuffers is not installed."""
    try:
        import flatbuffers  # noqa: F401
    except ImportError:
        raise ImportError("exported models need flatbuffers: pip install 'jaxdl[serve]'") from None


def check_calls(text: str) -> None:
    """Raise a ValueError where a StableHLO module calls what is none of CALLS.

    >>> check_calls("stablehlo.custom_call @xla_python_cpu_callback(%0)")
    Traceback (most recent call last):
    ValueError: its program calls 'xla_python_cpu_callback'
    """
    called = ["".join(groups) for groups in _CALL.findall(text)]
    unknown = sorted(set(called) - CALLS)
    if unknown:
        raise ValueError(f"its program calls {unknown[0]!r}")
    if len(called) < text.count("custom_call"):
        raise ValueError("its program calls what has no name")


def _checked(header: dict[str, Any], exported: Any) -> Served:
    """The Served of a header, whose claims are held against the program."""
    names = Names(**header["names"])
    for listed in (names.features, names.classes):
        if listed is not None and not (
            isinstance(listed, list) and all(isinstance(v, str) for v in listed)
        ):
            raise ValueError("its names are no texts")
    if not isinstance(names.target, (str, type(None))):
        raise ValueError("its names are no texts")
    tupled = lambda listed: None if listed is None else tuple(listed)
    names = Names(tupled(names.features), tupled(names.classes), names.target)
    responses = header["responses"]
    if responses is not None:
        kind, low, high = responses
        responses = Responses(str(kind), float(low), float(high))
    row = tuple(jax.ShapeDtypeStruct(aval.shape[1:], aval.dtype) for aval in exported.in_avals)
    said = [(tuple(leaf["shape"]), leaf["dtype"]) for leaf in header["row"]]
    if said != [(leaf.shape, str(leaf.dtype)) for leaf in row]:
        raise ValueError("its program takes other arrays")
    batch = header["batch"]
    if batch is not None and not (checks.is_whole(batch) and [a.shape[0] for a in exported.in_avals] == [batch] * len(row)):  # fmt: skip
        raise ValueError("its program takes another number of rows")
    if len(exported.out_avals) != 1:
        raise ValueError("its program gives more than one array")
    here = jax.default_backend()
    if not any(_same(platform, here) for platform in exported.platforms):
        raise ValueError(f"it was exported for {', '.join(exported.platforms)}, not for {here}")
    return Served(exported, row, batch, responses, names)


def _same(platform: str, backend: str) -> bool:
    return platform == backend or (backend == "gpu" and platform in ("cuda", "rocm"))


def as_text(header: dict[str, Any]) -> str:
    """A header as JSON."""
    return json.dumps(header, allow_nan=False)
