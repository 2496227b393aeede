"""Maps of images: the 1x1 convolution, squeezing, splitting, Glow."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
import scipy.stats

from jaxdl import flows, training


def test_the_log_determinant_is_of_the_absolute_value_and_of_all_positions():
    """jaywalnut310/glow-tts #17: a permutation has 0, not NaN; 2I on 3x3 pixels has 9 log 4."""
    swap = flows.invertible_convolution(2)
    params = swap.init(jax.random.key(0))
    image = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 2)), jnp.float32)
    z, log_det = swap.inverse(params, image)
    np.testing.assert_array_equal(z, image[..., ::-1])
    assert log_det == 0
    double = flows.invertible_convolution(2, order=[0, 1])
    params["log_scale"] = jnp.log(jnp.full(2, 2.0))
    z, log_det = double.inverse(params, image)
    np.testing.assert_allclose(z, 2 * image, rtol=1e-6)
    np.testing.assert_allclose(log_det, 12.476649, rtol=1e-6)
    np.testing.assert_allclose(double.forward(params, z)[0], image, rtol=1e-6)
    np.testing.assert_allclose(double.forward(params, z)[1], -12.476649, rtol=1e-6)


def test_any_invertible_matrix_is_its_factors_and_its_density_is_scipys(x64):
    """W from scipy's LU with a pivot; of a normal it makes a normal with all covariances (D-87)."""
    w = np.random.default_rng(1).normal(size=(3, 3))
    p, lower, upper = scipy.linalg.lu(w)
    order = p.argmax(axis=1)
    signs = np.sign(np.diag(upper))
    upper = signs[:, None] * upper  # exp(s) is positive; the signs are those of rows of z
    mix = flows.invertible_convolution(3, order=order, event_ndims=1)
    params = {"lower": jnp.asarray(lower), "upper": jnp.asarray(upper)}
    params["log_scale"] = jnp.log(jnp.diag(params["upper"]))
    x = np.random.default_rng(2).normal(size=(5, 3))
    whole = p @ lower @ upper
    np.testing.assert_allclose(mix.inverse(params, x)[0], x @ whole.T, rtol=1e-12)
    density = flows.flow(mix, flows.standard_normal(3))
    covariance = np.linalg.inv(whole) @ np.linalg.inv(whole).T
    expected = scipy.stats.multivariate_normal(np.zeros(3), covariance).logpdf(x)
    params = {"bijector": params, "base": {}}
    np.testing.assert_allclose(density.log_prob(params, x), expected, rtol=1e-10)
    # The norm of the Jacobian in place of its determinant would be another number.
    wrong = (
        density.log_prob(params, x) + np.log(np.linalg.norm(whole)) - np.linalg.slogdet(whole)[1]
    )
    assert abs(wrong - expected).min() > 0.1


def test_init_scale_draws_the_triangles():
    params = flows.invertible_convolution(20, init_scale=jnp.asarray(0.1)).init(jax.random.key(0))
    np.testing.assert_allclose(np.std(params["lower"][np.tril_indices(20, -1)]), 0.1, rtol=0.2)
    assert not np.triu(params["lower"]).any() and not np.tril(params["upper"]).any()
    with pytest.raises(ValueError, match="an order has each of 0"):
        flows.invertible_convolution(2, order=[1, 2])


