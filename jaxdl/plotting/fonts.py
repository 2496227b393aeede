"""Names of a user's in pictures: in any script, where an installed font has it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache


def legible(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts that can be drawn, and the font families to draw them with, tried in turn.

    Characters that matplotlib's own families lack are looked for in all installed fonts; those that
    none has stand as their code points, ``U+6771``, for a row of boxes tells no one anything.
    Dollar signs stand for themselves, not for mathematics.

    >>> legible(["price in $"])[0]
    ['price in \\\\$']
    """
    import matplotlib as mpl

    families = list(mpl.rcParams["font.family"])
    held = set().union(*map(_characters_of_family, families))
    lacking = {c for name in names for c in name if ord(c) not in held and not c.isspace()}
    for family, path in _installed() if lacking else ():
        found = {c for c in lacking if ord(c) in _characters(path)}
        if found:
            families.append(family)
            lacking -= found
        if not lacking:
            break
    text = lambda c: f"U+{ord(c):04X} " if c in lacking else "\\$" if c == "$" else c
    return ["".join(map(text, name)).strip() for name in names], families


def _installed() -> list[tuple[str, str]]:
    """Families and paths of upright fonts; the one that draws boxes for everything is none."""
    from matplotlib.font_manager import fontManager

    return [
        (f.name, f.fname)
        for f in fontManager.ttflist
        if f.style == "normal" and not f.name.startswith("Last Resort")
    ]


@cache
def _characters_of_family(family: str) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont

    return _characters(findfont(FontProperties(family=[family])))


@cache
def _characters(path: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    return frozenset(get_font(path).get_charmap())
