"""Trained models as one program with its weights: see ``jaxdl.serving``, which reads it."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jax import export as jax_export

import jaxdl
from jaxdl import files, serving
from jaxdl.checks import positive_int
from jaxdl.model_selection.fitted import Fitted
from jaxdl.serving import Served


def export(
    path: str | Path,
    fitted: Fitted,
    *,
    batch: int | None = None,
    platforms: Sequence[str] | None = None,
) -> Served:
    """Write a Fitted's ``predict`` whole: transform, members, weights and average, as StableHLO.

    To predict from the file takes JAX, NumPy and flatbuffers (the extra ``serve``), no code of the
    model's; ``serving.load`` reads it
    and says what is in it. Names of features and classes travel with it. Of the numbers it is that of
    ``predict`` to rounding.

    Args:
      path: the file, an NPZ; it is written whole or not at all.
      fitted: from ``refit``.
      batch: the number of rows that the program takes; default, any. Served predicts any number with
        either.
      platforms: ``"cpu"``, ``"cuda"``, ``"rocm"``, ``"tpu"``; default, the one that this is run on.

    Returns the model as ``serving.load`` would give it.

    Raises a ValueError for a model that cannot be exported for any number of rows, of which ``batch``
    rows may do, and for one that calls Python or a library of the machine; an OSError where the file
    cannot be written.
    """
    serving.check_extra()
    leaves, tree = jax.tree.flatten(fitted.row)
    dtype = jax.dtypes.canonicalize_dtype
    row = tuple(jax.ShapeDtypeStruct(leaf.shape, dtype(leaf.dtype)) for leaf in leaves)
    rows = jax_export.symbolic_shape("b")[0] if batch is None else positive_int("batch", batch)
    shapes = [jax.ShapeDtypeStruct((rows, *leaf.shape), leaf.dtype) for leaf in row]
    predict = fitted.as_function()
    jitted = jax.jit(lambda *leaves: predict(jax.tree.unflatten(tree, leaves)))
    known = None if platforms is None else tuple(platforms)
    try:
        exported = jax_export.export(jitted, platforms=known)(*shapes)
    except Exception as error:  # of shapes that are no numbers, models fail in ways of their own
        advice = "; batch=, a number of rows, may do" if batch is None else ""
        raise ValueError(f"the model cannot be exported: {files.reason(error)}{advice}") from error
    serving.check_calls(exported.mlir_module())
    program = bytes(exported.serialize())
    served = Served(exported, row, batch, fitted.responses, fitted.names)
    header = serving.as_text(serving.header_of(served, program, jaxdl.__version__))
    files.write_npz(
        path, {"__header__": np.array(header), "program": np.frombuffer(program, np.uint8)}
    )
    return served
