"""What a run is given, checked before anything is compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl import checks
from jaxdl.base import Array, Batch, Learner, Responses, Sequences, Transform, weights
from jaxdl.data.dataset import Dataset


def check_learner(learner: Any) -> Learner:
    """The learner. Raises a ValueError unless it is one."""
    if not isinstance(learner, Learner):
        raise ValueError(
            "only a Learner can be trained, such as gradient_learner(model, objective, optimizer) "
            f"gives, not {type(learner).__name__}"
        )
    return learner


def as_arrays(
    data: Any,
    name: str = "data",
    *,
    mended: bool = False,
    finite: bool = True,
    advice: str = "drop those rows, or fill them first, with features.impute_mean() say",
) -> Batch:
    """The arrays behind a Dataset, a pair (x, y) or any pytree, as they are.

    With ``mended`` the first part may have NaNs; with ``finite=False`` no values are looked at.
    Raises a ValueError, with some ``advice``, where lengths differ, nothing is there, or a value
    (of Sequences, one before an end) is not a finite number in the type that JAX makes of it.
    Traced values are not read.
    """
    if isinstance(data, Dataset):
        data = data.x if data.y is None else (data.x, data.y)
    if isinstance(data, list):
        data = tuple(data)
    for position, part in enumerate(data if type(data) is tuple else ()):
        if part is None:
            raise ValueError(f"part {position} of the {name} is None, not an array")
    data = jax.tree.map(
        lambda leaf: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf), data
    )
    leaves = jax.tree.leaves(data)
    if not leaves or any(leaf.ndim == 0 for leaf in leaves):
        raise ValueError(
            f"{name} must be a pytree of arrays with a leading example axis, as (x, y)"
        )
    lengths = [leaf.shape[0] for leaf in leaves]
    if len(set(lengths)) > 1:
        raise ValueError(f"the parts of the {name} differ in length: {lengths}")
    if lengths[0] == 0:
        raise ValueError(f"the {name} have no rows")
    for position, part in enumerate(data if type(data) is tuple else (data,)):
        arrays = jax.tree_util.tree_leaves_with_path(part, is_leaf=_is_sequences)
        for path, array in arrays:
            label = f"part {position}{jax.tree_util.keystr(path)} of the {name}"
            looked_at = finite and not (mended and position == 0)
            if _is_sequences(array):
                _check_sequences(array, label)
            _check_numbers(array, label, looked_at, advice)
    return data


def check_responses(data: Batch, responses: Responses | None, name: str = "data") -> None:
    """Raise a ValueError where y, or data of one part, hold what is none of the Responses."""
    if type(data) is not tuple or len(data) in (2, 3):
        checks.check_responses(data[1] if type(data) is tuple else data, responses, name)


def check_weights(data: Batch, weighs: bool, name: str = "data") -> None:
    """Raise a ValueError unless the weights of ``(x, y, weight)`` are some, and are made use of.

    They are [N] real numbers from 0 on, not all 0; traced ones are not read. ``weighs`` is the
    learner's.
    """
    weight = weights(data)
    if weight is None:
        return
    if not weighs:
        raise ValueError(
            f"the {name} have three parts, (x, y, weight), but this learner takes no weights "
            "(Learner.weighs): pass (x, y), or a dict for parts of another kind"
        )
    if weight.ndim != 1 or not jnp.issubdtype(weight.dtype, jnp.number):
        raise ValueError(
            f"the third part of the {name} are the weights [N] of rows, numbers from 0 on, not "
            f"{weight.dtype} {list(weight.shape)}"
        )
    if isinstance(weight, Tracer):
        return
    values = np.asarray(weight, np.float64)
    if values.min() < 0:
        raise ValueError(
            f"weights are 0 or more, and those of the {name} go down to {values.min():g}"
        )
    if not 0 < values.sum() < np.inf:
        raise ValueError(
            f"the weights of the {name} sum to {values.sum():g}: nothing can be weighed"
        )


def check_weights_of_batch(batch: Batch, name: str) -> None:
    """Raise a ValueError where sums of such weights over a stream may leave float32's numbers.

    There all batches share one unit, which no batch alone can choose.
    """
    if (weight := weights(batch)) is not None:
        total = np.asarray(weight, np.float64).sum()
        if not 1e-30 < total < 1e30:
            raise ValueError(
                f"the weights of the {name} sum to {total:g}: a stream adds them up in float32, so "
                "give them in a unit in which a batch's sum lies between 1e-30 and 1e30"
            )


def within_range(data: Batch) -> Batch:
    """The data; weights whose largest is beyond 2^50 or 2^-50 are divided by a power of two.

    It then lies in [1/2, 1), so that they are numbers of float32, and no sum of them overflows.
    Others stay as they are, for a learner may make use of their unit; traced ones stay too.
    """
    weight = weights(data)
    if weight is None or isinstance(weight, Tracer):
        return data
    values = np.asarray(weight, np.float64)
    exponent = np.frexp(values.max())[1]
    if abs(exponent) <= 50:
        return data
    scaled = np.ldexp(values, -exponent)
    return (*data[:2], scaled.astype(jax.dtypes.canonicalize_dtype(np.float64)))


def that_count(data: Batch) -> Batch:
    """The data without the rows of weight 0, so that these take no place in a batch either.

    Traced ones stay, and are left out of each batch's mean.
    """
    weight = weights(data)
    if weight is None or isinstance(weight, Tracer) or (rows := np.asarray(weight) > 0).all():
        return data
    return jax.tree.map(lambda leaf: leaf[rows], data)


def shape_of_a_row(x: Any) -> Any:
    """The shape and dtype of a row of each array of features [N, ...]."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), x)


