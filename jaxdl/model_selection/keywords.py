"""What a study keeps, and the keywords that have become parts of others."""

from collections.abc import Collection, Iterable
from typing import Never

from jaxdl.checks import one_of
from jaxdl.model_selection.population.plan import Execution

KEPT = ("train_scores", "predictions", "states")

NOW = {
    **{name: f"execution=Execution({name}=...)" for name in Execution._fields},
    **{name: f'keep=("{name}",)' for name in KEPT},
    **{name: f"a part of the folds, Folds(5, {name}=...)" for name in ("stratify", "groups")},
}


def check_keep(keep: str | Collection[str]) -> frozenset[str]:
    """The names of what is to be kept, of one or of several; a ValueError for others."""
    names = [keep] if isinstance(keep, str) else list(keep)
    return frozenset(one_of("keep", name, KEPT) for name in names)


def refuse(function: str, names: Iterable[str]) -> Never:
    """Raise a ValueError that says what a keyword is now, or Python's TypeError where it never was.

    >>> refuse("cross_validate", ["strategy"])
    Traceback (most recent call last):
    ValueError: cross_validate takes no strategy=; it is execution=Execution(strategy=...) now
    """
    name = next(iter(names))
    if name in NOW:
        raise ValueError(f"{function} takes no {name}=; it is {NOW[name]} now")
    raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
