"""One learner over many devices: each takes its part of every batch, and all have the same state."""

import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl.base import Learner
from jaxdl.checks import is_key


@functools.lru_cache(maxsize=16)  # so that a learner which trains again compiles nothing again
def divided(learner: Learner, mesh: Mesh) -> Learner:
    """The learner whose batches are divided over the devices of a mesh, by their leading axis.

    It is the same function: sums and means over a batch are taken over all devices, gradients
    and statistics of normalisation among them, so results differ by rounding alone. Batches that
    the number of devices does not divide are on every device whole. Use it under ``jit``.

    >>> import optax
    >>> from jaxdl import families, models, parallel, training
    >>> net = models.mlp((2, 1))
    >>> objective = training.negative_log_likelihood(net, families.normal())
    >>> learner = training.gradient_learner(net, objective, optax.sgd(0.1))
    >>> many = divided(learner, parallel.mesh(name="data"))
    >>> x = np.ones((4, 2), np.float32)
    >>> state, info = jax.jit(many.step)(many.init(jax.random.key(0)), (x, x[:, 0]))
    >>> info["loss"].shape
    ()
    """
    whole = NamedSharding(mesh, PartitionSpec())
    parts = NamedSharding(mesh, PartitionSpec(mesh.axis_names))

    def put(leaf, sharding):
        return leaf if is_key(leaf) else jax.lax.with_sharding_constraint(leaf, sharding)

    def divide(batch):
        fits = lambda leaf: np.ndim(leaf) > 0 and leaf.shape[0] % mesh.size == 0
        return jax.tree.map(lambda leaf: put(leaf, parts) if fits(leaf) else leaf, batch)

    def step(train_state, batch, **rows):
        state, info = learner.step(train_state, divide(batch), **divide(rows))
        return jax.tree.map(lambda leaf: put(leaf, whole), (state, info))

    return learner._replace(
        step=step,
        predict=lambda state, x: learner.predict(state, divide(x)),
        evaluate=lambda state, batch: learner.evaluate(state, divide(batch)),
    )


def spread(tree: Any, mesh: Mesh) -> Any:
    """A tree of arrays, the same in all processes, whole on every device of a mesh."""
    whole = NamedSharding(mesh, PartitionSpec())

    def put(leaf):
        # Each process has it: nothing is sent, and nothing compared.
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, whole, lambda index: leaf[index])

    return jax.tree.map(put, tree)


def local(tree: Any) -> Any:
    """A tree of arrays that every device has whole, as arrays of this process alone."""

    def take(leaf):
        if is_key(leaf):
            words = jax.random.key_data(leaf).addressable_data(0)
            return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
        return leaf.addressable_data(0) if isinstance(leaf, jax.Array) else leaf

    return jax.tree.map(take, tree)
