"""Settings and arrays in JSON's own types, and in words."""

from typing import Any

import jax
import numpy as np


def plain(value: Any) -> Any:
    """A setting or an array as JSON's own types; not-a-numbers become None."""
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        value = np.asarray(value).tolist()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return getattr(value, "__name__", str(value))


def in_words(setting: dict[str, Any]) -> str:
    """A setting as text, ``rate=0.003, width=64``."""
    named = ", ".join(f"{name}={shown(value)}" for name, value in setting.items())
    return named or "the one setting"


def shown(value: Any) -> str:
    """A setting's value as text; of a float four digits."""
    value = plain(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
