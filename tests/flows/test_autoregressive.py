"""MADE's order, and flows made of it: Jacobians, costs, densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from jaxdl import families, flows


def moved(params, scale=0.5, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: p + jnp.asarray(scale * rng.normal(size=p.shape), p.dtype), params
    )


def jacobian_of(net, dim):
    params = moved(jax.jit(net.init)(jax.random.key(0))[0])
    x = jnp.linspace(-1, 1, dim)
    return jax.jit(jax.jacfwd(lambda x: net.apply(params, {}, x)[0]))(x)  # [D, P, D]


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5), (1,)])
def test_the_jacobian_of_made_is_strictly_triangular(hidden):
    """Output i depends on each input before it, and on no other."""
    jacobian = jacobian_of(flows.made(4, hidden, 2, activation="tanh"), 4)
    depends = (jacobian != 0).any(axis=1)
    below = np.tril(np.ones((4, 4), bool), -1)
    assert not depends[~below].any()
    if hidden != (1,):  # a single unit cannot serve all outputs
        assert (jacobian != 0)[:, 0][below].all() and (jacobian != 0)[:, 1][below].all()


def test_an_order_may_be_given():
    jacobian = jacobian_of(flows.made(3, 6, order=[2, 0, 1], activation="tanh"), 3)[:, 0]
    expected = np.zeros((3, 3), bool)
    expected[0, 2] = expected[1, 2] = expected[1, 0] = True  # 2, then 0, then 1
    np.testing.assert_array_equal(jacobian != 0, expected)


def test_the_masks_by_hand():
    masks = flows.made_masks(3, [2, 2])
    np.testing.assert_array_equal(masks[0], [[1, 1], [0, 1], [0, 0]])  # degrees 1, 2
    np.testing.assert_array_equal(masks[1], [[1, 1], [0, 1]])
    np.testing.assert_array_equal(masks[2], [[0, 1, 1], [0, 0, 1]])
    for order in ([0, 0, 1], [1, 2, 3], [0, 1]):
        with pytest.raises(ValueError, match="an order has each of 0"):
            flows.made(3, 4, order=order)


@pytest.mark.parametrize(("dim", "hidden"), [(1, (4,)), (3, (6,)), (3, (5, 5)), (2, ())])
def test_every_variable_sees_the_context_the_first_one_too(dim, hidden):
    """One variable, one context value: hidden units without the lowest rank cannot pass it on
    (danielward27/flowjax #147)."""
    build = lambda c: flows.made(dim, hidden, 2, activation="tanh", context=c)
    params = moved(jax.jit(build(jnp.zeros(1)).init)(jax.random.key(0))[0])
    both = jax.jacfwd(lambda c, x: build(c).apply(params, {}, x)[0], argnums=(0, 1))
    by_context, by_x = jax.jit(both)(jnp.array([0.5]), jnp.linspace(-1, 1, dim))
    assert (by_context != 0).all()
    assert not by_x[~np.tril(np.ones((dim, dim), bool), -1)[:, None].repeat(2, 1)].any()


def test_made_with_any_family_sums_to_one():
    """Sixteen binary vectors: their probabilities, by the chain rule, add up to one."""
    net, bernoulli = flows.made(4, (6, 6)), families.independent(families.bernoulli())
    params = moved(jax.jit(net.init)(jax.random.key(0))[0])
    x = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T

    @jax.jit
    def log_prob(x):
        eta = net.apply(params, {}, x.astype(jnp.float32))[0][..., 0]
        return bernoulli.log_prob(eta, x)

    total = np.exp(log_prob(jnp.asarray(x))).sum()
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_masked_weights_get_no_gradient():
    net = flows.made(3, 4, activation="tanh")
    params = moved(jax.jit(net.init)(jax.random.key(0))[0])
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(net.apply(p, {}, jnp.ones(3))[0])))(params)
    for l, mask in enumerate(flows.made_masks(3, [4])):
        assert not np.asarray(gradient[f"dense_{l}"]["kernel"])[~mask].any()


def test_initial_kernels_keep_the_variance():
    """The fan-in counts the connections that stay, not all of them."""
    net = flows.made(400, 1200, activation="tanh")
    h = jnp.asarray(np.random.default_rng(0).normal(size=400), jnp.float32)
    kernel = jax.jit(net.init)(jax.random.key(0))[0]["dense_0"]["kernel"]
    np.testing.assert_allclose(np.var(h @ kernel), 1, rtol=0.15)


@pytest.mark.parametrize("name", ["maf", "iaf"])
def test_an_affine_layer_by_hand(name):
    """Two variables, no hidden layer: the second one's shift and scale are lines in the first."""
    layer = getattr(flows, name)(2, ())
    kernel = jnp.zeros((2, 4)).at[0, 2:].set(jnp.array([2.0, 0.5]))
    bias = jnp.array([1.0, 0.0, 0.0, 0.0])
    params = {"dense_0": {"kernel": kernel, "bias": bias}}
    x, log_det = jax.jit(layer.forward)(params, jnp.array([3.0, 5.0]))
    seen = 4.0 if name == "maf" else 3.0  # x_1 = z_1 + 1, or z_1 itself
    s = 3 * np.tanh(0.5 * seen / 3)
    np.testing.assert_allclose(x, [4, np.exp(s) * 5 + 2 * seen], rtol=1e-6)
    np.testing.assert_allclose(log_det, s, rtol=1e-6)


