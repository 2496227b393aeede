"""Recurrent cells: one step of simple recurrence, of an LSTM, of a GRU. Notes: §7.1.

All gates of a cell stand side by side in one kernel, in the order that PyTorch has:
``{"input": {"kernel" [D, G], "bias" [G]}, "recurrent": {"kernel" [H, G], ...}}`` with G = H, 4H
(input, forget, cell, output) or 3H (reset, update, candidate).
"""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Cell, Key, Params
from jaxdl.checks import one_of, positive_int
from jaxdl.layers.activations import activation as find_activation
from jaxdl.layers.dense import dense, dense_init, lecun_normal
from jaxdl.layers.initializers import orthogonal
from jaxdl.layers.recurrence import Gates, hold, recur, recurrent_sum

INITIAL = ("zeros", "ones", "learned")


def simple_cell(
    d_in: int,
    hidden: int,
    *,
    activation: str | Callable = "tanh",
    initial: str = "zeros",
    use_bias: bool = True,
    kernel_init: Callable = lecun_normal,
    recurrent_init: Callable | None = None,
) -> Cell:
    """Simple recurrence, ``h_t = phi(W_0'x_t + W_1'h_{t-1} + b)``.

    W_0 is ``params["input"]["kernel"]`` [D, H], W_1 ``params["recurrent"]["kernel"]`` [H, H]; the
    carry is ``(h,)``. Source: Elman (1990). Notes: L933, §7.1.

    Args:
      d_in, hidden: D and H.
      activation: phi, a name or a function.
      initial: h_0 (E-46): "zeros", "ones", or "learned", which starts at zeros and is
        ``params["initial"]``.
      use_bias: whether there is a b; the notes have none (D-66).
      kernel_init, recurrent_init: of W_0, and of W_1, which starts orthogonal.

    Raises ValueError for sizes under 1 and unknown names.

    >>> cell = simple_cell(1, 1, activation="identity")
    >>> params = {"input": {"kernel": jnp.array([[2.0]])}, "recurrent": {"kernel": jnp.array([[3.0]])}}
    >>> cell.step(params, (jnp.array([5.0]),), jnp.array([1.0]))[1].tolist()
    [17.0]
    """
    phi = find_activation(activation)

    def forward(u, s, carry):
        return (phi(u + s),), u + s

    def slopes(a, before, after):
        return jax.vjp(phi, a)[1](jnp.ones_like(a))[0]

    def backward(slope, d):
        da = d[0] * slope
        return da, da, (jnp.zeros_like(da),)

    return _cell(
        d_in,
        hidden,
        Gates(forward, slopes, backward),
        num_gates=1,
        num_parts=1,
        initial=initial,
        use_bias=use_bias,
        kernel_init=kernel_init,
        recurrent_init=recurrent_init,
    )


