"""A learner that compiles fast, and studies of it, for the tests of populations."""

import jax
import jax.numpy as jnp
import numpy as np
from networks import three_classes

from jaxdl import base
from jaxdl.model_selection import cross_validate

RUN = {"folds": 3, "epochs": 8, "batch_size": 12, "evaluate_every": 1}


def softmax_learner(h):
    """Softmax regression [4] -> [3] by momentum and masked features, its gradient by hand.

    Settings: rate, noise (the share of features that a step does not see); from the epoch
    ``bad`` on its loss is NaN.
    """

    def init(key):
        init_key, key = jax.random.split(key)
        w = 0.1 * jax.random.normal(init_key, (4, 3))
        return base.TrainState(jnp.zeros((), jnp.int32), w, {}, jnp.zeros_like(w), key)

    def step(ts, batch, *, mask=None):
        x, y = batch
        rows = jnp.ones(y.shape, x.dtype) if mask is None else mask.astype(x.dtype)
        share = (rows / jnp.maximum(rows.sum(), 1))[:, None]
        draw = jax.random.uniform(jax.random.fold_in(ts.key, ts.step), (4,), x.dtype)
        x = jnp.where(draw < h.get("noise", 0.1), 0, x)
        log_p = jax.nn.log_softmax(x @ ts.params)
        hot = jax.nn.one_hot(y, 3, dtype=x.dtype)
        loss = -jnp.sum(share * hot * log_p)
        velocity = 0.9 * ts.opt_state + x.T @ (share * (jnp.exp(log_p) - hot))
        new = ts._replace(
            step=ts.step + 1, params=ts.params - h["rate"] * velocity, opt_state=velocity
        )
        bad = ts.step >= h["bad"] if "bad" in h else False
        return new, {"loss": jnp.where(bad, jnp.nan, loss)}

    def predict(ts, x):
        return jax.nn.softmax(x @ ts.params)

    def evaluate(ts, batch):
        x, y = batch
        log_p = jax.nn.log_softmax(x @ ts.params)
        nll = -jnp.take_along_axis(log_p, y[:, None], 1)[:, 0]
        return {"nll": nll, "accuracy": (log_p.argmax(1) == y).astype(x.dtype)}

    return base.Learner(init, step, predict, evaluate)


def study(grid, data=None, make=softmax_learner, key=0, **how):
    """A study of the learner over 47 rows of three noisy classes; ``devices`` is a number."""
    if "devices" in how:
        how["devices"] = jax.devices()[: how["devices"]]
    data = three_classes(dtype=np.float64 if jax.config.jax_enable_x64 else np.float32) if (
        data is None) else data  # fmt: skip
    return cross_validate(make, grid, data, key=jax.random.key(key), **{**RUN, **how})


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
