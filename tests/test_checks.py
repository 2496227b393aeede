"""What is refused, and in which words; what passes is given back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import checks


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(2)])
def test_whole_numbers_from_one_on_become_ints(value):
    found = checks.positive_int("epochs", value)
    assert found == value and type(found) is int


@pytest.mark.parametrize(
    "value", [0, -1, np.int32(0), 2.0, np.float32(2), True, np.True_, "3", None]
)
def test_other_values_are_no_positive_whole_numbers(value):
    with pytest.raises(ValueError, match="epochs must be a positive whole number, not ") as caught:
        checks.positive_int("epochs", value)
    assert str(caught.value).endswith(repr(value))


def test_true_is_no_whole_number_and_zero_is_one():
    assert [checks.is_whole(v) for v in (0, -2, np.int8(5))] == [True] * 3
    assert [checks.is_whole(v) for v in (True, np.False_, 1.0, "1", jnp.array(1))] == [False] * 5


def test_one_of_the_choices_is_given_back():
    assert checks.one_of("mode", "sum", ("mean", "sum")) == "sum"
    assert checks.one_of("mode", None, (None, "sum")) is None
    assert checks.one_of("mode", "sum", {"mean": 1, "sum": 2}) == "sum"
    assert checks.one_of("mode", "sum", (name for name in ("mean", "sum"))) == "sum"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("men", "mode is one of mean, median, sum, None, not 'men'; did you mean 'mean'?"),
        ("summ", "mode is one of mean, median, sum, None, not 'summ'; did you mean 'sum'?"),
        ("zzz", "mode is one of mean, median, sum, None, not 'zzz'"),
        (3, "mode is one of mean, median, sum, None, not 3"),
        (["sum"], "mode is one of mean, median, sum, None, not ['sum']"),
    ],
)
def test_the_nearest_choice_is_suggested(value, message):
    with pytest.raises(ValueError, match="mode is one of") as caught:
        checks.one_of("mode", value, ("mean", "median", "sum", None))
    assert str(caught.value) == message


def test_the_nearest_is_a_text_and_near():
    """Of texts a and b, twice the letters in common over all letters: 0.7 or more is near."""
    assert checks.nearest("kld", ["kl", "entropy", None, 3]) == "kl"  # 4 / 5
    assert checks.nearest("frist", ["last", "first"]) == "first"  # 8 / 10
    assert checks.nearest("front", ["last", "first"]) is None  # 6 / 10
    assert checks.nearest("a", []) is None


def test_a_single_typed_key_is_given_back_traced_or_not(key):
    assert checks.typed_key(key) is key
    traced = jax.jit(lambda key: jax.random.uniform(checks.typed_key(key)))
    assert traced(key) == jax.random.uniform(jax.random.key(0))


@pytest.mark.parametrize("value", [0, None, np.zeros(2, np.uint32), jnp.zeros(2, jnp.uint32)])
def test_what_is_no_typed_key_is_refused(value):
    with pytest.raises(
        ValueError, match=r"^key must be a typed key, jax\.random\.key\(seed\), not "
    ):
        checks.typed_key(value)
    assert not checks.is_key(value)


def test_keys_in_an_array_are_keys_but_not_a_single_one(key):
    keys = jax.random.split(key, 3)
    assert checks.is_key(keys) and checks.is_key(keys[0])
    with pytest.raises(ValueError, match=r"^key must be a single key, not of shape \(3,\)$"):
        checks.typed_key(keys)


def test_equal_shapes_come_back_as_arrays():
    a, b = checks.same_shape([1, 2], (3.0, 4.0), "a and b")
    assert isinstance(a, jax.Array) and a.tolist() == [1, 2] and b.tolist() == [3, 4]
    one, other = checks.same_shape(1, 2, "a and b")
    assert one.shape == other.shape == ()


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (1,), (), (4,)])
def test_nothing_is_broadcast(shape):
    for check in (lambda a, b: checks.same_shape(a, b, "y_true and y_pred"), checks.same_rows):
        with pytest.raises(
            ValueError, match="y_true and y_pred must have one shape, not "
        ) as caught:
            check(np.zeros(3), np.zeros(shape))
        assert str(caught.value).endswith(f"not (3,) and {shape}")


def test_rows_are_not_scalars():
    y_true, y_pred = checks.same_rows([[1.0, 2.0]], [[3.0, 4.0]])
    assert y_true.tolist() == [[1, 2]] and y_pred.tolist() == [[3, 4]]
    with pytest.raises(ValueError, match=r"must be \[N, \.\.\.\], not scalars"):
        checks.same_rows(1.0, 2.0)
