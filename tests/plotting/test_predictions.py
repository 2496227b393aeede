"""What is drawn of predictions is what was counted, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import metrics, plotting


def test_reliability_diagram_shows_its_bins():
    """Confidences .9 (right), .8 (wrong), .6 (right): bins (.5, .75] and (.75, 1] of four."""
    p = jnp.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    bins = metrics.reliability(p, jnp.array([0, 0, 0]), num_bins=4)
    left, right = plotting.reliability_diagram(bins).axes
    bars = sorted((bar.get_x(), bar.get_height()) for bar in left.patches)
    np.testing.assert_allclose(bars, [(0.5, 1), (0.75, 0.5)])
    shares = sorted((bar.get_x(), bar.get_height()) for bar in right.patches)
    np.testing.assert_allclose(shares, [(0.5, 1 / 3), (0.75, 2 / 3)])
    gaps = sorted(map(tuple, (s.ravel() for s in left.collections[0].get_segments())))
    np.testing.assert_allclose(gaps, [(0.6, 1, 0.6, 0.6), (0.85, 0.5, 0.85, 0.85)], rtol=1e-6)
    assert "0.367" in left.get_title()  # (0.4 + 2 * 0.35) / 3
    lines = {line.get_label(): line.get_xdata()[0] for line in right.lines}
    assert lines == {
        "mean accuracy 0.667": pytest.approx(2 / 3),
        "mean confidence 0.767": pytest.approx(2.3 / 3),
    }
    nothing = metrics.reliability(p, jnp.array([0, 0, 0]), mask=jnp.zeros(3, bool))
    with pytest.raises(ValueError, match="at least one example"):
        plotting.reliability_diagram(nothing)


def test_ensemble_size_draws_each_curve_and_the_score_of_one():
    (axes,) = plotting.ensemble_size({"a": [3.0, 2.0, 1.5], "b": [4.0, 3.5]}, "nll").axes
    a, one_a, b, one_b = axes.lines
    assert a.get_xydata().tolist() == [[1, 3], [2, 2], [3, 1.5]]
    assert b.get_xydata().tolist() == [[1, 4], [2, 3.5]]
    assert [line.get_ydata()[0] for line in (one_a, one_b)] == [3, 4]
    assert axes.get_ylabel() == "negative log-likelihood"
    (axes,) = plotting.ensemble_size([2.0, 1.0]).axes
    assert axes.lines[0].get_xydata().tolist() == [[1, 2], [2, 1]]
    for curves in (np.ones((2, 2)), {}, []):
        with pytest.raises(ValueError, match=r"curves must be \[J\]"):
            plotting.ensemble_size(curves)
