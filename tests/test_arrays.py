"""Small functions on arrays by hand: what counts, what a mean is, and slopes that stay finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import arrays

VALUES = jnp.array([1.0, jnp.nan, 5.0, jnp.inf])
MASK = jnp.array([True, False, True, False])


def test_whole_numbers_become_floats_and_floats_stay(x64):
    assert arrays.floating(3).dtype == arrays.floating(np.arange(2)).dtype == jnp.float64
    assert arrays.floating(np.array([True, False])).tolist() == [1, 0]
    for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
        assert arrays.floating(jnp.ones(2, dtype)).dtype == dtype


def test_the_rows_of_a_tree_are_those_of_its_leaves():
    assert arrays.num_rows((np.zeros((5, 2)), np.zeros(5))) == 5
    assert arrays.num_rows({"x": jnp.zeros((3, 4))}) == 3


def test_a_key_can_be_used_again_and_numbers_stay(key):
    again = arrays.unconsumed(key)
    assert jax.random.uniform(key) == jax.random.uniform(again)
    assert arrays.unconsumed(VALUES) is VALUES


def test_norms_neither_overflow_nor_vanish():
    for unit in (1e-37, 1.0, 5e37):
        x = unit * jnp.array([3.0, 0.0, -4.0])
        np.testing.assert_allclose(arrays.norm(x), 5 * unit, rtol=1e-6)
        np.testing.assert_allclose(jax.grad(arrays.norm)(x), [0.6, 0, -0.8], rtol=1e-6)
        tree = {"a": x, "b": unit * jnp.full((2, 6), 1.0)}
        np.testing.assert_allclose(arrays.tree_norm(tree), unit * np.sqrt(37), rtol=1e-6)
    assert arrays.norm(jnp.array([300.0, 400.0], jnp.float16)) == 500
    np.testing.assert_array_equal(arrays.norm(jnp.array([[3.0, 0.0], [4.0, 2.0]]), axis=0), [5, 2])
    np.testing.assert_array_equal(jax.grad(arrays.norm)(jnp.zeros(2)), 0)
    assert arrays.norm(jnp.array([jnp.inf, 1.0])) == jnp.inf and arrays.tree_norm(()) == 0
    assert np.isnan(arrays.norm(jnp.array([jnp.nan, 1.0])))


def test_division_by_nothing_is_what_was_asked_for():
    above, below = jnp.array([6.0, 1.0, 0.0, 4.0]), jnp.array([0.5, 0.0, 0.0, -2.0])
    assert arrays.safe_divide(above, below).tolist() == [12, 0, 0, 0]
    assert arrays.safe_divide(above, below, 9.0).tolist() == [12, 9, 9, 9]
    each = jnp.array([7.0, 8.0, 9.0, 10.0])
    assert arrays.safe_divide(above, below, each).tolist() == [12, 8, 9, 10]
    assert arrays.safe_divide(jnp.array(3), jnp.array(2)) == 1.5


def test_slopes_of_a_division_are_those_of_the_branch():
    """d(a/b)/da = 1/b and d(a/b)/db = -a/b^2 where b is positive, 0 elsewhere."""
    above, below = jnp.array([6.0, 1.0, 0.0]), jnp.array([0.5, 0.0, 0.0])
    total = lambda a, b: arrays.safe_divide(a, b, 5.0).sum()
    by_above, by_below = jax.grad(total, (0, 1))(above, below)
    np.testing.assert_allclose(by_above, [2, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(by_below, [-24, 0, 0], rtol=1e-6)


def test_the_root_has_no_slope_at_zero():
    square = jnp.array([0.0, 4.0, 9.0])
    assert arrays.safe_sqrt(square).tolist() == [0, 2, 3]
    slope = jax.grad(lambda s: arrays.safe_sqrt(s).sum())(square)
    np.testing.assert_allclose(slope, [0, 1 / 4, 1 / 6], rtol=1e-6)
    norm = jax.grad(lambda x: arrays.safe_sqrt(jnp.sum(x**2)))
    assert norm(jnp.zeros(2)).tolist() == [0, 0]
    np.testing.assert_allclose(norm(jnp.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-6)


def test_masks_of_rows_are_booleans_of_one_length():
    assert arrays.rows_of(None, 3).tolist() == [True, True, True]
    found = arrays.rows_of([1, 0, 2], 3)
    assert found.tolist() == [True, False, True] and found.dtype == bool


@pytest.mark.parametrize("shape", [(2,), (4,), (1,), (3, 1), ()])
def test_masks_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"^mask must be \[3\], one entry a row; got ") as caught:
        arrays.rows_of(np.ones(shape, bool), 3)
    assert str(caught.value).endswith(str(shape))


def test_what_does_not_count_is_zero_whatever_it_was():
    assert arrays.counted(VALUES, MASK).tolist() == [1, 0, 5, 0]
    table = jnp.stack([VALUES, 2 * VALUES], 1)
    assert arrays.counted(table, MASK).tolist() == [[1, 2], [0, 0], [5, 10], [0, 0]]
    assert arrays.counted(VALUES, None) is VALUES


def test_a_mask_is_spread_over_further_axes():
    assert arrays.spread(MASK, jnp.zeros((4, 2, 3))).shape == (4, 1, 1)
    assert arrays.spread(jnp.array([2, 0]), jnp.zeros((2, 3))).tolist() == [[True], [False]]


def test_a_mask_of_leading_axes():
    x = jnp.zeros((2, 3, 4))
    assert arrays.spread_mask(None, x) is None
    assert arrays.spread_mask(jnp.array([1.0, 0.0]), x).tolist() == [[[True]], [[False]]]
    each = jnp.arange(6).reshape(2, 3)
    assert arrays.spread_mask(each, x).tolist() == [[[False], [True], [True]], [[True]] * 3]
    for shape in ((), (3,), (1,), (2, 1), (2, 3, 4)):
        with pytest.raises(
            ValueError, match=r"^the mask has leading axes of x \[2, 3, 4\]"
        ) as caught:
            arrays.spread_mask(jnp.ones(shape), x)
        assert str(caught.value).endswith(f"not {list(shape)}")


def test_a_mean_over_the_rows_that_count():
    assert arrays.masked_mean(jnp.array([1.0, 2.0, 6.0])) == 3
    assert arrays.masked_mean(VALUES, MASK) == 3  # NaN and infinity are in the other rows
    assert arrays.masked_mean(VALUES, jnp.arange(4) == 2) == 5
    assert arrays.masked_mean(VALUES, jnp.zeros(4, bool)) == 0
    assert arrays.masked_mean(VALUES, jnp.array([1.0, 0, 1, 0])) == 3


def test_a_mean_of_right_answers_is_their_share():
    right = jnp.array([True, True, False])
    np.testing.assert_allclose(arrays.masked_mean(right), 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(arrays.masked_mean(right, jnp.ones(3, bool)), 2 / 3, rtol=1e-6)
    assert arrays.masked_mean(right, jnp.array([False, True, True])) == 0.5
    assert arrays.masked_mean(jnp.array([3, 4, 9]), jnp.array([True, True, False])) == 3.5


def test_slopes_of_a_masked_mean_are_its_weights():
    slope = jax.grad(arrays.masked_mean)(VALUES, MASK)
    assert slope.tolist() == [0.5, 0, 0.5, 0]
    assert jax.grad(arrays.masked_mean)(VALUES, jnp.zeros(4, bool)).tolist() == [0] * 4


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_means_and_their_parts_keep_the_dtype(x64, dtype):
    values = jnp.array([1.0, 2.0, 6.0], dtype)
    mask = jnp.array([True, True, False])
    for found in (
        arrays.masked_mean(values, mask),
        arrays.masked_mean(values),
        arrays.counted(values, mask),
        arrays.safe_divide(values, values),
        arrays.safe_sqrt(values),
    ):
        assert found.dtype == dtype


@pytest.mark.parametrize("n", [3, arrays.ROWS, 10**6 + 7])
def test_products_over_rows_keep_their_digits(n):
    """Equal terms, whose rounding does not cancel: one by one they lose 3 digits."""
    rng = np.random.default_rng(0)
    a = np.float32([0.1, 0.7]) + np.zeros((n, 1), np.float32)
    b = np.float32(0.3 + (np.arange(n)[:, None] < 2))  # whose rows differ
    w = np.float32(rng.normal(size=(2, 1)))
    exact = a.astype(float).T @ b.astype(float)
    np.testing.assert_allclose(jax.jit(arrays.inner)(a, b), exact, rtol=1e-5)
    predicted, pull = jax.vjp(lambda w: arrays.rows_dot(a, w), w)
    np.testing.assert_allclose(predicted, a @ w, rtol=1e-6)
    np.testing.assert_allclose(pull(jnp.asarray(b))[0], exact, rtol=1e-5)
    vector, pull = jax.vjp(lambda w: arrays.rows_dot(a, w), w[:, 0])
    np.testing.assert_allclose(vector, a @ w[:, 0], rtol=1e-6)
    np.testing.assert_allclose(pull(jnp.asarray(b[:, 0]))[0], exact[:, 0], rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_means_of_16_bits_are_summed_in_32(dtype):
    """100 000 times 0.75 is beyond float16, as is the number; bfloat16 cannot count past 256."""
    values = jnp.full(100_001, 0.75, dtype).at[-1].set(0)
    assert arrays.masked_mean(values) == 0.75
    assert arrays.masked_mean(values, jnp.ones(100_001, bool)) == 0.75
    assert arrays.masked_mean(values[-4:], jnp.array([True, False, False, True])) == 0.375


def test_a_mean_far_from_the_middle_of_the_range_keeps_its_digits():
    x = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    x[:2] = 1e5, -5e4
    mean, deviation = arrays.mean_and_deviation(jnp.asarray(x), np.ones(3000, bool))
    np.testing.assert_allclose(mean, x.astype(float).mean(), rtol=2e-6)
    np.testing.assert_allclose(deviation, x.astype(float).std(), rtol=2e-6)
