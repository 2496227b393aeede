"""Cells against PyTorch, flax and numbers by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers
from jaxdl.interop import pytorch

B, D, H = 3, 4, 5


def draws(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


CELLS = {
    "simple": ("RNNCell", layers.simple_cell(D, H)),
    "lstm": ("LSTMCell", layers.lstm_cell(D, H)),
    "gru": ("GRUCell", layers.gru_cell(D, H)),
}


@pytest.mark.equation("L933")
@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CELLS)
def test_a_step_is_that_of_torch(name, double, x64):
    torch = pytest.importorskip("torch")
    kind, cell = CELLS[name]
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(D, H, dtype=torch.float64 if double else torch.float32)
    weights = {name: value.numpy() for name, value in theirs.state_dict().items()}
    params, _ = pytorch.from_torch(pytorch.cell(), weights)
    dtype = np.float64 if double else np.float32
    x, h, c = (draws(B, n, seed=i).astype(dtype) for i, n in enumerate((D, H, H)))
    carry = (c, h) if name == "lstm" else (h,)
    as_torch = lambda a: torch.tensor(a)
    hidden = (as_torch(h), as_torch(c)) if name == "lstm" else as_torch(h)
    expected = theirs(as_torch(x), hidden)
    after, y = cell.step(params, tuple(map(jnp.asarray, carry)), jnp.asarray(x))
    expected = (expected[1], expected[0]) if name == "lstm" else (expected,)
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if double else {"rtol": 1e-5, "atol": 1e-6}
    for ours, theirs in zip(after, expected, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs.detach().numpy(), **tolerance)
    np.testing.assert_array_equal(y, after[-1])


@pytest.mark.smoke
def test_cells_are_those_of_flax():
    import flax.linen as nn

    x, h, c = (jnp.asarray(draws(B, n, seed=i), jnp.float32) for i, n in enumerate((D, H, H)))
    theirs = nn.LSTMCell(H)
    variables = jax.tree.map(lambda p: p + 0.1, theirs.init(jax.random.key(0), (c, h), x))
    flax_params = variables["params"]
    join = lambda kind, names: jnp.concatenate([flax_params[n][kind] for n in names], axis=-1)
    params = {
        "input": {"kernel": join("kernel", ["ii", "if", "ig", "io"]),
                  "bias": join("bias", ["hi", "hf", "hg", "ho"])},
        "recurrent": {"kernel": join("kernel", ["hi", "hf", "hg", "ho"])},
    }  # fmt: skip
    expected, _ = theirs.apply(variables, (c, h), x)
    after, _ = layers.lstm_cell(D, H).step(params, (c, h), x)
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)

    theirs = nn.GRUCell(H)
    variables = jax.tree.map(lambda p: p + 0.1, theirs.init(jax.random.key(0), h, x))
    flax_params = variables["params"]
    params = {
        "input": {"kernel": join("kernel", ["ir", "iz", "in"]),
                  "bias": join("bias", ["ir", "iz", "in"])},
        "recurrent": {"kernel": join("kernel", ["hr", "hz", "hn"]),
                      "bias": flax_params["hn"]["bias"]},
    }  # fmt: skip
    expected, _ = theirs.apply(variables, h, x)
    (after,), _ = layers.gru_cell(D, H).step(params, (h,), x)
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)


def test_the_two_grus_by_hand():
    """The reset gate before the recurrent product, or behind it: MIOpen 716."""
    h = jnp.ones((1, 2))
    big = 50.0  # r = (1, 0), z = 0
    bias = jnp.array([big, -big, -big, -big, 0.0, 0.0])
    kernel = jnp.concatenate([jnp.zeros((2, 4)), jnp.ones((2, 2))], axis=1)
    params = {"input": {"kernel": jnp.zeros((1, 6)), "bias": bias}, "recurrent": {"kernel": kernel}}
    run = lambda reset: layers.gru_cell(1, 2, reset=reset).step(params, (h,), jnp.zeros((1, 1)))[1]
    np.testing.assert_allclose(run("before"), [[0.7616, 0.7616]], atol=1e-4)
    np.testing.assert_allclose(run("after"), [[0.9640, 0.0]], atol=1e-4)


def test_reset_before_is_the_formula(x64):
    cell = layers.gru_cell(D, H, reset="before")
    params = jax.tree.map(lambda p: p + 0.3, cell.init(jax.random.key(0)))
    W, U = (np.asarray(params[k]["kernel"]).reshape(-1, 3, H) for k in ("input", "recurrent"))
    b = np.asarray(params["input"]["bias"]).reshape(3, H)
    x, h = draws(B, D), draws(B, H, seed=1)
    logistic = lambda a: 1 / (1 + np.exp(-a))
    r, z = (logistic(x @ W[:, i] + h @ U[:, i] + b[i]) for i in (0, 1))
    n = np.tanh(x @ W[:, 2] + (r * h) @ U[:, 2] + b[2])
    (after,), _ = cell.step(params, (jnp.asarray(h),), jnp.asarray(x))
    np.testing.assert_allclose(after, (1 - z) * n + z * h, rtol=1e-10)


def test_parameters_are_four_to_three_to_one():
    count = lambda cell: sum(
        p.size for p in jax.tree.leaves(jax.eval_shape(cell.init, jax.random.key(0)))
    )
    kinds = (layers.lstm_cell, layers.gru_cell, layers.simple_cell)
    assert [count(kind(3, 4, use_bias=False)) for kind in kinds] == [112, 84, 28]
    assert count(layers.gru_cell(3, 4)) == 84 + 12 + 4
    assert count(layers.gru_cell(3, 4, reset="before")) == 84 + 12


def test_the_forget_gate_starts_open(key):
    bias = layers.lstm_cell(2, 3, forget_bias=2.0).init(key)["input"]["bias"]
    np.testing.assert_array_equal(bias, [0, 0, 0, 2, 2, 2, 0, 0, 0, 0, 0, 0])


def test_each_gate_starts_orthogonal(key):
    kernel = layers.lstm_cell(2, 3).init(key)["recurrent"]["kernel"].reshape(3, 4, 3)
    for gate in range(4):
        np.testing.assert_allclose(kernel[:, gate].T @ kernel[:, gate], np.eye(3), atol=1e-6)
    assert abs(kernel[:, 0] - kernel[:, 1]).max() > 0.1


def test_initial_carries():
    ones = layers.lstm_cell(2, 3, initial="ones").carry((4,))
    assert len(ones) == 2 and all((c == 1).all() and c.shape == (4, 3) for c in ones)
    learned = layers.gru_cell(2, 3, initial="learned")
    params = learned.init(jax.random.key(0))
    params["initial"] = [jnp.array([1.0, 2.0, 3.0])]
    (h,) = layers.initial_carry(learned, params, (2,))
    np.testing.assert_array_equal(h, [[1, 2, 3], [1, 2, 3]])
    zero = layers.initial_carry(layers.simple_cell(2, 3), {}, (2,))
    np.testing.assert_array_equal(zero[0], np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.gru_cell(2, 3, reset="behind"), "reset is one of after, before, not 'behind'"),
        (lambda: layers.simple_cell(2, 3, initial="zero"), "did you mean 'zeros'"),
        (lambda: layers.lstm_cell(2, 0), "hidden must be a positive whole number, not 0"),
        (lambda: layers.simple_cell(2, 3, activation="tan"), "no activation 'tan'"),
    ],
)  # fmt: skip
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", [layers.simple_cell, layers.lstm_cell, layers.gru_cell])
def test_extreme_gates_stay_finite(kind):
    cell = kind(1, 2)
    params = jax.tree.map(lambda p: p * 1e4, cell.init(jax.random.key(0)))
    loss = lambda p: jnp.sum(layers.unroll(cell, p, jnp.full((1, 3, 1), 1e4))[1])
    value, gradient = jax.value_and_grad(loss)(params)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
