"""What stopped being finite in a run, in words."""

from typing import Any

import numpy as np

from jaxdl.base import Array

_ADVICE = {
    "data": "the transformed features were not finite: see what the transform cannot fill or scale",
    "loss": "the loss was {loss:g}: try a smaller learning rate, features on one scale, or clipping",
    "state": "the loss was finite, the parameters or their statistics were not: a gradient was "
    "infinite, or a step too long",
}


def cause(epoch: int, loss: Array, unfit: bool = False) -> str:
    """``"data"``, ``"loss"`` or ``"state"``: what was not finite in an epoch, from 1, of losses [E].

    ``unfit``: whether the features that the run saw were not finite.
    """
    if unfit:
        return "data"
    return "state" if np.isfinite(np.asarray(loss)[epoch - 1]) else "loss"


def explain(epoch: int, loss: Array, unfit: bool = False) -> str:
    """Where a run diverged, what of it, and what may help; arguments as of ``cause``.

    >>> explain(2, [0.5, float("inf")])[:30]
    'in epoch 2: the loss was inf: '
    """
    what = cause(epoch, loss, unfit)
    return f"in epoch {epoch}: {_ADVICE[what].format(loss=float(np.asarray(loss)[epoch - 1]))}"


def of_history(history: Any) -> str:
    """The explanation of a History whose run diverged, ``""`` of one that did not."""
    diverged = int(history.diverged)
    return "" if diverged < 0 else "diverged " + explain(diverged + 1, history.loss)
