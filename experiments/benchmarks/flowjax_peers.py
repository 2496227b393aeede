"""The flows of ``generative`` in flowjax, as wide and as many; scales and starts are flowjax's own.

Needs flowjax: https://github.com/danielward27/flowjax.
"""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import paramax
from flowjax.distributions import Normal
from flowjax.flows import coupling_flow, masked_autoregressive_flow
from flowjax.train.losses import MaximumLikelihoodLoss
from flowjax.train.train_utils import step

from experiments.benchmarks.generative_work import Learned, Work

MAKE = {"coupling": coupling_flow, "autoregressive": masked_autoregressive_flow}


def flow(dim: int, kind: str, depth: int, width: int):
    """``depth`` affine layers of two hidden layers each, whose densities are quick."""
    return MAKE[kind](
        jax.random.key(0), base_dist=Normal(jnp.zeros(dim)), flow_layers=depth, nn_width=width,
        nn_depth=2, nn_activation=jax.nn.silu,
    )  # fmt: skip


def train(work: Work, kind: str, depth: int, width: int, *, scan: bool) -> Learned:
    """flowjax's ``step``, which is jitted, in a Python loop; or in one jitted scan of all steps."""
    # As its fit_to_data: what is not to be trained is static.
    params, static = eqx.partition(
        flow(work.x.shape[1], kind, depth, width), eqx.is_inexact_array,
        is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable),
    )  # fmt: skip
    optimizer, loss_fn = optax.adam(work.rate), MaximumLikelihoodLoss()
    x, start = jnp.asarray(work.x), (params, optimizer.init(params))

    def one(carry, batch):
        params, opt_state, loss = step(
            carry[0], static, batch, optimizer=optimizer, opt_state=carry[1], loss_fn=loss_fn
        )
        return (params, opt_state), loss

    if scan:
        rows = jnp.asarray(np.stack(work.batches()))
        program = jax.jit(lambda carry: jax.lax.scan(lambda c, r: one(c, x[r]), carry, rows)[1])
        before, compiled = _timed(lambda: program.lower(start).compile())
        run, losses = _timed(lambda: compiled(start))
    else:
        take, rows = jax.jit(lambda rows: x[rows]), [jnp.asarray(r) for r in work.batches()]
        before, _ = _timed(lambda: one(start, take(rows[0])))

        def loop():
            carry, losses = start, []
            for each in rows:
                carry, loss = one(carry, take(each))
                losses.append(loss)
            return losses

        run, losses = _timed(loop)
        losses = jnp.stack(losses)
    return Learned(run, before, float(losses[-work.per_epoch :].mean()))


def samples(dim: int, n: int, calls: int, kind: str, depth: int, width: int) -> Learned:
    """``calls`` times n draws from the flow as it starts, by one compiled program."""
    own, keys = flow(dim, kind, depth, width), list(jax.random.split(jax.random.key(0), calls))
    draw = eqx.filter_jit(lambda own, key: own.sample(key, (n,)))
    before, _ = _timed(lambda: draw(own, keys[0]))
    run, x = _timed(lambda: [draw(own, key) for key in keys][-1])
    return Learned(run, before, float(jnp.mean(jnp.square(x))))


def _timed(fn):
    began = time.perf_counter()
    result = fn()
    jax.block_until_ready(jax.tree.leaves(result))
    return time.perf_counter() - began, result
