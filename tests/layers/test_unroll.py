"""Cells through time: loops by hand, PyTorch with packed sequences, what padding may not do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers
from jaxdl.base import Sequences
from jaxdl.interop import pytorch

B, T, D, H = 3, 5, 2, 4
LENGTHS = np.array([5, 2, 0], np.int32)
CELLS = {
    "simple": layers.simple_cell(D, H),
    "relu": layers.simple_cell(D, H, activation="relu", initial="learned"),
    "lstm": layers.lstm_cell(D, H, initial="learned"),
    "gru": layers.gru_cell(D, H),
    "gru_before": layers.gru_cell(D, H, reset="before", initial="ones"),
}
cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
RUNNING_SUM = layers.simple_cell(1, 1, activation="identity", use_bias=False)
ONES = {"input": {"kernel": jnp.ones((1, 1))}, "recurrent": {"kernel": jnp.ones((1, 1))}}


def inputs(seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(B, T, D)), dtype)


def started(cell, seed=0):
    params = jax.jit(cell.init)(jax.random.key(seed))
    return jax.tree.map(lambda p: p + 0.1, params)  # no leaf is zero


def looped(cell, params, x, lengths):
    """A Python loop over rows and positions, and autodiff through it."""
    carries, outputs = [], []
    for n, length in enumerate(lengths):
        carry = layers.initial_carry(cell, params, (1,))
        rows = []
        for t in range(x.shape[1]):
            if t < length:
                carry, y = cell.step(params, carry, x[n : n + 1, t])
                rows.append(y[0])
            else:
                rows.append(jnp.zeros(y.shape[1:] if length else (H,), x.dtype))
        carries.append(carry)
        outputs.append(jnp.stack(rows))
    return jax.tree.map(lambda *c: jnp.concatenate(c), *carries), jnp.stack(outputs)


@cells
def test_values_and_gradients_are_those_of_a_loop(cell, x64):
    params, x = started(cell), inputs(dtype=jnp.float64)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(B, T, H)))

    def total(run):
        def loss(params, x):
            carry, y = run(params, x)
            return jnp.sum(weights * y) + sum(jnp.sum(jnp.sin(c)) for c in carry)

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(params, x)

    value, gradient = total(lambda p, x: layers.unroll(cell, p, Sequences(x, jnp.asarray(LENGTHS))))
    expected, by_loop = total(lambda p, x: looped(cell, p, x, LENGTHS))
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), gradient, by_loop
    )
    assert all(abs(g).max() > 0 for g in jax.tree.leaves(gradient))


@cells
def test_a_cell_without_a_fast_form_gives_the_same(cell):
    params = started(cell)
    x = Sequences(inputs(), jnp.asarray(LENGTHS))

    def loss(params, cell):
        carry, y = layers.unroll(cell, params, x)
        return jnp.sum(jnp.sin(y)) + sum(jnp.sum(c) for c in carry)

    fast = jax.value_and_grad(loss)(params, cell)
    plain = jax.value_and_grad(loss)(params, cell._replace(unroll=None))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), fast, plain)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_bidirectional_stack_is_that_of_torch_with_packed_sequences(kind):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(D, H, num_layers=2, batch_first=True, bidirectional=True)
    make = {"RNN": layers.simple_cell, "LSTM": layers.lstm_cell, "GRU": layers.gru_cell}[kind]
    stack = [(make(d, H), make(d, H)) for d in (D, 2 * H)]

    weights = {name: value.numpy() for name, value in theirs.state_dict().items()}
    params, _ = pytorch.from_torch(pytorch.recurrent(), weights)
    x, lengths = inputs(), np.array([5, 2, 3])
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(np.asarray(x)), torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    out, last = theirs(packed)
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    h = (last[0] if kind == "LSTM" else last).detach().numpy()
    carries, y = layers.stacked(stack, params, Sequences(x, jnp.asarray(lengths)))
    np.testing.assert_allclose(y, out.detach().numpy(), rtol=1e-5, atol=1e-6)
    ours = [carry[-1] for pair in carries for carry in pair]
    np.testing.assert_allclose(ours, h, rtol=1e-5, atol=1e-6)


@cells
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_changes_nothing(cell, reverse):
    params, x = started(cell), inputs()

    def loss(params, values, lengths):
        carry, y = layers.unroll(cell, params, Sequences(values, lengths), reverse=reverse)
        return jnp.sum(jnp.square(y)) + sum(jnp.sum(c) for c in carry)

    run = jax.value_and_grad(loss)
    lengths = jnp.asarray(LENGTHS)
    plain = run(params, x, lengths)
    behind = np.arange(T + 3) >= LENGTHS[:, None]
    longer = jnp.where(behind[..., None], jnp.nan, jnp.pad(x, ((0, 0), (0, 3), (0, 0))))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        run(params, longer, lengths),
        plain,
    )


def test_backwards_within_each_length():
    """A mask that is not reversed with its row would read the padding: Keras 1934."""
    x = jnp.array([[[1.0], [2.0], [3.0], [9.0]]])
    (h,), y = layers.unroll(RUNNING_SUM, ONES, Sequences(x, jnp.array([3])), reverse=True)
    assert h.item() == 6 and y[0, :, 0].tolist() == [6, 5, 3, 0]
    (h,), y = layers.unroll(RUNNING_SUM, ONES, x, reverse=True)
    assert h.item() == 15 and y[0, :, 0].tolist() == [15, 14, 12, 9]


@pytest.mark.smoke
def test_the_state_at_the_end_of_each_row():
    """Reading the padding too would give another state (D-66)."""
    params = {
        "input": {"kernel": jnp.ones((1, 1))}, "recurrent": {"kernel": jnp.full((1, 1), 0.9)},
    }  # fmt: skip
    cell = layers.simple_cell(1, 1, use_bias=False)
    values = jnp.array([[[0.5], [0.1], [0.0], [0.0]]])
    (right,), _ = layers.unroll(cell, params, Sequences(values, jnp.array([2])))
    (wrong,), _ = layers.unroll(cell, params, values)
    by_hand = np.tanh(0.1 + 0.9 * np.tanh(0.5))
    np.testing.assert_allclose(right, [[by_hand]], rtol=1e-6)
    np.testing.assert_allclose(wrong, [[np.tanh(0.9 * np.tanh(0.9 * by_hand))]], rtol=1e-6)
    assert abs(right - wrong).item() > 0.1


@cells
@pytest.mark.parametrize("steps", [1, 2, 5, 9])
def test_truncation_cuts_gradients_and_nothing_else(cell, steps, x64):
    params, x = started(cell), inputs(dtype=jnp.float64)
    x = Sequences(x, jnp.asarray(LENGTHS))
    full = layers.unroll(cell, params, x)
    cut = layers.truncated_unroll(cell, params, x, steps=steps)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), cut, full)

    def sensitivity(run):  # of the last output of row 0 to every input of it
        return jax.grad(lambda v: jnp.sum(run(cell, params, x._replace(values=v))[1][0, -1]))(
            x.values
        )[0]

    through = lambda *a: layers.truncated_unroll(*a, steps=steps)
    of_cut, of_full = sensitivity(through), sensitivity(layers.unroll)
    start = (T - 1) // steps * steps  # where the last position's chunk begins
    np.testing.assert_allclose(of_cut[start:], of_full[start:], rtol=1e-9)
    assert (of_cut[:start] == 0).all() and (abs(of_full).max(axis=1) > 0).all()


def test_a_learned_initial_carry_learns_from_the_first_chunk_alone():
    cell, x = (
        layers.simple_cell(1, 1, activation="identity", initial="learned", use_bias=False),
        jnp.zeros((1, 4, 1)),
    )
    params = {**ONES, "initial": [jnp.ones(1)]}
    total = lambda p: jnp.sum(layers.truncated_unroll(cell, p, x, steps=2)[1])
    # Each of the four outputs is h_0; the first two belong to the chunk that starts from it.
    assert jax.grad(total)(params)["initial"][0].item() == 2


@cells
def test_under_vmap_each_member_is_itself(cell):
    members = [started(cell, seed) for seed in range(2)]
    together = jax.tree.map(lambda *p: jnp.stack(p), *members)
    x = Sequences(inputs(), jnp.asarray(LENGTHS))
    gradient = jax.grad(lambda p: jnp.sum(jnp.sin(layers.unroll(cell, p, x)[1])))
    of_all = jax.vmap(gradient)(together)
    for i, params in enumerate(members):
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-6),
            of_all,
            gradient(params),
        )


def test_second_derivatives(x64):
    cell, x = CELLS["lstm"], inputs(dtype=jnp.float64)
    params = started(cell)
    direction = jax.tree.map(jnp.cos, params)

    def slope(cell):
        loss = lambda p: jnp.sum(jnp.square(layers.unroll(cell, p, x)[1]))
        inner = lambda p: sum(
            jnp.vdot(g, d)
            for g, d in zip(*map(jax.tree.leaves, (jax.grad(loss)(p), direction)), strict=True)
        )
        return jax.grad(inner)(params)

    fast, plain = slope(cell), slope(cell._replace(unroll=None))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), fast, plain)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_sixteen_bits(dtype):
    cell = CELLS["lstm"]
    params = jax.tree.map(lambda p: p.astype(dtype), started(cell))
    (c, h), y = layers.unroll(cell, params, inputs(dtype=dtype))
    exact = layers.unroll(cell, jax.tree.map(lambda p: p.astype(jnp.float32), params), inputs())[1]
    assert c.dtype == h.dtype == y.dtype == dtype
    np.testing.assert_allclose(y.astype(jnp.float32), exact, atol=0.03)


def test_the_backward_loop_does_not_add_up_a_weight_gradient():
    """The gradient of the recurrent kernel is one product behind the loop: no scan carries [H, G]."""
    cell, x = layers.lstm_cell(2, 8), jnp.ones((3, 5, 2))
    params = started(cell)
    loss = lambda p: jnp.sum(layers.unroll(cell, p, x)[1])

    def carried(fn):
        jaxpr = jax.make_jaxpr(jax.grad(fn))(params)
        shapes, todo = [], [jaxpr.jaxpr]
        for jaxpr in todo:
            for eqn in jaxpr.eqns:
                inner = [getattr(v, "jaxpr", None) for v in eqn.params.values()]
                todo += [j for j in inner if hasattr(j, "eqns")]
                if eqn.primitive.name == "scan":
                    shapes += [v.aval.shape for v in eqn.outvars[: eqn.params["num_carry"]]]
        return shapes

    assert (8, 32) not in carried(loss)
    plain = lambda p: jnp.sum(layers.unroll(cell._replace(unroll=None), p, x)[1])
    assert (8, 32) in carried(plain)


def test_dropout_is_between_layers(key):
    stack = [layers.simple_cell(D, H), layers.simple_cell(H, H)]
    params = layers.stacked_init(jax.random.key(1), stack)
    x = inputs()
    with pytest.raises(ValueError, match="needs a key"):
        layers.stacked(stack, params, x, dropout=0.5, train=True)
    dropped, _ = layers.stacked(stack, params, x, dropout=0.5, key=key, train=True)
    kept, _ = layers.stacked(stack, params, x)
    np.testing.assert_array_equal(dropped[0], kept[0])
    assert abs(dropped[1][0] - kept[1][0]).max() > 1e-3


def test_a_given_carry_is_gone_on_from():
    cell, x = CELLS["gru"], inputs()
    params = started(cell)
    carry, first = layers.unroll(cell, params, x[:, :2])
    last, second = layers.unroll(cell, params, x[:, 2:], initial=carry)
    whole = layers.unroll(cell, params, x)
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole[1], rtol=1e-6)
    np.testing.assert_allclose(last[0], whole[0][0], rtol=1e-6)


def test_shapes_that_are_refused():
    with pytest.raises(ValueError, match=r"reads x \[B, T, D\], not \[5, 2\]"):
        layers.unroll(CELLS["gru"], started(CELLS["gru"]), jnp.ones((5, 2)))
    with pytest.raises(ValueError, match="steps must be a positive whole number, not 0"):
        layers.truncated_unroll(CELLS["gru"], {}, inputs(), steps=0)