def lstm_cell(
    d_in: int,
    hidden: int,
    *,
    forget_bias: float = 1.0,
    initial: str = "zeros",
    use_bias: bool = True,
    kernel_init: Callable = lecun_normal,
    recurrent_init: Callable | None = None,
) -> Cell:
    """Long short-term memory: a cell state c that gates write to, keep and read.

    ``i, f, o = logistic(a)``, ``g = tanh(a)`` with ``a = W_0'x_t + W_1'h_{t-1} + b`` for each;
    ``c_t = f c_{t-1} + i g``, ``h_t = o tanh(c_t)``. The carry is ``(c, h)``, the gates' order is
    i, f, g, o. Source: Hochreiter and Schmidhuber (1997); forget gate: Gers et al. (2000).
    Notes: §7.1 (E-49).

    ``forget_bias`` is where f's offset starts: 1 remembers at first (Jozefowicz et al., 2015);
    the other arguments are those of ``simple_cell``. Raises ValueError for sizes under 1 and
    unknown names.

    >>> cell = lstm_cell(3, 4, use_bias=False)
    >>> sum(leaf.size for leaf in jax.tree.leaves(cell.init(jax.random.key(0))))
    112
    """

    def per_gate(logistic: float, tangent: float, dtype) -> Array:
        gate = lambda value: jnp.full(hidden, value, dtype)
        return jnp.concatenate([gate(logistic), gate(logistic), gate(tangent), gate(logistic)])

    def forward(u, s, carry):
        # logistic(a) = (1 + tanh(a / 2)) / 2: one tanh for the four gates, which stay one array.
        half = per_gate(0.5, 1.0, u.dtype)
        gates = jnp.tanh((u + s) * half) * half + per_gate(0.5, 0.0, u.dtype)
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = f * carry[0] + i * g
        return (c, o * jnp.tanh(c)), gates

    def slopes(gates, before, after):
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        tanh_c = jnp.tanh(after[0])
        of_c = [g * i * (1 - i), before[0] * f * (1 - f), i * (1 - g * g)]
        of_gates = jnp.concatenate([*of_c, tanh_c * o * (1 - o)], axis=-1)
        return f, o * (1 - tanh_c * tanh_c), of_gates

    def backward(slopes, d):
        f, c_of_h, of_gates = slopes
        dc = d[0] + d[1] * c_of_h
        da = jnp.concatenate([dc, dc, dc, d[1]], axis=-1) * of_gates
        return da, da, (dc * f, jnp.zeros_like(dc))

    cell = _cell(
        d_in,
        hidden,
        Gates(forward, slopes, backward),
        num_gates=4,
        num_parts=2,
        initial=initial,
        use_bias=use_bias,
        kernel_init=kernel_init,
        recurrent_init=recurrent_init,
    )
    if not use_bias:
        return cell

    def init(key):
        params = cell.init(key)
        at = jnp.arange(4 * hidden) // hidden == 1
        bias = jnp.where(at, forget_bias, params["input"]["bias"])
        return {**params, "input": {**params["input"], "bias": bias}}

    return cell._replace(init=init)


def gru_cell(
    d_in: int,
    hidden: int,
    *,
    reset: str = "after",
    initial: str = "zeros",
    use_bias: bool = True,
    kernel_init: Callable = lecun_normal,
    recurrent_init: Callable | None = None,
) -> Cell:
    """Gated recurrent unit: ``h_t = (1 - z) n + z h_{t-1}``, with z keeping and n new.

    ``r, z = logistic(W_0'x_t + W_1'h_{t-1} + b)``, and n is by ``reset``:

    - "before", of the paper: ``n = tanh(W_0'x_t + W_1'(r h_{t-1}) + b)``;
    - "after", of PyTorch, cuDNN and flax: ``n = tanh(W_0'x_t + b + r (W_1'h_{t-1} + b_n))``, where
      b_n is ``params["recurrent"]["bias"]`` [H].

    Weights of one do not fit the other. The carry is ``(h,)``, the gates' order r, z, n.
    Source: Cho et al. (2014). Notes: §7.1 (E-49). The other arguments are those of ``simple_cell``.
    Raises ValueError for sizes under 1 and unknown names.

    >>> cell = gru_cell(3, 4, use_bias=False)
    >>> sum(leaf.size for leaf in jax.tree.leaves(cell.init(jax.random.key(0))))
    84
    """
    one_of("reset", reset, ("after", "before"))

    def forward(u, s, carry):
        h = carry[0]
        r, z = jnp.split(jax.nn.sigmoid((u + s)[..., : 2 * hidden]), 2, axis=-1)
        s_n = s[..., 2 * hidden :]
        n = jnp.tanh(u[..., 2 * hidden :] + r * s_n)
        return ((1 - z) * n + z * h,), (r, z, n, s_n)

    def slopes(kept, before, after):
        (r, z, n, s_n), (h,) = kept, before
        return r, z, (1 - z) * (1 - n * n), (h - n) * z * (1 - z), s_n * r * (1 - r)

    def backward(slopes, d):
        r, z, n_slope, z_slope, r_slope = slopes
        da_n, da_z = d[0] * n_slope, d[0] * z_slope
        da_r = da_n * r_slope
        du = jnp.concatenate([da_r, da_z, da_n], axis=-1)
        ds = jnp.concatenate([da_r, da_z, da_n * r], axis=-1)
        return du, ds, (d[0] * z,)

    cell = _cell(
        d_in,
        hidden,
        Gates(forward, slopes, backward),
        num_gates=3,
        num_parts=1,
        initial=initial,
        use_bias=use_bias,
        kernel_init=kernel_init,
        recurrent_init=recurrent_init,
        candidate_bias=reset == "after",
    )
    if reset == "after":
        return cell

    def from_inputs(params, carry, u):
        (h,), kernel = carry, params["recurrent"]["kernel"]
        rz = jax.nn.sigmoid(u[..., : 2 * hidden] + h @ kernel[:, : 2 * hidden])
        r, z = jnp.split(rz, 2, axis=-1)
        n = jnp.tanh(u[..., 2 * hidden :] + (r * h) @ kernel[:, 2 * hidden :])
        new = (1 - z) * n + z * h
        return (new,), new

    def step(params, carry, x):
        return from_inputs(params, carry, dense(params["input"], x))

    def unroll(params, carry, x, mask):
        def one(carry, now):
            u, mask = now
            new = hold(mask, from_inputs(params, carry, u)[0], carry)
            return new, new[0]

        return jax.lax.scan(one, carry, (dense(params["input"], x), mask))

    return cell._replace(step=step, unroll=unroll)


