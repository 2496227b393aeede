"""A learner whose settings change as it trains."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdl.base import Learner, TrainState
from jaxdl.checks import positive_int


def scheduled(make_learner: Callable, schedule: Mapping[str, Any], every: int) -> Learner:
    """The learner of ``make_learner`` whose settings are others after every so many steps.

    It begins as the learner of the first settings does, and predicts and is evaluated as that of
    its last step. Its optimizer must carry the same state whatever the settings are.

    Args:
      make_learner: ``(h) -> Learner``, as for ``cross_validate``; its values in ``h`` are traced.
      schedule: values {name: [J, ...]}, one after the other; the last ones stay.
      every: the steps that each lasts.

    Raises a ValueError for schedules of no or different lengths, and a learner without a clock.

    >>> import jax, jax.numpy as jnp, optax
    >>> from jaxdl import families, models, training
    >>> def make_learner(h):
    ...     net = models.mlp((1, 1))
    ...     loss = training.negative_log_likelihood(net, families.normal())
    ...     return training.gradient_learner(net, loss, optax.sgd(h["rate"]))
    >>> learner = scheduled(make_learner, {"rate": jnp.array([0.5, 0.0])}, every=2)
    >>> x = jnp.linspace(-1, 1, 8)[:, None]
    >>> loss = training.fit(learner, (x, x[:, 0]), key=jax.random.key(0), epochs=4).history.loss
    >>> bool(loss[1] > loss[2] == loss[3])
    True
    """
    schedule = {name: jnp.asarray(values) for name, values in schedule.items()}
    lengths = {np.shape(values)[:1] for values in schedule.values()}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(
            "a schedule has for each name as many values [J], not "
            f"{ {name: list(values.shape) for name, values in schedule.items()} }"
        )
    last = lengths.pop()[0] - 1
    positive_int("every", every)

    def at(step) -> Learner:
        stretch = jnp.clip(step // every, 0, last)
        return make_learner({name: values[stretch] for name, values in schedule.items()})

    def clock(train_state: Any):
        if not isinstance(train_state, TrainState):
            raise ValueError("a schedule needs a learner with a clock, whose state is a TrainState")
        return train_state.step

    def step(train_state, batch, **rows):
        return at(clock(train_state)).step(train_state, batch, **rows)

    def predict(train_state, x):
        return at(clock(train_state) - 1).predict(train_state, x)

    def evaluate(train_state, batch):
        return at(clock(train_state) - 1).evaluate(train_state, batch)

    first = at(jnp.zeros((), jnp.int32))
    return first._replace(step=step, predict=predict, evaluate=evaluate)
