"""One response to a whole sequence, and one to each of its positions. Notes: §7.1, §7.2."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.base import Model, stateless
from jaxdl.models.recurrent_config import (
    RecurrentConfig,
    checked,
    make_cells,
    output_width,
    read,
    read_init,
    split,
)


def sequence_classifier(
    config: RecurrentConfig, num_outputs: int, *, head_hidden: Sequence[int] = ()
) -> Model:
    """Many to one: ``eta = W_2'h_T + b``, for ``E[y | x_1, ..., x_T] = g^-1(eta)`` of any family.

    x is Sequences of tokens [N, T], or of vectors [N, T, D], or an array of either; eta is [N, K]
    with K = ``num_outputs``. h_T is the last layer's state at each row's own end (D-66): both
    directions' last states, side by side, where it is bidirectional. ``head_hidden`` are widths of
    ReLU layers between h_T and eta (E-48), and the family is that of the objective (E-47).

    Params are ``"embedding"``, ``"recurrent"`` and ``"head"``. Raises ValueError for a config that
    does not fit together. Notes: Eq. (31), L945, §7.1; L995, §7.2.

    >>> from jaxdl.base import Sequences
    >>> model = sequence_classifier(RecurrentConfig(10, features=3, hidden=4), 2)
    >>> params, state = model.init(jax.random.key(0))
    >>> x = Sequences(jnp.array([[1, 2, 0], [3, 4, 5]]), jnp.array([2, 3]))
    >>> model.apply(params, state, x)[0].shape
    (2, 2)
    """
    cells = make_cells(checked(config))
    sizes = (output_width(config), *head_hidden, num_outputs)

    def init(key):
        keys = jax.random.split(key, 2 + len(sizes))
        head = {
            f"dense_{i}": layers.dense_init(k, m, n)
            for i, (k, m, n) in enumerate(zip(keys[2:], sizes[:-1], sizes[1:], strict=False))
        }
        return {
            **read_init(keys[0], config),
            "recurrent": layers.stacked_init(keys[1], cells),
            "head": head,
        }

    def apply(params, x, *, key, train):
        keys = split(key, 3)
        x = read(config, params, x, keys[0], train)
        carries, _ = layers.stacked(
            cells, params["recurrent"], x, dropout=config.dropout, key=keys[1], train=train
        )
        last = carries[-1] if config.bidirectional else (carries[-1],)
        h = jnp.concatenate([carry[-1] for carry in last], axis=-1)
        h = layers.dropout(h, config.dropout, key=keys[2], train=train)
        for i in range(len(sizes) - 1):
            h = layers.dense(params["head"][f"dense_{i}"], jax.nn.relu(h) if i else h)
        return h

    return stateless(init, apply)


def sequence_labeller(config: RecurrentConfig, num_outputs: int) -> Model:
    """Aligned many to many: eta [N, T, K], the response to each position from those up to it.

    x as of ``sequence_classifier``. eta at t does not depend on x behind t, unless the config is
    bidirectional. Train it with ``training.sequence_nll``. Params are ``"embedding"``,
    ``"recurrent"`` and ``"head"``. Raises ValueError for a config that does not fit together.
    Notes: L1001, §7.2.

    The responses are independent given x: where y_t is to depend on y_1, ..., y_{t-1} too, they
    belong into x.

    >>> model = sequence_labeller(RecurrentConfig(None, features=3, hidden=4, cell="gru"), 2)
    >>> params, state = model.init(jax.random.key(0))
    >>> model.apply(params, state, jnp.ones((1, 5, 3)))[0].shape
    (1, 5, 2)
    """
    cells = make_cells(checked(config))

    def init(key):
        keys = jax.random.split(key, 3)
        return {
            **read_init(keys[0], config),
            "recurrent": layers.stacked_init(keys[1], cells),
            "head": layers.dense_init(keys[2], output_width(config), num_outputs),
        }

    def apply(params, x, *, key, train):
        keys = split(key, 3)
        x = read(config, params, x, keys[0], train)
        _, y = layers.stacked(
            cells, params["recurrent"], x, dropout=config.dropout, key=keys[1], train=train
        )
        y = layers.dropout(y, config.dropout, key=keys[2], train=train)
        return layers.dense(params["head"], y)

    return stateless(init, apply)
