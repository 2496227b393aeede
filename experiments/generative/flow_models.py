"""Normalizing flows: densities that are exact. Notes: §9.4."""

import jax.numpy as jnp

from experiments.generative.base import Generator, optimizer
from experiments.generative.settings import Settings
from jaxdl import families, flows, training
from jaxdl.base import Array, Bijector
from jaxdl.flows import ScalarMap, affine_map, sigmoidal_map


def flow(settings: Settings, data: Array | None = None) -> Generator:
    """A flow of ``settings.model``; ``data`` [N, D] are what its scales start from."""
    shape = settings.shape if settings.model == "glow" else (settings.dim,)
    # Pixels that are white in all of the training part are not in all of the test part.
    heavy = flows.base_density(families.student_t(4.0), jnp.zeros(shape))
    base = flows.standard_normal(shape) if settings.shape is None else heavy
    density = flows.flow(bijector(settings), base)
    event = lambda x: x.reshape(-1, *shape)
    rows = lambda x: x.reshape(len(x), -1)
    learner = training.gradient_learner(
        flows.density_model(density, None if data is None else event(data)),
        training.flow_nll(density),
        optimizer(settings.rate, settings.steps, settings.decay),
    )
    own = lambda ts: ts.params["bijector"]
    map_ = bijector(settings)
    return Generator(
        learner,
        lambda x, label: event(x),
        settings.dim,
        sample=lambda ts, key, n, label: rows(density.sample(key, ts.params, n)),
        decode=lambda ts, z, label: rows(map_.forward(own(ts), event(z))[0]),
        encode=lambda ts, x, label: rows(map_.inverse(own(ts), event(x))[0]),
        log_prob=lambda ts, key, x, label: density.log_prob(ts.params, event(x)),
        exact=True,
    )


def bijector(settings: Settings) -> Bijector:
    """The map from z to x."""
    dim, name = settings.dim, settings.model
    hidden = (settings.width, settings.width)
    plane = dim <= 4
    if name == "glow":
        levels = 2 if settings.shape[0] % 4 == 0 and settings.shape[1] % 4 == 0 else 1
        return flows.glow(
            settings.shape, levels=levels, steps=settings.depth or 4, hidden=settings.width
        )
    if name == "realnvp":
        layer, depth = flows.affine_coupling(dim, hidden, activation="silu"), 8
    elif name == "flow":
        layer, depth = flows.spline_coupling(dim, hidden), 4
    else:
        tau: ScalarMap = affine_map() if name == "maf" else sigmoidal_map()
        layer = flows.maf(dim, hidden, scalar_map=tau, activation="silu")
        depth = 3 if name == "naf" else 12 if plane else 4
    return flows.chain(flows.stack(layer, dim, settings.depth or depth), flows.actnorm(dim))
