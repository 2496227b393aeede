"""Tiny networks and data that the engine's tests share."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl import base, families, training


def network(sizes, rate=None):
    """A tanh network [D] -> [K] with dropout of a possibly traced rate; written out by hand."""

    def init(key):
        keys = jax.random.split(key, len(sizes) - 1)
        return {
            f"dense_{i}": {
                "kernel": jax.random.normal(k, (m, n)) / np.sqrt(m),
                "bias": jnp.zeros(n),
            }
            for i, (k, m, n) in enumerate(zip(keys, sizes[:-1], sizes[1:], strict=True))
        }

    def apply(params, x, *, key=None, train=False):
        for i in range(len(sizes) - 1):
            x = x @ params[f"dense_{i}"]["kernel"] + params[f"dense_{i}"]["bias"]
            if i < len(sizes) - 2:
                x = jnp.tanh(x)
                if rate is not None and train:
                    keep = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - rate, x.shape)
                    x = jnp.where(keep, x / (1 - rate), 0)
        return x

    return base.stateless(init, apply)


def classifier(h, sizes=(4, 5, 3)):
    """A learner of three classes with settings rate, l2, dropout and (static) width."""
    net = network((sizes[0], h.get("width", sizes[1]), sizes[2]), h.get("dropout"))
    objective = training.negative_log_likelihood(
        net, families.categorical(3), penalty=h.get("l2", 0.0)
    )
    return training.gradient_learner(net, objective, optax.adam(h.get("rate", 0.01)))


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

    return base.Learner(init, step, predict, evaluate, base.Responses("labels", 0, 2))


def three_classes(n=47, seed=0, dtype=np.float32):
    """x [n, 4], y [n]: three noisy clusters on uneven scales, in random order."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3).astype(np.int32)
    centres = np.array([[0, 0, 1, 0], [2, 0, 0, 1], [0, 2, 0, 0]])
    return (centres[y] + 0.5 * rng.normal(size=(n, 4))).astype(dtype), y
