"""Learnt noise between whole numbers, against probabilities of cells that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from jaxdl import flows, models, training
from jaxdl.divergences import log_mean_exp

MEAN, COVARIANCE = np.array([0.5, 0.55]), 0.03 * np.array([[1.0, 0.8], [0.8, 1.0]])
CELLS = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def normal():
    """N(MEAN, COVARIANCE), with nothing to learn."""
    log_prob = lambda params, x: jax.scipy.stats.multivariate_normal.logpdf(x, MEAN, COVARIANCE)
    return flows.Density(lambda key: {}, log_prob, None)


def learnt(levels=2, hidden=8):
    return flows.flow_dequantiser(
        lambda h: flows.iaf(2, hidden, activation="tanh", context=h),
        models.mlp((2, hidden, 4), activation="tanh"),
        levels,
        2,
    )


def moved(params, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape).astype(p.dtype), params)


def test_it_starts_as_uniform_noise():
    """The same key, the same noise: loss and scores are those of ``flow_nll``."""
    q, p = learnt(4), normal()
    k = jnp.array([[0, 3], [1, 2], [2, 0]])

    @jax.jit
    def both(key):
        params, _ = flows.dequantised_model(p, q).init(jax.random.key(0))
        asked = ((training.dequantised_nll(p, q), params), (training.flow_nll(p, levels=4), {}))
        return [
            (
                objective.loss(params, {}, k, key=jax.random.clone(key))[0],
                objective.evaluate(params, {}, k, key=jax.random.clone(key)),
                objective.predict(params, {}, k),
            )
            for objective, params in asked
        ]

    ours, theirs = both(jax.random.key(1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, theirs)
    assert float(abs(both(jax.random.key(2))[0][0] - ours[0])) > 1e-3


def test_its_log_density_is_of_its_draws():
    """E_q[g(u) / q(u)] is the integral of g over the unit square: 1 of 1, 1/2 of u, 1/3 of u^2."""
    q = learnt()
    params = moved(q.init(jax.random.key(0)))
    n = 20_000
    u, log_q = jax.jit(q.draw)(jax.random.key(1), params, jnp.tile(CELLS[1:2], (n, 1)))
    assert u.shape == (n, 2) and log_q.shape == (n,)
    assert float(u.min()) >= 0 and float(u.max()) <= 1 and float(log_q.std()) > 0.05
    for power in (0, 1, 2):
        values = np.asarray(u, np.float64)[:, 0] ** power * np.exp(-np.asarray(log_q, np.float64))
        error = values.std() / np.sqrt(n)
        assert values.mean() == pytest.approx(1 / (1 + power), abs=4 * error) and error < 0.03
    other, _ = q.draw(jax.random.key(1), params, CELLS[2:3])
    assert abs(other - u[0]).max() > 1e-3  # it looks at k


def cell_probabilities():
    """log P(k) by the normal distribution function, and the bound of uniform noise by quadrature."""
    edge = np.array([0, 0.5, 1])
    below = lambda x, y: scipy.stats.multivariate_normal.cdf([x, y], MEAN, COVARIANCE)
    nodes, weights = np.polynomial.legendre.leggauss(30)
    exact, uniform = [], []
    for i, j in np.asarray(CELLS):
        lower, upper = edge[[i, j]], edge[[i + 1, j + 1]]
        mass = below(*upper) - below(lower[0], upper[1]) - below(upper[0], lower[1]) + below(*lower)
        exact.append(np.log(mass))
        u = (nodes + 1) / 2
        grid = np.stack(np.meshgrid(*(lower[:, None] + u / 2), indexing="ij"), axis=-1)
        logs = scipy.stats.multivariate_normal.logpdf(grid, MEAN, COVARIANCE)
        uniform.append(weights @ logs @ weights / 4 - 2 * np.log(2))
    return np.array(exact), np.array(uniform)


def test_the_bound_tightens_as_noise_is_learnt():
    """Below log P(k) always; far nearer than uniform noise once it is fitted; so are more samples."""
    exact, uniform = cell_probabilities()
    assert (exact - uniform > 0.3).all()
    q, p = learnt(), normal()
    objective, adam = training.dequantised_nll(p, q, samples=4), optax.adam(0.02)
    n = 20_000

    @jax.jit
    def fitted(key):
        params, _ = flows.dequantised_model(p, q).init(jax.random.key(0))

        def step(carry, key):
            params, state = carry
            slope = jax.grad(lambda w: objective.loss(w, {}, jnp.tile(CELLS, (8, 1)), key=key)[0])
            updates, state = adam.update(slope(params), state)
            return (optax.apply_updates(params, updates), state), None

        keys = jax.random.split(key, 302)
        (params, _), _ = jax.lax.scan(step, (params, adam.init(params)), keys[2:])
        weights = lambda key, params: flows.dequantised_log_weights(
            key, p, q, params, CELLS, samples=n
        )
        return weights(keys[0], params), weights(keys[1], moved(params, 3))

    weights, loose = fitted(jax.random.key(0))
    bound, error = np.asarray(weights.mean(0)), np.asarray(weights.std(0)) / np.sqrt(n)
    assert (bound < exact + 4 * error).all()
    assert ((exact - bound) < 0.25 * (exact - uniform)).all()
    tight, error = map(
        np.asarray, log_mean_exp(weights)
    )  # the importance-weighted bound reaches it
    assert (abs(tight - exact) < 4 * error + 1e-3).all() and (error < 0.01).all()
    error = np.asarray(loose.std(0)) / np.sqrt(n)
    assert (np.asarray(loose.mean(0)) < exact + 4 * error).all()  # a bound for any q


def test_rows_and_keys_and_shapes():
    q, p = learnt(), normal()
    objective = training.dequantised_nll(p, q)
    params, _ = flows.dequantised_model(p, q).init(jax.random.key(0))
    mask = jnp.array([True, True, False, False])
    loss = lambda k: objective.loss(params, {}, k, key=jax.random.key(1), mask=mask)[0]
    assert float(loss(CELLS)) == float(loss(CELLS.at[2:].set(99)))
    with pytest.raises(ValueError, match="needs a key"):
        objective.loss(params, {}, CELLS)
    with pytest.raises(ValueError, match=r"expected an array \[..., 2\]"):
        q.draw(jax.random.key(0), params["dequantiser"], CELLS[:, :1])
    with pytest.raises(ValueError, match="levels must be a positive whole number"):
        flows.flow_dequantiser(lambda h: flows.iaf(2, context=h), models.mlp((2, 2)), 0, 2)
