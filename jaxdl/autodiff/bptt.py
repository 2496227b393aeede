"""Backpropagation through time by hand: scalars as a sum or nested, vectors step by step.

Notes: §7.1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import norm
from jaxdl.base import Array, Params
from jaxdl.checks import one_of
from jaxdl.layers.activations import activation as find_activation
from jaxdl.layers.activations import derivative


class ScalarRecurrence(NamedTuple):
    """w0, w1, w2: [] each, of the input, of the state before, and of the prediction."""

    w0: Array
    w1: Array
    w2: Array


def scalar_states(
    w: ScalarRecurrence, x: Array, *, h0: float = 0.0, activation: str = "tanh"
) -> tuple[Array, Array]:
    """``a_t = w_0 x_t + w_1 h_{t-1}``, ``h_t = phi(a_t)`` of scalars, x [T].

    Returns a [T] and h [T + 1], which starts with h_0. Notes: L933, §7.1.
    """
    phi = find_activation(activation)
    x = jnp.asarray(x)
    start = jnp.asarray(h0, jnp.result_type(x, w.w0))

    def step(h, x):
        a = w.w0 * x + w.w1 * h
        return phi(a), (a, phi(a))

    _, (a, h) = jax.lax.scan(step, start, x)
    return a, jnp.concatenate([start[None], h])


def state_derivative(
    w: ScalarRecurrence,
    x: Array,
    *,
    h0: float = 0.0,
    activation: str = "tanh",
    method: str = "recursive",
) -> Array:
    """``dh_T / dw_1`` of a scalar recurrence, x [T].

    ``method``:

    - "recursive": ``dh_t/dw_1 = phi'(a_t) (h_{t-1} + w_1 dh_{t-1}/dw_1)``, from ``dh_0/dw_1 = 0``;
    - "sum": ``sum_j w_1^(T-j) (prod_{i=j..T} phi'(a_i)) h_{j-1}`` over j = 1, ..., T, where
      ``0^0 = 1`` (D-65).

    They are equal for scalars alone: vectors do not commute with phi'. Raises ValueError for
    another method. Notes: L965, L973, §7.1.

    >>> w = ScalarRecurrence(jnp.float32(1), jnp.float32(2), jnp.float32(1))
    >>> state_derivative(w, jnp.array([1.0, 1.0]), activation="identity").item()
    1.0
    """
    one_of("method", method, ("recursive", "sum"))
    a, h = scalar_states(w, x, h0=h0, activation=activation)
    slopes = derivative(activation)(a)
    if method == "recursive":

        def step(d, now):
            slope, before = now
            return slope * (before + w.w1 * d), None

        return jax.lax.scan(step, jnp.zeros_like(h[0]), (slopes, h[:-1]))[0]
    powers = jnp.cumprod(jnp.full_like(slopes, w.w1).at[:1].set(1))[::-1]  # w_1^(T - j)
    products = jnp.cumprod(slopes[::-1])[::-1]
    return jnp.sum(powers * products * h[:-1])


def bptt_scalar(
    w: ScalarRecurrence,
    x: Array,
    y: Array,
    *,
    h0: float = 0.0,
    activation: str = "tanh",
    method: str = "recursive",
) -> Array:
    """``dl / dw_1`` of binary cross-entropy, ``mean_n (logistic(w_2 h_nT) - y_n) w_2 dh_nT/dw_1``.

    x [N, T], y [N] in {0, 1}; the other arguments as in ``state_derivative``. Returns [].
    Source: Werbos (1990). Notes: L956, L965, L973, §7.1.
    """

    def one(x, y):
        _, h = scalar_states(w, x, h0=h0, activation=activation)
        inner = state_derivative(w, x, h0=h0, activation=activation, method=method)
        return (jax.nn.sigmoid(w.w2 * h[-1]) - y) * w.w2 * inner

    return jnp.mean(jax.vmap(one)(jnp.asarray(x), jnp.asarray(y)))


class Bptt(NamedTuple):
    """What backpropagation through time finds.

    gradient: of the parameters, in their own shapes.
    to_states: ``dl/dh_t`` [T, N, H], t = 1, ..., T.
    """

    gradient: Params
    to_states: Array


def bptt(
    params: Params, x: Array, d_last: Array, *, h0: Array | None = None, activation: str = "tanh"
) -> Bptt:
    """Backpropagation through time of simple recurrence, from ``dl/dh_T`` = ``d_last`` [N, H].

    ``dl/da_t = dl/dh_t phi'(a_t)`` and ``dl/dh_{t-1} = dl/da_t W_1'``; the gradients are the sums
    over time ``dW_0 = sum_t x_t' dl/da_t``, ``dW_1 = sum_t h_{t-1}' dl/da_t``, ``db = sum_t dl/da_t``.
    Factors of different steps may not be reordered, as scalars may (D-65).

    Args:
      params: of ``layers.simple_cell``.
      x: [N, T, D].
      d_last: [N, H].
      h0: [N, H], default zeros.
      activation: a name.

    Source: Werbos (1990). Notes: L933, §7.1.
    """
    phi, slope = find_activation(activation), derivative(activation)
    kernel, recurrent = params["input"]["kernel"], params["recurrent"]["kernel"]
    bias = params["input"].get("bias", 0)
    start = jnp.zeros_like(d_last) if h0 is None else h0

    def forward(h, x):
        a = x @ kernel + h @ recurrent + bias
        return phi(a), (a, h)

    by_time = jnp.swapaxes(x, 0, 1)
    _, (a, before) = jax.lax.scan(forward, start, by_time)

    def backward(d, now):
        a, x, h = now
        da = d * slope(a)
        return da @ recurrent.T, (d, da, x.T @ da, h.T @ da)

    now = (a, by_time, before)
    _, (to_states, da, d_kernel, d_recurrent) = jax.lax.scan(backward, d_last, now, reverse=True)
    gradient = {
        "input": {"kernel": jnp.sum(d_kernel, 0)},
        "recurrent": {"kernel": jnp.sum(d_recurrent, 0)},
    }
    if "bias" in params["input"]:
        gradient["input"]["bias"] = jnp.sum(da, (0, 1))
    return Bptt(gradient, to_states)


def gradient_norms_through_time(to_states: Array) -> Array:
    """``mean_n |dl/dh_nt|`` [T] of ``to_states`` [T, N, H]: vanishing or exploding towards t = 1.

    >>> gradient_norms_through_time(jnp.array([[[3.0, 4.0]], [[0.0, 0.0]]])).tolist()
    [5.0, 0.0]
    """
    return jnp.mean(norm(to_states, axis=-1), axis=-1)
