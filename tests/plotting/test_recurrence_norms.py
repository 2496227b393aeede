"""Norms through time are drawn where they are, by t from 1."""

import numpy as np
import pytest

from jaxdl import plotting


def test_a_line_for_each_name_with_gaps_where_nothing_can_be_drawn():
    figure = plotting.norms_through_time({"a": [0.0, 0.1, 1.0], "b": [np.inf, 2.0, 1.0]})
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    a, b = axes.lines
    np.testing.assert_array_equal(a.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(a.get_ydata(), [np.nan, 0.1, 1.0])
    np.testing.assert_array_equal(b.get_ydata(), [np.nan, 2.0, 1.0])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_what_is_refused():
    with pytest.raises(ValueError, match="no norms to draw"):
        plotting.norms_through_time({})
    with pytest.raises(ValueError, match=r"are \[T\], but 'a' is \[2, 3\]"):
        plotting.norms_through_time({"a": np.ones((2, 3))})
