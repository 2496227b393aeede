"""The perceptron: its truth table, its bound, and what it cannot do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Perceptron

from jaxdl.models import perceptron

XOR_X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_Y = np.array([-1, 1, 1, -1])
fit = jax.jit(perceptron.fit, static_argnames=("max_steps", "pocket"))
fit_many = jax.jit(
    jax.vmap(lambda key, x, y: perceptron.fit(x, y, key=key, max_steps=3000), (0, None, None))
)


def separable(seed, n=30, margin=0.1):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=3) * [1.0, 1.0, 0.3]
    w /= np.linalg.norm(w)
    x = rng.uniform(-1, 1, size=(4 * n, 2))
    z = np.c_[x, np.ones(len(x))] @ w
    x, z = x[np.abs(z) > margin][:n], z[np.abs(z) > margin][:n]
    return x, np.where(z > 0, 1, -1), np.min(np.abs(z))


@pytest.mark.equation("L297")
def test_sign_is_minus_one_at_zero():
    # D-14: the perceptron fires above its threshold, not at it
    np.testing.assert_array_equal(perceptron.sign([-2.0, 0.0, 1e-30, 3.0]), [-1, -1, 1, 1])
    params = {"kernel": jnp.array([1.0]), "bias": jnp.array(-1.0)}
    np.testing.assert_array_equal(perceptron.predict(params, np.array([[1.0], [1.5]])), [-1, 1])


@pytest.mark.equation("L303")
def test_update_by_hand():
    params = {"kernel": jnp.array([1.0, -1.0]), "bias": jnp.array(0.5)}
    wrong = perceptron.update(params, jnp.array([1.0, 2.0]), 1.0)  # predicted -1
    np.testing.assert_array_equal(wrong["kernel"], [2.0, 1.0])
    np.testing.assert_array_equal(wrong["bias"], 1.5)
    right = perceptron.update(params, jnp.array([1.0, 2.0]), -1.0)
    np.testing.assert_array_equal(right["kernel"], params["kernel"])
    np.testing.assert_array_equal(right["bias"], 0.5)


@pytest.mark.equation("L303")
@pytest.mark.parametrize("seed", range(4))
def test_mistakes_stay_below_novikoff_bound(seed):
    x, y, gamma = separable(seed)
    zero = {"kernel": np.zeros(2), "bias": 0.0}
    result = fit(x, y, key=jax.random.key(seed), max_steps=20_000, params=zero)
    radius = np.max(np.linalg.norm(np.c_[x, np.ones(len(x))], axis=1))
    assert result.converged and 0 < result.mistakes <= (radius / gamma) ** 2
    assert result.accuracy == 1
    np.testing.assert_array_equal(perceptron.predict(result.params, x), y)
    assert Perceptron(tol=None, max_iter=2000).fit(x, y).score(x, y) == 1  # as scikit-learn's


def test_steps_and_mistakes_are_those_of_a_python_loop():
    x, y, _ = separable(7)
    start = {"kernel": jnp.array([0.5, -1.0]), "bias": jnp.array(0.2)}
    result = fit(x, y, key=jax.random.key(3), max_steps=500, params=start)
    # E-6: the pairs are drawn from the key alone; replay them
    pair_key = jax.random.split(jax.random.key(3))[1]
    draw = jax.jit(
        jax.vmap(lambda t: jax.random.randint(jax.random.fold_in(pair_key, t), (), 0, 30))
    )
    w, b, mistakes, t = np.array([0.5, -1.0]), 0.2, 0, 0
    for r in np.asarray(draw(jnp.arange(500))):
        if np.all(np.where(x @ w + b > 0, 1, -1) == y):
            break
        if (x[r] @ w + b > 0) != (y[r] > 0):
            w, b, mistakes = w + y[r] * x[r], b + y[r], mistakes + 1
        t += 1
    assert result.steps == t and result.mistakes == mistakes and result.converged
    np.testing.assert_allclose(result.params["kernel"], w, rtol=1e-5)


def test_checking_the_first_weights_instead_of_the_current_ones_fails():
    # D-12: w_t against the literal w_0, on separable data in one dimension
    rng = np.random.default_rng(0)
    x = np.r_[rng.uniform(0.5, 1.5, 10), rng.uniform(2.5, 3.5, 10)][:, None]
    y = np.repeat([-1, 1], 10)
    keys = jax.random.split(jax.random.key(1), 40)
    assert np.all(fit_many(keys, x, y).converged)

    @jax.jit
    @jax.vmap
    def literal(key):
        init_key, pair_key = jax.random.split(key)
        w0, b0 = jax.random.normal(init_key, (2,))
        data, labels = jnp.asarray(x[:, 0]), jnp.asarray(y)

        def step(carry, r):
            w, b, done = carry
            wrong = (perceptron.sign(w0 * data[r] + b0) != labels[r]) & ~done
            w, b = w + wrong * labels[r] * data[r], b + wrong * labels[r]
            done |= jnp.all(perceptron.sign(w * data + b) == labels)
            return (w, b, done), None

        done = jnp.all(perceptron.sign(w0 * data + b0) == labels)
        pairs = jax.random.randint(pair_key, (3000,), 0, 20)
        return jax.lax.scan(step, (w0, b0, done), pairs)[0][2]

    assert np.mean(literal(jax.random.clone(keys))) < 0.9


def test_xor_is_never_above_three_quarters():
    # D-15
    keys = jax.random.split(jax.random.key(2), 20)
    result = fit_many(keys, XOR_X, XOR_Y)
    assert not np.any(result.converged) and np.all(result.steps == 3000)
    assert np.max(result.accuracy) <= 0.75


def test_pocket_keeps_the_best_weights():
    best = fit(XOR_X, XOR_Y, key=jax.random.key(0), max_steps=200, pocket=True)
    assert best.accuracy == 0.75 and not best.converged
    assert np.mean(perceptron.predict(best.params, XOR_X) == XOR_Y) == 0.75
    x, y, _ = separable(1)
    keys = dict(key=jax.random.key(5), max_steps=2000)
    np.testing.assert_array_equal(
        fit(x, y, pocket=True, **keys).params["kernel"],
        fit(x, y, key=jax.random.key(5), max_steps=2000).params["kernel"],
    )


def test_of_equally_good_weights_the_pocket_keeps_the_first():
    key, n = jax.random.key(4), 100
    found = fit(XOR_X, XOR_Y, key=jax.random.key(4), max_steps=n, pocket=True)
    init_key, pair_key = jax.random.split(key)
    params = np.asarray(jax.random.normal(init_key, (3,), jnp.float32), np.float64)
    rights, seen = [], []
    for t in range(n + 1):
        said = np.where(XOR_X @ params[:2] + params[2] > 0, 1, -1)
        rights.append(np.sum(said == XOR_Y))
        seen.append(params)
        r = int(jax.random.randint(jax.random.fold_in(pair_key, t), (), 0, 4))
        params = params + XOR_Y[r] * np.append(XOR_X[r], 1) * (said[r] != XOR_Y[r])
    assert rights.count(max(rights)) > 3  # weights of later steps are as good, and others
    kept = np.append(found.params["kernel"], found.params["bias"])
    np.testing.assert_allclose(kept, seen[int(np.argmax(rights))], atol=1e-5)


def test_keys_decide():
    x, y, _ = separable(2)
    one, same, other = (fit(x, y, key=jax.random.key(k), max_steps=50) for k in (0, 0, 1))
    np.testing.assert_array_equal(one.params["kernel"], same.params["kernel"])
    assert not np.array_equal(one.params["kernel"], other.params["kernel"])


def test_masked_rows_do_not_count():
    keep = np.array([True, True, True, False])  # XOR without its last corner is separable
    dirty = np.where(keep[:, None], XOR_X, np.nan)
    result = fit(dirty, XOR_Y, key=jax.random.key(0), max_steps=1000, mask=keep)
    assert result.converged and result.accuracy == 1
    np.testing.assert_array_equal(perceptron.predict(result.params, XOR_X[:3]), XOR_Y[:3])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones((3, 2)), np.array([0, 1, 1]), "labels must be -1 or"),
        (np.ones((3, 2)), np.ones((3, 1)), r"x must be \[N, D\] and y \[N\]"),
    ],
)
def test_bad_input_raises(x, y, message):
    with pytest.raises(ValueError, match=message):
        perceptron.fit(x, y, key=jax.random.key(0), max_steps=1)


def test_works_in_float64(x64):
    x, y, _ = separable(3)
    result = fit(x, y, key=jax.random.key(0), max_steps=5000)
    assert result.params["kernel"].dtype == jnp.float64 and result.converged
