"""What every Bijector keeps to; a new map is a new row of the table."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import base, flows


class Case(NamedTuple):
    """A bijector, the shape of its z, and what is promised of it."""

    bijector: base.Bijector
    shape: tuple = (3,)
    identity: bool = True  # at initialisation
    chained: bool = True  # takes part in one long chain


CASES = {
    "affine": Case(flows.affine(3)),
    "affine_of_images": Case(flows.affine((2, 3)), (2, 3)),
    "actnorm": Case(flows.actnorm(3)),
    "actnorm_of_images": Case(flows.actnorm(3, event_ndims=3), (2, 1, 3)),
    "permutation": Case(flows.permutation([2, 0, 1]), identity=False),
    "reverse": Case(flows.reverse(3), identity=False),
    "logit": Case(flows.logit(margin=0.1), identity=False, chained=False),
    "affine_coupling": Case(flows.affine_coupling(3, 5, activation="tanh")),
    "affine_coupling_masked": Case(
        flows.affine_coupling(3, 5, mask=[True, False, True], activation="tanh")
    ),
    "affine_coupling_in_context": Case(
        flows.affine_coupling(3, 5, activation="tanh", context=jnp.ones(2))
    ),
    "additive_coupling": Case(flows.mlp_coupling(3, flows.additive_map(), 5, activation="tanh")),
    "spline_coupling": Case(flows.spline_coupling(3, 5, activation="tanh", bins=4)),
    "maf": Case(flows.maf(3, 5, activation="tanh")),
    "maf_in_order": Case(flows.maf(3, 5, order=[1, 2, 0], activation="tanh")),
    "maf_of_splines_in_context": Case(
        flows.maf(3, 5, scalar_map=flows.spline_map(4), activation="tanh", context=jnp.ones(2))
    ),
    "iaf": Case(flows.iaf(3, (5, 4), activation="tanh")),
    "naf": Case(
        flows.maf(3, 5, scalar_map=flows.sigmoidal_map(3), activation="tanh"), identity=False
    ),
    "planar": Case(flows.planar(3)),
    "radial": Case(flows.radial(3)),
    "linear": Case(flows.invertible_convolution(3, event_ndims=1), identity=False),
    "invertible_convolution": Case(flows.invertible_convolution(3, order=[0, 1, 2]), (2, 1, 3)),
    "squeeze": Case(flows.invert(flows.squeeze()), (1, 2, 4), identity=False),
    "split": Case(flows.split(flows.affine(2), 2, event_ndims=1)),
    "glow": Case(flows.glow((2, 2, 1), levels=1, steps=2, hidden=3), (2, 2, 1), identity=False),
    "stack": Case(flows.stack(flows.affine_coupling(3, 4, activation="tanh"), 3, 2)),
    "chain": Case(flows.chain(flows.affine(3), flows.reverse(3), flows.actnorm(3)), identity=False),
    "invert": Case(flows.invert(flows.affine(3))),
    "repeat": Case(flows.repeat(flows.affine(3), 2)),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
B = 4


def values(case, seed=0):
    return jnp.asarray(1.5 * np.random.default_rng(seed).normal(size=(B, *case.shape)), float)


def moved(params, seed=1):
    """The parameters away from their start, where every one of them matters."""
    rng = np.random.default_rng(seed)
    shift = lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype(leaf.dtype)
    return jax.tree.map(shift, params)


@functools.cache
def compiled(case):
    """All that is asked of a map, as one program: (params, z) -> results."""

    def everything(params, z):
        x, log_det = case.bijector.forward(params, z)
        back, log_det_back = case.bijector.inverse(params, x)
        flat = lambda z: case.bijector.forward(params, z.reshape(case.shape))[0].reshape(-1)
        jacobian = jax.vmap(jax.jacfwd(flat))(z.reshape(B, -1))
        return x, log_det, back, log_det_back, jacobian

    return jax.jit(everything)


def started(case):
    return moved(case.bijector.init(jax.random.key(0)))


def check_round_trip(case, tolerance):
    z = values(case)
    x, log_det, back, log_det_back, jacobian = compiled(case)(started(case), z)
    assert log_det.shape == log_det_back.shape == (B,)
    assert x.dtype == back.dtype == log_det.dtype == log_det_back.dtype == z.dtype
    np.testing.assert_allclose(back, z, atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(log_det_back, -log_det, atol=10 * tolerance, rtol=tolerance)
    expected = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
    np.testing.assert_allclose(log_det, expected, atol=10 * tolerance, rtol=tolerance)


@cases
def test_inverse_and_log_determinants_in_float32(case):
    """The log-determinant has its sign, and that of the inverse is its negative."""
    check_round_trip(case, 1e-5)


@cases
def test_inverse_and_log_determinants_in_float64(case, x64):
    check_round_trip(case, 1e-10)


@cases
def test_it_starts_as_the_identity_where_promised(case):
    z = values(case)
    x, log_det = case.bijector.forward(case.bijector.init(jax.random.key(0)), z)
    if case.identity:
        np.testing.assert_allclose(x, z, atol=2e-6)
        np.testing.assert_allclose(log_det, 0, atol=1e-5)


@cases
def test_every_parameter_has_a_gradient_in_both_directions(case):
    def loss(params, z, x):
        there, back = case.bijector.forward(params, z), case.bijector.inverse(params, x)
        each = lambda value, log_det: jnp.sum(jnp.sin(value)) + jnp.sum(log_det)
        return jnp.stack([each(*there), each(*back)])

    if not jax.tree.leaves(started(case)):
        return  # permutations and the like have nothing to learn
    z = values(case)
    x = compiled(case)(started(case), z)[0]
    for path, leaf in jax.tree_util.tree_leaves_with_path(
        jax.jit(jax.jacrev(loss))(started(case), z, x)
    ):
        reached = abs(leaf).reshape(2, -1).max(axis=1)
        assert np.isfinite(leaf).all() and (reached > 0).all(), path


@cases
def test_examples_do_not_meet_and_leading_axes_are_free(case):
    """Eager is compiled; one example by itself, or [2, 2] of them, are as in a batch."""
    params, z = started(case), values(case)
    x, log_det, *_ = compiled(case)(params, z)
    one, one_det = case.bijector.forward(params, z[1])
    assert one_det.shape == ()
    np.testing.assert_allclose(one, x[1], atol=2e-6, rtol=2e-5)
    np.testing.assert_allclose(one_det, log_det[1], atol=2e-6, rtol=2e-5)
    square, square_det = case.bijector.inverse(params, x.reshape(2, 2, *x.shape[1:]))
    assert square_det.shape == (2, 2)
    np.testing.assert_allclose(square.reshape(z.shape), z, atol=1e-5, rtol=1e-5)


@cases
def test_vmap_over_parameter_sets_is_a_loop(case):
    keys = [jax.random.key(i) for i in range(2)]
    sets = [moved(case.bijector.init(key), seed) for seed, key in enumerate(keys)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *sets)
    z = values(case)
    back_and_forth = lambda p: (
        *(there := case.bijector.forward(p, z)),
        *case.bijector.inverse(p, there[0]),
    )
    together = jax.jit(jax.vmap(back_and_forth, axis_size=2))(stacked)
    for i, params in enumerate(sets):
        alone = compiled(case)(params, z)[:4]
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a[i], b, atol=2e-5, rtol=2e-5)


def test_one_after_the_other_adds_the_log_determinants():
    """All maps of the real line in one chain, against each by itself; and the way back."""
    some = [case for case in CASES.values() if case.shape == (3,) and case.chained]
    everything = flows.chain(*[case.bijector for case in some])
    params = [started(case) for case in some]
    x = z = values(some[0])
    total = 0
    for case, p in zip(some, params, strict=True):
        x, more, *_ = compiled(case)(p, x)
        total += more
    together, log_det = jax.jit(everything.forward)(params, z)
    np.testing.assert_allclose(together, x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_det, total, rtol=1e-4, atol=1e-3)


@cases
def test_data_may_be_given_to_init(case):
    """Only the values of parameters may differ, never their form."""
    plain = case.bijector.init(jax.random.key(0))
    x, _ = case.bijector.forward(plain, values(case))
    with_data = case.bijector.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, with_data) == jax.tree.map(jnp.shape, plain)
