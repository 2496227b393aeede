"""Names in any script: drawn where a font has them, else by their code points; never boxes."""

import numpy as np
import pytest

from jaxdl import plotting
from jaxdl.plotting.fonts import legible


def test_what_no_font_has_stands_as_code_points():
    """No font has the last of the private characters; matplotlib's own hold Cyrillic and Greek."""
    names, _ = legible(["Москва", "αβγ", "a\U000f0fffb", "price $"])
    assert names == ["Москва", "αβγ", "aU+F0FFF b", r"price \$"]


def test_another_font_is_taken_where_it_has_what_is_missing():
    names, families = legible(["\U0001d400"])  # a bold A of mathematics: not in DejaVu Sans
    assert names == ["\U0001d400"] and len(families) == 2
    assert legible(["A"])[1] == families[:1]


@pytest.mark.parametrize("names", [["东京", "大阪", "\U0001d400"], ["$a$", "$\\frac", "%"]])
def test_pictures_are_drawn_without_a_warning(names):
    """A glyph that is missing is a warning of matplotlib's, and warnings are errors here."""
    figure = plotting.confusion_matrix(np.eye(3), names)
    figure.canvas.draw()
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == legible(names)[0]