def test_squeezing_keeps_glows_order():
    """x[c, i, j] = 4c + 2i + j of two channels: 0..7, not RealNVP's 0, 4, 1, 5, ...
    (openai/glow #88)."""
    x = np.arange(8.0).reshape(2, 2, 2)  # [C, H, W]
    squeezed, log_det = flows.squeeze().forward({}, jnp.asarray(np.moveaxis(x, 0, -1)))
    assert squeezed.shape == (1, 1, 8) and squeezed.ravel().tolist() == list(range(8))
    assert log_det == 0
    image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 6, 3)))
    for f in (1, 2):
        there, _ = flows.squeeze(f).forward({}, image)
        np.testing.assert_array_equal(flows.squeeze(f).inverse({}, there)[0], image)
    for c in range(3):  # each pixel by loops
        for i, j in np.ndindex(4, 6):
            assert there[1, i // 2, j // 2, 4 * c + 2 * (i % 2) + j % 2] == image[1, i, j, c]
    with pytest.raises(ValueError, match="squeezing by 2 does not fit"):
        flows.squeeze().forward({}, jnp.ones((3, 4, 1)))
    with pytest.raises(ValueError, match="squeezing by 2 does not fit"):
        flows.squeeze().inverse({}, jnp.ones((2, 2, 3)))


def test_split_leaves_the_other_channels_alone():
    halves = flows.split(flows.affine((1, 1, 2)), 2)
    params = {"shift": jnp.ones((1, 1, 2)), "log_scale": jnp.zeros((1, 1, 2))}
    x, _ = halves.forward(params, jnp.zeros((1, 1, 5)))
    assert x.ravel().tolist() == [1, 1, 0, 0, 0]
    data = jnp.asarray(np.random.default_rng(0).normal(2, 3, size=(6, 3)), jnp.float32)
    started = flows.split(flows.actnorm(2), 2, event_ndims=1).init(jax.random.key(0), data)
    np.testing.assert_allclose(started["shift"], data[:, :2].mean(0), rtol=1e-5)
    with pytest.raises(ValueError, match="no more than 2 channels"):
        flows.split(flows.affine(2), 2, event_ndims=1).forward({}, jnp.ones(2))


IMAGES = np.random.default_rng(3).normal(3, 2, size=(12, 4, 4, 1)).astype(np.float32)
GLOW = flows.flow(flows.glow((4, 4, 1), steps=2, hidden=4), flows.standard_normal((4, 4, 1)))


@pytest.mark.slow
def test_glow_starts_from_its_data_and_learns():
    """After init the latents of the data have mean 0 and variance 1; training lowers the loss."""
    model = flows.density_model(GLOW, IMAGES)
    params, _ = jax.jit(model.init)(jax.random.key(0))
    inverse = jax.jit(flows.glow((4, 4, 1), steps=2, hidden=4).inverse)
    z, log_det = inverse(params["bijector"], IMAGES)
    assert z.shape == IMAGES.shape and log_det.shape == (12,)
    np.testing.assert_allclose([z.mean(), z.var()], [0, 1], atol=1e-2)
    learner = training.gradient_learner(model, training.flow_nll(GLOW), optax.adam(1e-2))
    result = training.fit(learner, IMAGES, key=jax.random.key(0), epochs=20)
    loss = result.history.loss
    assert loss[-1] < loss[0] - 1
    draw = jax.jit(GLOW.sample, static_argnums=2)
    x = draw(jax.random.key(1), result.state.params, 5)
    assert x.shape == (5, 4, 4, 1) and np.isfinite(x).all()


def test_glow_of_two_levels_keeps_to_its_jacobian(x64):
    """What is factored out depends on the rest, and still the log-determinant is slogdet."""
    images = flows.glow((4, 4, 1), steps=1, hidden=3)
    rng = np.random.default_rng(0)
    params = jax.jit(images.init)(jax.random.key(0))
    params = jax.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape), params)
    z = jnp.asarray(rng.normal(size=(4, 4, 1)))

    def flat(z):
        x, log_det = images.forward(params, z.reshape(4, 4, 1))
        return x.ravel(), (x, log_det)

    jacobian, (x, log_det) = jax.jit(jax.jacfwd(flat, has_aux=True))(z.ravel())
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], rtol=1e-10)
    np.testing.assert_allclose(jax.jit(images.inverse)(params, x)[0], z, atol=1e-10)


def test_glow_factors_out_half_of_the_channels_behind_its_steps():
    """What a level leaves alone is what the same steps without another level behind them give."""
    how = {"steps": 1, "hidden": 4}
    two, one = (flows.glow((4, 4, 1), levels=levels, **how) for levels in (2, 1))
    draw = lambda leaf: leaf + 0.3 * np.random.default_rng(leaf.size).normal(size=leaf.shape)
    params = jax.tree.map(draw, two.init(jax.random.key(0)))
    squeezed, _, *rest = params
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 1)).astype(np.float32)
    z, alone = (flow.inverse(p, x)[0] for flow, p in ((two, params), (one, (squeezed, *rest))))
    same = np.isclose(z, alone, rtol=1e-4, atol=1e-5)
    assert same.mean() == 0.5 and (same == same[:1]).all()


def test_glow_needs_sides_that_can_be_halved():
    with pytest.raises(ValueError, match="multiples of 4, not 6 x 4"):
        flows.glow((6, 4, 1), levels=2)
