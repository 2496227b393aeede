"""What a network's outputs say of the response: its distribution, in the response's own unit."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdl import families
from jaxdl.base import Array, Family, Model, Responses
from jaxdl.families import links
from jaxdl.families.elementwise import squared_error_scores

SKEWED = 1.0  # an exponential distribution has 2, a normal one 0
PACE = 10.0  # of the spread, against a weight


def log_targets(task: str, y: np.ndarray, wanted: str) -> tuple[tuple[float, ...], list[str]]:
    """The values of the setting ``log_target`` for responses y [n], and what is to be said of them.

    1 models log y, 0 y itself. ``wanted`` yes, no or auto: both are tried where all responses are
    positive, their skewness ``mean((y - m)^3) / sd^3`` is above 1, and that of their logarithms is
    nearer to 0. Raises a ValueError for yes where there is no logarithm.
    """
    positive = task == "regress" and y.min() >= np.finfo(np.float32).tiny
    if wanted == "yes" and not positive:
        why = f"this target goes down to {y.min():g}" if task == "regress" else f"this is to {task}"
        raise ValueError(f"log_target=yes is for regression on a target above 0; {why}")
    if wanted == "yes":
        return (1.0,), ["the logarithm of the target is modelled"]
    if wanted == "no" or not positive:
        return (), []
    plain, log = skewness(y), skewness(np.log(y.astype(np.float64)))
    if not (plain > SKEWED and abs(log) < plain):
        return (), []
    return (0.0, 1.0), [
        f"the target is positive and skewed (skewness {plain:.2g}, of its logarithm {log:.2g}): the "
        "folds choose between itself and its logarithm (log_target)"
    ]


def skewness(values: np.ndarray) -> float:
    """``mean((v - m)^3) / sd^3`` of values v [n]; 0 where all are the same.

    >>> skewness(np.array([0.0, 0.0, 3.0])).__round__(4)
    0.7071
    """
    values = values - np.mean(values, dtype=np.float64)
    spread = np.std(values)
    return float(np.mean(np.power(values / spread, 3))) if spread else 0.0


def standardised(problem: Any, log_target: float | Array) -> Family:
    """Real responses y, or their logarithms where ``log_target`` is 1, standardised, are normal.

    For eta [..., 2] = (m, s) and ``z = (y - offset) / scale`` it is ``log N(z; m, exp(s)) -
    log scale``; else z is of log y, and ``- log y`` is added, so that both are densities of y and
    can be compared. ``mean`` is E[y|x] in the unit of y, also of a logarithm:
    `families.log_normal`. ``log_target`` may be traced.
    """
    normal, log_normal = families.heteroskedastic_normal(), families.log_normal()
    is_log = jnp.asarray(log_target) > 0
    offset, scale = (
        jnp.where(is_log, of_log, plain)
        for of_log, plain in zip(
            problem.log or (0.0, 1.0), (problem.offset, problem.scale), strict=True
        )
    )

    def log_prob(eta, y):
        log_y = jnp.log(jnp.where(is_log, y, 1))  # 0 where it is not asked for
        z = (jnp.where(is_log, log_y, y) - offset) / scale
        return normal.log_prob(eta, z) - jnp.log(scale) - log_y

    def mean(eta):
        location = offset + scale * eta[..., 0]
        of_log = jnp.stack([jnp.where(is_log, location, 0), eta[..., 1] + jnp.log(scale)], -1)
        return jnp.where(is_log, log_normal.mean(of_log), location)

    def sample(key, eta):
        drawn = offset + scale * normal.sample(key, eta)
        return jnp.where(is_log, links.exponential(jnp.where(is_log, drawn, 0)), drawn)

    responses = Responses("numbers")
    return Family(log_prob, mean, sample, None, squared_error_scores(mean), responses)


def with_spread(net: Model) -> Model:
    """A network [D] -> [1] as (m, s) [..., 2] for `standardised`: s is one number, learned with it.

    Adam moves any parameter by about the learning rate a step, and the output of a layer by many
    of them together; s keeps up because it is PACE times its parameter.
    """

    def init(key):
        params, state = net.init(key)
        return {"mean": params, "log_spread": {"bias": jnp.zeros(())}}, state

    def apply(params, state, x, *, key=None, train=False):
        m, state = net.apply(params["mean"], state, x, key=key, train=train)
        s = PACE * params["log_spread"]["bias"]
        return jnp.concatenate([m, jnp.broadcast_to(s.astype(m.dtype), m.shape)], -1), state

    return Model(init, apply)


def shifted(net: Model, offset: float) -> Model:
    """A network whose output starts around ``offset``."""

    def apply(params, state, x, *, key=None, train=False):
        out, state = net.apply(params, state, x, key=key, train=train)
        return offset + out, state

    return Model(net.init, apply)
