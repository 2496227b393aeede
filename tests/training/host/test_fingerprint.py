"""What makes a run another run: its arrays to the dtype, its functions to their constants."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import network

from jaxdl import families, training
from jaxdl.training import fit
from jaxdl.training.host import fingerprint

DATA = (np.ones((6, 4), np.float32), np.arange(6) % 3)


def learner(optimizer=None, family=None, net=None):
    net = net or network((4, 3))
    objective = training.negative_log_likelihood(net, family or families.categorical(3))
    return training.gradient_learner(net, objective, optimizer or optax.adam(0.1))


def program(made, data=DATA):
    return fingerprint.of_learner(made, data, jax.random.key(0))


def test_the_same_functions_made_anew_are_the_same_program():
    assert program(learner()) == program(learner())


@pytest.mark.parametrize(
    "other",
    [
        learner(optax.adam(0.2)),
        learner(optax.adam(0.1, b1=0.8)),
        learner(optax.sgd(0.1)),
        learner(net=network((4, 5, 3))),
        learner()._replace(evaluate=lambda ts, batch: {"nll": jnp.zeros(6)}),
    ],
    ids=["rate", "decay", "optimizer", "network", "scores"],
)
def test_another_learner_is_another_program(other):
    assert program(other) != program(learner())


def test_constants_count_wherever_they_are():
    """Two tables of one shape, closed over in a branch of a compiled function."""

    def looked_up(table):
        branch = jax.jit(
            lambda x: jax.lax.cond(x[0] > 0, lambda: jnp.asarray(table) * x, lambda: x)
        )
        return fingerprint.of_program(branch, np.ones(3, np.float32))

    table = np.arange(3, dtype=np.float32)
    assert looked_up(table) == looked_up(table.copy()) != looked_up(table + 1)


def test_arrays_of_the_same_bytes():
    zeros = np.zeros((2, 3), np.float32)
    others = [zeros.astype(np.int32), zeros.reshape(3, 2), zeros.astype(np.float16)]
    assert len({fingerprint.of_arrays(x) for x in (zeros, *others)}) == 4
    words = np.arange(4, dtype=np.uint32)
    keys = [jax.random.wrap_key_data(words, impl=impl) for impl in ("rbg", "unsafe_rbg")]
    assert fingerprint.of_key(keys[0]) != fingerprint.of_key(keys[1])


def test_a_fit_by_another_optimizer_or_dtype_does_not_go_on(tmp_path):
    run = lambda made, data=DATA: fit(made, data, key=jax.random.key(0), epochs=1,
                                      checkpoint=tmp_path)  # fmt: skip
    run(learner())
    with pytest.raises(ValueError, match=r"of another fit .other program"):
        run(learner(optax.adam(0.2)))
    with pytest.raises(ValueError, match=r"of another fit .other data"):
        run(learner(), (DATA[0].astype(np.float64), DATA[1]))
    run(learner())