@pytest.mark.parametrize(("name", "quick"), [("maf", "inverse"), ("iaf", "forward")])
def test_the_quick_direction_has_no_loop(name, quick):
    """D-88: MAF evaluates and IAF samples in one pass; the other way is one loop of D passes."""
    layer = getattr(flows, name)(5, 8)
    params = jax.jit(layer.init)(jax.random.key(0))
    for direction in ("forward", "inverse"):
        text = str(jax.make_jaxpr(getattr(layer, direction))(params, jnp.ones((2, 5))))
        assert text.count("scan[") == (direction != quick), direction
        assert direction == quick or "length=5" in text


@pytest.mark.parametrize("tau", [flows.affine_map(), flows.spline_map(4), flows.sigmoidal_map(3)])
def test_densities_integrate_to_one(tau, x64):
    density = flows.flow(
        flows.stack(flows.maf(2, 5, scalar_map=tau, activation="tanh"), 2, 2),
        flows.standard_normal(2),
    )
    params = moved(jax.jit(density.init)(jax.random.key(0)), 0.25)
    grid = np.linspace(-10, 10, 301)
    x = jnp.stack(jnp.meshgrid(grid, grid), axis=-1)
    p = np.exp(jax.jit(density.log_prob)(params, x))
    mass = scipy.integrate.simpson(scipy.integrate.simpson(p, x=grid), x=grid)
    np.testing.assert_allclose(mass, 1, atol=1e-3)


def test_the_jacobian_of_a_layer_is_triangular(x64):
    layer = flows.maf(4, 6, activation="tanh")
    params = moved(jax.jit(layer.init)(jax.random.key(0)))
    z = jnp.array([0.3, -1.0, 0.5, 0.1])
    twice = lambda z: (lambda x, log_det: (x, (x, log_det)))(*layer.forward(params, z))
    jacobian, (_, log_det) = jax.jit(jax.jacfwd(twice, has_aux=True))(z)
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0)
    np.testing.assert_allclose(log_det, np.log(np.diag(jacobian)).sum(), rtol=1e-10)


def test_samples_follow_the_density(x64):
    """The probability integral transform: the first variable, then the second given it."""
    density = flows.flow(flows.maf(2, 5, activation="tanh"), flows.standard_normal(2))
    params = moved(jax.jit(density.init)(jax.random.key(0)))
    x = jax.jit(lambda key: density.sample(key, params, 3000))(jax.random.key(1))
    net = flows.made(2, 5, 2, activation="tanh")
    theta = jax.jit(net.apply)(params["bijector"], {}, x)[0]
    t, s = theta[..., 0], 3 * np.tanh(theta[..., 1] / 3)
    u = scipy.stats.norm.cdf((x - t) / np.exp(s))
    assert all(scipy.stats.kstest(u[:, i], "uniform").pvalue > 1e-3 for i in range(2))
    assert abs(np.corrcoef(u.T)[0, 1]) < 0.06


def test_what_is_not_its_turn_yet_cannot_overflow():
    """Huge latents of later variables do not make the first ones NaN on the way."""
    layer = flows.maf(3, 4, activation="relu")
    params, forward = moved(jax.jit(layer.init)(jax.random.key(0)), 1.0), jax.jit(layer.forward)
    x, log_det = forward(params, jnp.array([0.5, 3e37, 1.0]))
    alone, _ = forward(params, jnp.array([0.5, 0.0, 1.0]))
    assert np.isfinite(x[:2]).all() and x[0] == alone[0] and np.isfinite(log_det)


def test_a_posterior_differs_from_context_to_context():
    """An IAF of a batch of contexts, as a VAE's posterior, with several draws of each."""
    build = lambda context: flows.iaf(2, 5, activation="tanh", context=context)
    contexts = jnp.array([[0.0, 1.0, 2.0], [2.0, -1.0, 0.5]])
    params = moved(jax.jit(build(contexts).init)(jax.random.key(0)))
    z = jnp.asarray(np.random.default_rng(1).normal(size=(4, 2, 2)), jnp.float32)
    forward = jax.jit(lambda c, z: build(c).forward(params, z))
    x, log_det = forward(contexts, z)
    assert x.shape == (4, 2, 2) and log_det.shape == (4, 2)
    for i in range(2):
        one, one_det = forward(contexts[i], z[:, i])
        np.testing.assert_allclose(one, x[:, i], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(one_det, log_det[:, i], rtol=1e-5, atol=1e-6)
    by_context = jax.jit(jax.grad(lambda c: jnp.sum(forward(c, z)[0])))(contexts)
    assert (by_context != 0).all()


def test_a_single_sigmoid_starts_as_the_identity():
    """``logit(sigmoid(a z + b))`` with the slope a = softplus(log(e^0.999 - 1)) + 0.001 = 1."""
    bend = flows.sigmoidal_map(1)
    z = jnp.array([-3.0, 0.2, 2.0])
    x, log_slope = bend.forward(jnp.zeros((3, bend.num_parameters)), z)
    np.testing.assert_allclose(x, z, rtol=1e-5)
    np.testing.assert_allclose(log_slope, 0, atol=1e-5)