def check_features(x: Any, row: Any) -> None:
    """Raise a ValueError unless features [B, ...] are of the kind of ``shape_of_a_row``.

    Arrays have as many axes, and real ones the last of the same width; how many positions, pixels
    or tokens there are is the model's own affair.
    """
    if jax.tree.structure(x) != jax.tree.structure(row):
        raise ValueError(
            f"x is {jax.tree.structure(x)}, but the model was trained on {jax.tree.structure(row)}"
        )
    for given, known in zip(jax.tree.leaves(x), jax.tree.leaves(row), strict=True):
        wide = len(known.shape) > 0 and not jnp.issubdtype(known.dtype, jnp.integer)
        if given.ndim != 1 + len(known.shape) or (wide and given.shape[-1] != known.shape[-1]):
            raise ValueError(
                f"x has the shape {list(given.shape)}, but the model was trained on rows of "
                f"{list(known.shape)}: it takes {['B', *known.shape]}".replace("'", "")
            )


def check_transform(transform: Any) -> Transform | None:
    """The Transform, or None. Raises a ValueError for anything else."""
    if transform is None or isinstance(transform, Transform):
        return transform
    if isinstance(transform, type) or not callable(transform):
        made = transform if isinstance(transform, type) else type(transform)
        what = f"{made.__module__.split('.')[0]}'s {made.__name__}"
    else:
        name = getattr(transform, "__name__", "it")
        what = f"the function {name}; call it, {name}()"
    raise ValueError(f"transform takes a Transform, as features.standardize() gives, not {what}")


def _is_sequences(node: Any) -> bool:
    return isinstance(node, Sequences)


def _check_sequences(sequences: Sequences, label: str) -> None:
    values, lengths = sequences
    if values.ndim < 2 or lengths.ndim != 1 or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(
            f"{label}: Sequences are values [N, T, ...] with whole lengths [N], not "
            f"{list(values.shape)} with {lengths.dtype} {list(lengths.shape)}"
        )
    if isinstance(lengths, Tracer):
        return
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest < 0 or longest > values.shape[1]:
        raise ValueError(
            f"{label}: lengths lie in 0..{values.shape[1]}, not {shortest} to {longest}"
        )


def _check_numbers(array: Array | Sequences, label: str, finite: bool, advice: str) -> None:
    values: Any = array.values if isinstance(array, Sequences) else array
    is_a = lambda kind: jnp.issubdtype(values.dtype, kind)
    if not (is_a(jnp.floating) or is_a(jnp.integer) or is_a(jnp.bool_)):
        raise ValueError(f"{label} is {values.dtype}, not a number to learn from")
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(array))
    becomes = jax.dtypes.canonicalize_dtype(values.dtype)
    if not finite or traced or is_a(jnp.bool_) or (is_a(jnp.integer) and becomes == values.dtype):
        return
    if isinstance(array, Sequences):
        values = array.filled()
    if is_a(jnp.integer):
        limits = jnp.iinfo(becomes)
        beyond = int(((values < limits.min) | (values > limits.max)).sum())
        if beyond:
            raise ValueError(f"{label} has {beyond} whole numbers that are beyond {becomes}")
        return
    # float64 becomes float32 unless 64 bits are enabled, and what is beyond that infinite.
    most = jnp.finfo(becomes).max if becomes != values.dtype else np.inf
    module = jnp if isinstance(values, jax.Array) else np
    unfit = int((~(module.isfinite(values) & (module.abs(values) <= most))).sum())
    if unfit:
        beyond = "" if becomes == values.dtype else f", or beyond {becomes}"
        raise ValueError(f"{label} has {unfit} values that are NaN or infinite{beyond}; {advice}")
