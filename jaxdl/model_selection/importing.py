"""Functions by the path that they are imported from; a file never has one imported unasked."""

import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from jaxdl.model_selection.saved import NotHereError

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
OURS = ("jaxdl.features",)  # what makes transforms, without arguments


def path_of(fn: Callable | None) -> str | None:
    """``"module:name"`` of a function that can be imported; None of others, as of a closure.

    >>> from jaxdl import features
    >>> path_of(features.standardize), path_of(lambda h: h)
    ('jaxdl.features.transforms:standardize', None)
    """
    if fn is None:
        return None
    path = f"{getattr(fn, '__module__', None)}:{getattr(fn, '__qualname__', None)}"
    if not _PATH.fullmatch(path) or path.startswith("__main__:"):
        return None
    try:
        return path if imported(path) is fn else None
    except (ImportError, AttributeError):
        return None


def imported(path: str) -> Callable:
    """The function of a path."""
    module, names = path.split(":")
    value: Any = importlib.import_module(module)
    for name in names.split("."):
        value = getattr(value, name)
    return value


def trusted_function(path: str | None, trusted: Sequence[str], what: str) -> Callable | None:
    """The function of a path in a file, if its module is in a trusted package; None without a path.

    Raises a ValueError where it is not trusted, or not there.
    """
    if path is None:
        return None
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise NotHereError(f"its {what} is no path of a function")
    module = path.split(":")[0]
    if not any(module == name or module.startswith(f"{name}.") for name in trusted):
        raise NotHereError(
            f"its {what} is {path[:80]}, which would be imported and run: pass {what}=, or "
            f"trusted=({module.split('.')[0]!r},) if you trust the file"
        )
    try:
        fn = imported(path)
    except (ImportError, AttributeError) as error:
        raise NotHereError(f"its {what}, {path[:80]}, cannot be imported ({error})") from None
    if path_of(fn) != path:  # what a module has of others is not of the package that is trusted
        raise NotHereError(f"its {what}, {path[:80]}, is a function of another module")
    return fn