def initial_carry(cell: Cell, params: Params, batch_shape: tuple[int, ...]) -> tuple:
    """h_0, and c_0 of an LSTM, for rows of ``batch_shape``: learned, zeros or ones (E-46).

    Their type is that of the params.
    """
    dtype = jnp.result_type(*jax.tree.leaves(params)) if params else float
    carry = tuple(c.astype(dtype) for c in cell.carry(batch_shape))
    if "initial" not in params:
        return carry
    return tuple(
        jnp.broadcast_to(learned, c.shape)
        for c, learned in zip(carry, params["initial"], strict=True)
    )


def _cell(
    d_in,
    hidden,
    gates,
    *,
    num_gates,
    num_parts,
    initial,
    use_bias,
    kernel_init,
    recurrent_init,
    candidate_bias=False,
):
    """The cell of these gates; its carry has ``num_parts`` arrays [..., H]."""
    positive_int("d_in", d_in)
    positive_int("hidden", hidden)
    one_of("initial", initial, INITIAL)
    recurrent_init = orthogonal() if recurrent_init is None else recurrent_init

    def init(key: Key) -> Params:
        input_key, recurrent_key = jax.random.split(key)
        # Each gate has a draw of its own, so that all start as one alone would.
        kernels = [
            dense_init(k, hidden, hidden, kernel_init=recurrent_init, use_bias=False)["kernel"]
            for k in jax.random.split(recurrent_key, num_gates)
        ]
        params: dict[str, Any] = {
            "input": dense_init(
                input_key, d_in, num_gates * hidden, kernel_init=kernel_init, use_bias=use_bias
            ),
            "recurrent": {"kernel": jnp.concatenate(kernels, axis=1)},
        }
        if candidate_bias and use_bias:
            params["recurrent"]["bias"] = jnp.zeros(hidden, kernels[0].dtype)
        if initial == "learned":
            params["initial"] = [jnp.zeros(hidden, kernels[0].dtype) for _ in range(num_parts)]
        return params

    def carry(batch_shape: tuple[int, ...]) -> tuple:
        start = jnp.ones if initial == "ones" else jnp.zeros
        return tuple(start((*batch_shape, hidden)) for _ in range(num_parts))

    def bias(params):
        if "bias" not in params["recurrent"]:
            return None
        return jnp.pad(params["recurrent"]["bias"], (2 * hidden, 0))  # of the candidate alone

    def step(params, carry, x):
        s = recurrent_sum(params["recurrent"]["kernel"], bias(params), carry[-1])
        carry, _ = gates.forward(dense(params["input"], x), s, carry)
        return carry, carry[-1]

    def unroll(params, carry, x, mask):
        u = dense(params["input"], x)
        run = cast(Callable, recur)
        return run(gates, params["recurrent"]["kernel"], bias(params), u, mask, carry)

    return Cell(init, carry, step, unroll)
