"""Several players in one learner: each has networks, an optimizer and a loss of its own. Notes: §9.4."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxdl.base import Learner, ModelInit, TrainState


class Player(NamedTuple):
    """Who moves its own parameters only, while it looks at all the others'.

    init: ``(key) -> (params, state)``.
    optimizer: of these parameters; from traced settings if need be.
    loss: ``(params, ts, batch, key, mask) -> (scalar, state)``; ``params`` are its own, those of all
        are in the TrainState ``ts``, under each one's name; the key is consumed.
    steps: how many updates it has, on the same batch, in one step of the learner.
    """

    init: ModelInit
    optimizer: optax.GradientTransformation
    loss: Callable
    steps: int = 1


def learner_of_players(
    players: dict[str, Player], predict: Callable, evaluate: Callable, *, loss: str
) -> Learner:
    """A Learner whose step lets each player move in turn, in the order of the dict.

    Args:
      players: by name. Each finds the others as they are when its turn comes.
      predict: ``(ts, x) -> predictions``.
      evaluate: ``(ts, batch) -> {metric: [B]}``.
      loss: whose loss is the step's ``"loss"``; the others' are ``"<name>_loss"``, those of their
        last updates.

    The state's ``params``, ``state`` and ``opt_state`` are dicts by player; its key is folded with
    the step.
    """

    def init(key):
        *keys, key = jax.random.split(key, len(players) + 1)
        both = {name: players[name].init(k) for name, k in zip(players, keys, strict=True)}
        params, state = ({name: both[name][i] for name in players} for i in range(2))
        opt_state = {name: player.optimizer.init(params[name]) for name, player in players.items()}
        return TrainState(jnp.zeros((), jnp.int32), params, state, opt_state, key)

    def moved(ts, name, batch, key, mask):
        """The state after a player's updates, and the loss that it had before its last one."""
        player = players[name]
        grad = jax.value_and_grad(player.loss, has_aux=True)
        put = lambda old, new: {**old, name: new}

        def once(own, key):
            params, state, opt_state = own
            now = ts._replace(params=put(ts.params, params), state=put(ts.state, state))
            (value, state), gradient = grad(params, now, batch, key, mask)
            updates, opt_state = player.optimizer.update(gradient, opt_state, params)
            return (optax.apply_updates(params, updates), state, opt_state), value

        own = ts.params[name], ts.state[name], ts.opt_state[name]
        if player.steps == 1:
            own, value = once(own, key)
        else:
            own, values = lax.scan(once, own, jax.random.split(key, player.steps))
            value = values[-1]
        parts = zip(("params", "state", "opt_state"), own, strict=True)
        return ts._replace(**{part: put(getattr(ts, part), new) for part, new in parts}), value

    def step(ts, batch, *, mask=None):
        keys = jax.random.split(jax.random.fold_in(ts.key, ts.step), len(players))
        info = {}
        for name, key in zip(players, keys, strict=True):
            ts, value = moved(ts, name, batch, key, mask)
            info["loss" if name == loss else f"{name}_loss"] = value
        return ts._replace(step=ts.step + 1), info

    return Learner(init, step, predict, evaluate)
