"""Teacher forcing by hand: shifted inputs, an EOS that counts, masks by lengths alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import families, training
from jaxdl.base import Sequences, stateless
from jaxdl.text.targets import teacher_forcing

SOURCE = jnp.zeros((3, 4), jnp.int32)
TARGET = Sequences(jnp.array([[5, 6, 7], [8, 99, 99], [99, 99, 99]]), jnp.array([3, 1, 0]))
IDS = {"bos_id": 1, "eos_id": 2, "pad_id": 0}


@pytest.mark.equation(32)
def test_by_hand():
    x, y = teacher_forcing(SOURCE, TARGET, **IDS)
    assert x["source"] is SOURCE
    assert x["inputs"].values.tolist() == [[1, 5, 6, 7], [1, 8, 0, 0], [1, 0, 0, 0]]
    assert y.values.tolist() == [[5, 6, 7, 2], [8, 2, 0, 0], [2, 0, 0, 0]]
    assert x["inputs"].lengths.tolist() == y.lengths.tolist() == [4, 2, 1]
    assert x["inputs"].values.dtype == y.values.dtype == jnp.int32


def test_position_t_reads_what_was_said_before_t():
    """(D-74): the token of position t is in the inputs of t + 1, and not in those of t."""
    x, y = teacher_forcing(SOURCE, TARGET, **IDS)
    for row, length in enumerate(TARGET.lengths.tolist()):
        np.testing.assert_array_equal(
            x["inputs"].values[row, 1 : length + 1], y.values[row, :length]
        )


def _uniform_loss(y, x, size=10):
    """The objective's own count of positions, by a model for which each costs ln ``size``."""
    model = stateless(lambda key: {}, lambda params, x, *, key, train: jnp.zeros((*x["inputs"].values.shape, size)))  # fmt: skip
    objective = training.sequence_nll(model, families.categorical(size))
    return objective.evaluate({}, {}, (x, y))["nll"] / np.log(size)


def test_an_end_counts_though_padding_has_its_id():
    """5, 6, EOS with EOS = PAD: three tokens are learned, not two. (D-68), transformers #23530."""
    target = Sequences(jnp.array([[5, 6, 2, 2]]), jnp.array([2]))
    x, y = teacher_forcing(SOURCE[:1], target, bos_id=1, eos_id=2, pad_id=2)
    assert y.values.tolist() == [[5, 6, 2, 2, 2]]
    np.testing.assert_allclose(_uniform_loss(y, x), [3], rtol=1e-6)
    by_id = int(jnp.sum(y.values != 2))
    assert by_id == 2  # what a mask by ids would count


def test_a_target_may_hold_the_special_ids():
    target = Sequences(jnp.array([[0, 2, 1]]), jnp.array([3]))
    x, y = teacher_forcing(SOURCE[:1], target, **IDS)
    assert y.values.tolist() == [[0, 2, 1, 2]]
    np.testing.assert_allclose(_uniform_loss(y, x), [4], rtol=1e-6)


def test_more_padding_changes_no_loss():
    longer = TARGET.padded(6)
    one, two = (_uniform_loss(y, x) for x, y in (
        teacher_forcing(SOURCE, t, **IDS) for t in (TARGET, longer)))  # fmt: skip
    np.testing.assert_allclose(one, two)
    np.testing.assert_allclose(one, [4, 2, 1], rtol=1e-6)


def test_compiled_and_from_numpy():
    host = Sequences(np.array(TARGET.values), np.array(TARGET.lengths))
    expected = teacher_forcing(SOURCE, TARGET, **IDS)
    compiled = jax.jit(lambda s, t: teacher_forcing(s, t, **IDS))(SOURCE, TARGET)
    for other in (teacher_forcing(np.asarray(SOURCE), host, **IDS), compiled):
        for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bos_id": None}, "bos_id must be a whole number from 0 on, not None"),
        ({"eos_id": -1}, "eos_id must be"),
        ({"target": TARGET.values}, r"target must be Sequences \[N, T\] of tokens"),
        ({"target": Sequences(jnp.zeros((3, 2, 1)), TARGET.lengths)}, r"not \(3, 2, 1\)"),
        ({"source": SOURCE[:2]}, "2 sources do not go with 3 targets"),
    ],
)
def test_messages(arguments, message):
    arguments = {"source": SOURCE, "target": TARGET, **IDS, **arguments}
    with pytest.raises(ValueError, match=message):
        teacher_forcing(arguments.pop("source"), arguments.pop("target"), **arguments)
