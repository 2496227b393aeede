"""What is refused, and how it is said: one home for the checks that many modules make."""

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl.base import Array, Key, Responses, Sequences

_T = TypeVar("_T")


def filled_in(value: _T | None) -> _T:
    """A choice that may be None, where whoever checked it has made it: for readers of types.

    >>> filled_in(3)
    3
    """
    assert value is not None
    return value


def positive_int(name: str, value: Any) -> int:
    """The value as an int. Raises a ValueError unless it is a whole number from 1 on."""
    if not is_whole(value) or value < 1:
        raise ValueError(f"{name} must be a positive whole number, not {value!r}")
    return int(value)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number of Python's or NumPy's; True and False are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def one_of(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """The value. Raises a ValueError that lists the choices, and the nearest, unless it is one."""
    choices = list(choices)
    if value in choices:
        return value
    near = nearest(value, choices)
    meant = f"; did you mean {near!r}?" if near else ""
    raise ValueError(f"{name} is one of {', '.join(map(str, choices))}, not {value!r}{meant}")


def nearest(name: Any, known: Iterable[Any]) -> str | None:
    """The known name that is most like this one, or None where none is."""
    names = [k for k in known if isinstance(k, str)]
    return next(iter(difflib.get_close_matches(str(name), names, n=1, cutoff=0.7)), None)


def typed_key(key: Any) -> Key:
    """The key. Raises a ValueError unless it is one typed key, of shape []; it may be traced."""
    if not is_key(key):
        raise ValueError(f"key must be a typed key, jax.random.key(seed), not {key!r}")
    if key.shape != ():
        raise ValueError(f"key must be a single key, not of shape {key.shape}")
    return key


def is_key(x: Any) -> bool:
    """Whether x is an array of typed keys."""
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def check_responses(y: Any, responses: Responses | None, name: str = "data") -> None:
    """Raise a ValueError where a value of y, a pytree, lies outside the Responses.

    Padding does not count, NaN is no matter of this check, and traced values are not read.
    """
    if responses is None:
        return
    is_sequences = lambda node: isinstance(node, Sequences)
    for part in jax.tree.leaves(y, is_leaf=is_sequences):
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(part)):
            continue
        # On the host: while something else is traced, JAX would trace this too.
        values = np.asarray(part.filled() if is_sequences(part) else part)
        low, high = values.min(), values.max()
        if not (low < responses.low or high > responses.high):
            continue
        least, most = (f"{bound:g}" for bound in (responses.low, responses.high))
        advice = ""
        if responses.kind == "labels" and responses.low == 0:
            advice = "; features.from_one_based(y) makes 0..K-1 of labels 1..K"
        raise ValueError(
            f"the responses of the {name} are {responses.kind} from {least} to {most}, "
            f"not {low:g} to {high:g}{advice}"
        )


def same_shape(a: Any, b: Any, names: str) -> tuple[Array, Array]:
    """Both as arrays. Raises a ValueError where their shapes differ: nothing is broadcast."""
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"{names} must have one shape, not {a.shape} and {b.shape}")
    return a, b


def same_rows(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Both as arrays [N, ...] of one shape, as ``same_shape``; scalars are refused too."""
    y_true, y_pred = same_shape(y_true, y_pred, "y_true and y_pred")
    if y_true.ndim == 0:
        raise ValueError("y_true and y_pred must be [N, ...], not scalars")
    return y_true, y_pred
