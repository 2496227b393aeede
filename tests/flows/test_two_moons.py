"""Two moons: flows come close to the true density. Minutes; run with -m slow."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import flows, training
from jaxdl.data import synthetic

TRUE = -1.0069  # the mean log-density of two moons with noise 0.1, in nats
NAF = flows.maf(2, (64, 64), scalar_map=flows.sigmoidal_map(8), activation="silu")
LAYERS = {  # the layer, how many of them, and how far from the truth they may stay
    "spline": (flows.spline_coupling(2, (64, 64), bins=12, bound=3.0), 6, 0.03),
    "maf": (flows.maf(2, (64, 64), activation="silu"), 12, 0.03),
    "naf": (NAF, 3, 0.03),
    "realnvp": (flows.affine_coupling(2, (64, 64), activation="silu"), 12, 0.06),
}


def mean_log_density(layer, depth, *, steps=6000):
    """The mean log-density of fresh data, and their true one."""
    sizes = 100_000, 30_000
    train, fresh = (synthetic.two_moons(jax.random.key(i), n=n).x for i, n in enumerate(sizes))
    bijector = flows.chain(flows.stack(layer, 2, depth), flows.actnorm(2))
    density = flows.flow(bijector, flows.standard_normal(2))
    optimizer = optax.chain(
        optax.clip_by_global_norm(5.0), optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    )
    learner = training.gradient_learner(
        flows.density_model(density, train[:500]), training.flow_nll(density), optimizer
    )
    result = training.fit(learner, train, key=jax.random.key(2), steps=steps, batch_size=500)
    log_prob = jax.jit(density.log_prob)(result.state.params, fresh)
    return float(jnp.mean(log_prob)), float(jnp.mean(synthetic.two_moons_log_density(fresh)))


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_two_moons_are_learned(name):
    layer, depth, gap = LAYERS[name]
    found, true = mean_log_density(layer, depth)
    np.testing.assert_allclose(true, TRUE, atol=0.02)
    print(f"{name}: {found:.4f}, true {true:.4f}")
    assert found > true - gap
