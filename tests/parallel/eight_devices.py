"""A language model trained on 8 host devices by the sharding rules, and on one; prints what differs.

A process of its own: collectives between host devices need a pool of twice as many threads, which
is made when JAX starts.
"""

import os

if __name__ == "__main__":
    os.environ["PJRT_NPROC"] = "16"

import json

import jax
import numpy as np
import optax

from jaxdl import models, parallel, training


def steps(learner, state, batch, how, count=3):
    step = jax.jit(learner.step, **how)
    for _ in range(count):
        state, info = step(state, batch)
    return state, float(info["loss"])


def main():
    jax.config.update("jax_num_cpu_devices", 8)
    config = models.TransformerConfig(
        12, features=8, num_heads=2, hidden=16, num_layers=1, norm_position="pre", tied=False,
        positions="learned", max_length=6,
    )  # fmt: skip
    batch = np.random.default_rng(0).integers(0, 12, (8, 6)).astype(np.int32)
    net = models.language_model(config)
    learner = training.gradient_learner(net, training.next_token_nll(net, 12), optax.adam(0.01))
    start = learner.init(jax.random.key(0))
    alone, loss = steps(learner, start, batch, {})
    mesh = parallel.grid({"data": 2, "parameters": 2, "tensor": 2})
    where = parallel.shardings(start, mesh, parallel.transformer_spec)
    rows = jax.sharding.NamedSharding(mesh, parallel.batch_spec())
    how = {"in_shardings": (where, rows), "out_shardings": (where, None)}
    many, loss_many = steps(learner, jax.device_put(start, where), batch, how)
    gap = lambda a, b: float(np.max(np.abs(np.asarray(a) - np.asarray(b)), initial=0))
    moved = jax.tree.leaves(jax.tree.map(gap, start.params, alone.params))
    stack = many.params["decoder"]["layer_0"]
    moments = many.opt_state[0].mu["decoder"]["layer_0"]
    shape = lambda leaf: list(leaf.addressable_shards[0].data.shape)
    said = {
        "gap": max(jax.tree.leaves(jax.tree.map(gap, alone.params, many.params))),
        "moved": min(moved), "losses": [loss, loss_many],
        "query": shape(stack["attention"]["query"]["kernel"]),
        "out": shape(stack["attention"]["out"]["kernel"]),
        "first": shape(stack["ffn"]["dense_0"]["kernel"]),
        "second": shape(moments["ffn"]["dense_1"]["kernel"]),
        "tokens": shape(many.params["embedding"]["tokens"]["embedding"]),
        "output": shape(many.params["output"]["kernel"]),
        "norm": shape(stack["norm_0"]["scale"]),
    }  # fmt: skip
    said["divided"] = division()
    print(json.dumps(said))


def division():
    """What a fit's learner over 8 devices differs by; batch normalisation sees the whole batch."""
    net = models.mlp((4, 6, 3), norm="batch")
    from jaxdl import families

    objective = training.negative_log_likelihood(net, families.categorical(3))
    learner = training.gradient_learner(net, objective, optax.sgd(0.5))
    many = parallel.divided(learner, parallel.mesh(name="data"))
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(16, 4)).astype(np.float32), rng.integers(0, 3, 16).astype(np.int32)
    mask = np.arange(16) < 13
    state = many.init(jax.random.key(0))
    one, other = (jax.jit(each.step)(state, batch, mask=mask)[0] for each in (learner, many))
    pairs = zip(*(jax.tree.leaves((s.params, s.state)) for s in (one, other)), strict=True)
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)))) for a, b in pairs)


if __name__ == "__main__":
    main()
