"""A network whose ingredients are switches, so that a table of them is one program.

Depth, initialisation, normalisation, skips, dropout, decay and shifts of the images are floats in
a setting; with all of them off the network is softmax regression. Every member pays for the
largest network, and nothing is compiled twice.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl import families, layers, losses, training
from jaxdl.base import Learner, Model
from jaxdl.optim import schedules

SIDE, CLASSES = 8, 10

# Each row has all that the rows above it have.
ROWS: dict[str, dict[str, float]] = {
    "linear": {"depth": 0, "init": 1, "norm": 0, "skip": 0, "dropout": 0, "decay": 0, "shift": 0},
    "shallow": {"depth": 1},
    "deep": {"depth": 3, "init": 0.1},
    "+ init": {"init": 1},
    "+ norm": {"norm": 1},
    "+ skip": {"skip": 1},
    "+ dropout": {"dropout": 0.1},
    "+ decay": {"decay": 0.1},
    "+ shifts": {"shift": 0.7},
}


def settings(depth: int, rate: float) -> list[dict[str, float]]:
    """The rows of the table as settings, each with what those above it have."""
    rows, h = [], {"rate": rate}
    for changes in ROWS.values():
        h = {**h, **changes}
        rows.append({k: float(depth if k == "depth" and v > 1 else v) for k, v in h.items()})
    return rows


def network(h: Mapping[str, jax.Array], width: int, depth: int) -> Model:
    """Images [B, 64] of 0 to 16 to logits [B, 10], by up to ``depth`` hidden layers of ``width``.

    ``h_l = dropout(relu(norm(W_l' h_{l-1}))) + h_{l-1}`` with what is on in ``h``; the images,
    filled up with zeros to ``width``, are h_0. ``init`` multiplies He's kernels.
    """

    def kernel(key, shape, dtype):
        return h["init"] * layers.he_normal()(key, shape, dtype)

    def init(key):
        params, state = {}, {}
        for l in range(depth):
            params[f"dense_{l}"] = layers.dense_init(
                jax.random.fold_in(key, l), width, width, kernel_init=kernel
            )
            params[f"norm_{l}"], state[f"norm_{l}"] = layers.batch_norm_init(width)
        params["logits"] = layers.dense_init(jax.random.fold_in(key, depth), width, CLASSES)
        return params, state

    def apply(params, state, x, *, key=None, train=False, mask=None):
        x = jnp.pad(x / 16, ((0, 0), (0, width - SIDE * SIDE)))
        new = {}
        for l in range(depth):
            a = layers.dense(params[f"dense_{l}"], x)
            normal, new[f"norm_{l}"] = layers.batch_norm(
                params[f"norm_{l}"], state[f"norm_{l}"], a, train=train, mask=mask
            )
            out = layers.relu(jnp.where(h["norm"] > 0, normal, a))
            layer_key = None if key is None else jax.random.fold_in(key, l)
            out = layers.dropout(out, h["dropout"], key=layer_key, train=train)
            if l > 0:
                out += jnp.where(h["skip"] > 0, x, 0)
            x = jnp.where(l < h["depth"], out, x)
        return layers.dense(params["logits"], x), new

    return Model(init, apply, sees_mask=True)


def shift(x: jax.Array, key: jax.Array, rate: float | jax.Array) -> jax.Array:
    """Move a share ``rate`` of images [B, 64] by up to one pixel each way; the key is consumed."""
    row, column = np.mgrid[:SIDE, :SIDE]
    sources = []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, z = row + dy, column + dx
            inside = (y >= 0) & (y < SIDE) & (z >= 0) & (z < SIDE)
            sources.append(np.where(inside, y * SIDE + z, SIDE * SIDE).ravel())
    moved_key, which_key = jax.random.split(key)
    moved = jax.random.uniform(moved_key, (len(x),)) < rate
    which = jnp.where(moved, jax.random.randint(which_key, (len(x),), 0, 9), 4)  # 4: not at all
    padded = jnp.pad(x, ((0, 0), (0, 1)))
    return jnp.take_along_axis(padded, jnp.asarray(np.stack(sources))[which], axis=1)


def make_learner(width: int, depth: int, steps: int) -> Callable[[Mapping], Learner]:
    """A function of a setting that builds a Learner; the learning rate falls over ``steps``."""

    def make(h):
        model = network(h, width, depth)
        plain = training.negative_log_likelihood(model, families.categorical(CLASSES))

        def loss(params, state, batch, *, key=None, train=False, mask=None):
            x, y = batch
            if train:
                shift_key, key = jax.random.split(key)
                x = shift(x, shift_key, h["shift"])
            return plain.loss(params, state, (x, y), key=key, train=train, mask=mask)

        optimizer = optax.adamw(
            schedules.cosine(h["rate"], steps), weight_decay=h["decay"], mask=losses.decay_mask
        )
        return training.gradient_learner(model, plain._replace(loss=loss), optimizer)

    return make
