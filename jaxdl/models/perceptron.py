"""Rosenblatt's perceptron and its learning rule. Notes: §1.7."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl.base import Array, Key, Params
from jaxdl.models import linear


class PerceptronFit(NamedTuple):
    """Where the perceptron's learning ended.

    params: ``{"kernel": [D], "bias": []}``, the last weights, or the best ones with ``pocket``.
    converged: [] bool, whether params predict every pair that counts.
    steps: [] int32, pairs looked at.
    mistakes: [] int32, updates made.
    accuracy: [], of params on the pairs that count.
    """

    params: Params
    converged: Array
    steps: Array
    mistakes: Array
    accuracy: Array


def sign(z: Array) -> Array:
    """``psi(z) = -1 + 2 [z > 0]``: +1 or -1, and -1 at z = 0, for z [...]. Notes: L297 (D-14)."""
    z = jnp.asarray(z)
    return jnp.where(z > 0, 1, -1).astype(jnp.result_type(z, float))


def predict(params: Params, x: Array) -> Array:
    """``y_hat = psi(w'x + b)``, in {-1, +1}, [...] for x [..., D]. Notes: L297.

    >>> params = {"kernel": jnp.array([1.0, 1.0]), "bias": jnp.array(-1.0)}
    >>> predict(params, jnp.array([[1.0, 1.0], [1.0, 0.0]])).tolist()
    [1.0, -1.0]
    """
    return sign(linear.predict(params, x))


def update(params: Params, x: Array, y: Array) -> Params:
    """The learning rule for one pair, x [D] and y [] in {-1, +1}.

    ``w_{t+1} = w_t + y x``, ``b_{t+1} = b_t + y`` where the prediction is wrong; else nothing
    changes. The prediction is by w_t and b_t, not by the initial weights as the text of the notes
    has it, which often never converges. Notes: L303 (D-12); Rosenblatt 1958.
    """
    change = jnp.where(predict(params, x) == y, 0, y)
    return {"kernel": params["kernel"] + change * x, "bias": params["bias"] + change}


def _checked(x, y, mask):
    x, y = jnp.asarray(x), jnp.asarray(y)
    x, y = x.astype(jnp.result_type(x, float)), y.astype(jnp.result_type(x, float))
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"x must be [N, D] and y [N]; got x {x.shape} and y {y.shape}")
    rows = jnp.ones(y.shape, bool) if mask is None else jnp.asarray(mask, bool)
    if rows.shape != y.shape:
        raise ValueError(f"mask must be {y.shape}, one entry a row; got {rows.shape}")
    concrete = not any(isinstance(a, Tracer) for a in (y, rows))
    if concrete and not np.all(np.isin(np.asarray(y)[np.asarray(rows)], (-1, 1))):
        raise ValueError("labels must be -1 or +1; for labels 0 and 1 pass 2 * y - 1")
    return jnp.where(rows[:, None], x, 0), jnp.where(rows, y, 0), rows


def fit(
    x: Array,
    y: Array,
    *,
    key: Key,
    max_steps: int,
    pocket: bool = False,
    params: Params | None = None,
    mask: Array | None = None,
) -> PerceptronFit:
    """Look at random pairs and correct each mistake, until all pairs are predicted.

    On separable data from zero weights there are at most ``(R / gamma)^2`` mistakes, with R the
    largest ``|[x, 1]|`` and gamma the margin of any unit-norm solution (Novikoff 1962). On other
    data it never ends (Minsky & Papert 1969), hence ``max_steps`` (D-15).

    Args:
      x: [N, D]; y: [N] in {-1, +1}, anything else raises ValueError (unless traced).
      key: consumed; draws the initial weights and a pair for each step.
      max_steps: the bound on the number of pairs looked at.
      pocket: keep the weights with the best accuracy so far, not the last ones (the ratchet of
        Gallant 1990): the answer for data that are not separable.
      params: w_0 and b_0; None draws them from a standard normal.
      mask: [N], the pairs that count.

    Notes: §1.7 (E-6).
    """
    x, y, rows = _checked(x, y, mask)
    init_key, pair_key = jax.random.split(key)
    if params is None:
        w = jax.random.normal(init_key, (x.shape[1] + 1,), x.dtype)
        params = {"kernel": w[:-1], "bias": w[-1]}
    params = jax.tree.map(lambda a: jnp.asarray(a, x.dtype), params)
    count = jnp.maximum(jnp.sum(rows), 1)
    order = jnp.argsort(~rows)  # the pairs that count come first

    def correct(params):
        return jnp.sum((predict(params, x) == y) & rows)

    def cond(carry):
        t, _, _, right, _, _ = carry
        return (t < max_steps) & (right < jnp.sum(rows))

    def body(carry):
        t, params, mistakes, _, best, best_right = carry
        r = order[jax.random.randint(jax.random.fold_in(pair_key, t), (), 0, count)]
        mistakes = mistakes + (predict(params, x[r]) != y[r])
        params = update(params, x[r], y[r])
        right = correct(params)
        best = jax.tree.map(lambda new, old: jnp.where(right > best_right, new, old), params, best)
        return t + 1, params, mistakes, right, best, jnp.maximum(right, best_right)

    zero, right = jnp.zeros([], jnp.int32), correct(params)
    start = zero, params, zero, right, params, right
    t, params, mistakes, right, best, best_right = jax.lax.while_loop(cond, body, start)
    if pocket:
        params, right = best, best_right
    accuracy = right.astype(x.dtype) / count
    return PerceptronFit(params, right == jnp.sum(rows), t, mistakes, accuracy)
