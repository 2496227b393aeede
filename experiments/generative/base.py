"""One form for all generative models, so that they are trained, judged and drawn alike."""

from collections.abc import Callable
from typing import NamedTuple

import optax

from jaxdl.base import Learner, Model


class Generator(NamedTuple):
    """A learner of x [N, D] with mean 0 and deviation 1, and what its trained state is asked.

    ``label`` is [N] int32 for a model that is told classes, else None; keys are consumed.

    learner: of ``batch(x, label)``.
    batch: ``(x, label) -> `` what the learner's step is given.
    latent: K, the numbers of a latent point z ~ N(0, I) [N, K].
    sample: ``(state, key, n, label) -> x [n, D]``.
    decode: ``(state, z [N, K], label) -> x [N, D]``.
    encode: ``(state, x, label) -> z [N, K]``, or None.
    log_prob: ``(state, key, x, label) -> [N]`` in nats, or None for a model that has none.
    exact: whether log_prob is the density itself rather than a bound or an estimate.
    film: ``(state, key, n, label) -> [F, n, D]``, how samples come to be, or None.
    """

    learner: Learner
    batch: Callable
    latent: int
    sample: Callable
    decode: Callable
    encode: Callable | None = None
    log_prob: Callable | None = None
    exact: bool = False
    film: Callable | None = None


def optimizer(rate: float, steps: int, decay: float = 0.0) -> optax.GradientTransformation:
    """AdamW with a warm-up and a cosine; gradients are clipped at 1."""
    warmup = max(steps // 20, 1)
    schedule = optax.schedules.warmup_cosine_decay_schedule(
        0.0, rate, warmup, max(steps, warmup + 1)
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=decay))


def as_rows(model: Model, shape: tuple[int, int, int] | None, last: int | None = None) -> Model:
    """A model of images as one of rows: x [N, H W C] becomes [N, H, W, C], eta [N, -1] or [N, -1, last].

    x may be a dict, whose "x" is meant. ``shape`` None is for x that stays.
    """

    def apply(params, state, x, *, key=None, train=False):
        if shape is not None:
            image = (x["x"] if isinstance(x, dict) else x).reshape(-1, *shape)
            x = {**x, "x": image} if isinstance(x, dict) else image
        eta, state = model.apply(params, state, x, key=key, train=train)
        return eta.reshape(len(eta), -1, *(() if last is None else (last,))), state

    return Model(model.init, apply)
