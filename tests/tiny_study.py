"""Studies of a learner that compiles fast, for the tests of populations."""

import jax
import numpy as np
from networks import softmax_learner, three_classes

from jaxdl.model_selection import Execution, cross_validate

RUN = {"folds": 3, "epochs": 8, "batch_size": 12, "evaluate_every": 1}


def study(grid, data=None, make=softmax_learner, key=0, **how):
    """A study of the learner over 47 rows of three noisy classes; ``how`` as ``with_execution``."""
    data = three_classes(dtype=np.float64 if jax.config.jax_enable_x64 else np.float32) if (
        data is None) else data  # fmt: skip
    how = with_execution({**RUN, **how})
    return cross_validate(make, grid, data, key=jax.random.key(key), **how)


def with_execution(how):
    """Keywords of a study in which the fields of an Execution are one; ``devices`` is a number."""
    fields = {name: how[name] for name in Execution._fields if name in how}
    if "devices" in fields:
        fields["devices"] = jax.devices()[: fields["devices"]]
    rest = {name: value for name, value in how.items() if name not in fields}
    return {**rest, "execution": Execution(**fields)} if fields else rest


def assert_same(one, other, rtol=0.0, atol=0.0):
    """All numbers of two studies agree; bit for bit unless a tolerance is given."""

    def same(a, b):
        if np.issubdtype(np.asarray(b).dtype, np.floating) and (rtol or atol):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
        else:
            np.testing.assert_array_equal(a, b)

    for name in ("scores", "train_scores", "curves", "train_curves", "train_loss", "diverged",
                 "epochs", "best_epochs", "dropped", "predictions", "states"):  # fmt: skip
        a, b = getattr(one, name), getattr(other, name)
        assert jax.tree.structure(a) == jax.tree.structure(b), name
        jax.tree.map(same, a, b)
