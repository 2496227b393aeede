"""What make_learner is given, what it reads of it, and what is said where it cannot."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxdl.base import Learner, Responses
from jaxdl.model_selection.grid import Signature


def _noting(name: str) -> Callable:
    """A dict's method that reads one name, where it gets one, or all of them."""
    plain = getattr(dict, name)

    def method(self, *args):
        one = name in ("__getitem__", "__contains__", "get", "pop", "setdefault")
        self.seen.update(args[:1] if one else dict.keys(self))
        return plain(self, *args)

    return method


class Setting(dict):
    """A setting that notes in ``seen`` the names that are read of it, under any tracing."""

    def __init__(self, values: Mapping[str, Any], seen: set[str]):
        super().__init__(values)
        self.seen = seen

    def __missing__(self, name):
        raise MissingSettingError(name, list(dict.keys(self)))

    __getitem__, __contains__, get, pop, setdefault, __iter__, keys, items, values, copy, __or__ = (
        map(_noting, ("__getitem__", "__contains__", "get", "pop", "setdefault", "__iter__", "keys",
                      "items", "values", "copy", "__or__"))
    )  # fmt: skip


jax.tree_util.register_pytree_node(
    Setting,
    lambda setting: (tuple(setting.values()), tuple(setting)),
    lambda names, values: dict(zip(names, values, strict=True)),  # pyright: ignore[reportArgumentType]
)


class MissingSettingError(KeyError):
    """A name that a grid lacks."""


def built(make_learner: Callable, setting: Mapping[str, Any]) -> Learner:
    """The learner of a setting. Raises a ValueError where it is none."""
    learner = make_learner(setting)
    if not isinstance(learner, Learner):
        raise ValueError(f"make_learner must return a Learner, not {type(learner).__name__}")
    return learner


def responses_of(make_learner: Callable, signature: Signature) -> Responses | None:
    """The Responses of a signature's learners; nothing is run."""
    return looked_at(make_learner, signature).responses


def looked_at(make_learner: Callable, signature: Signature) -> Learner:
    """A signature's learner, of which only what is static can be asked; nothing is run."""
    found = []

    def look(traced):
        found.append(built(make_learner, Setting({**signature.static, **traced}, set())))

    with Explained(signature.traced):
        jax.eval_shape(look, {k: v[0] for k, v in signature.traced.items()})
    return found[0]


# How errors speak of a traced number that stands where Python needs a whole one.
_TRACED_NUMBER = re.compile(
    r"(Tracer[(<]|Traced<)~?b?float\d+\[\]|'\w*Tracer'|Tracer\.__|integer scalar arrays"
)


class Explained:
    """Turns an error about a setting, traced or missing, into one that names the settings.

    ``traced``: the values by name of those that are traced.
    """

    def __init__(self, traced: Mapping[str, Any]):
        self.traced = traced

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, MissingSettingError):
            name, there = error.args
            raise ValueError(
                f"make_learner reads the setting {name!r}, but the grid has "
                f"{', '.join(map(repr, there)) or 'none'}"
            ) from error
        first = str(error).split("\n")[0]
        if isinstance(error, jax.errors.ConcretizationTypeError) or (
            self.traced
            and isinstance(error, (TypeError, ValueError))
            and _TRACED_NUMBER.search(first)
        ):
            whole = [k for k, v in self.traced.items() if np.all(np.equal(np.mod(v, 1), 0))]
            names = ", ".join(sorted(whole or self.traced))
            raise ValueError(
                "make_learner, or what it builds, used the value of a traced setting in Python "
                f"(one of {names}). Floats are traced: write 64, not 64.0, for a width, or use "
                f"jnp.where for a value. What it says: {first}"
            ) from error
