"""Normalisation against flax and torch with the same parameters, and closed forms."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gamma

from jaxdl import layers

RNG = np.random.default_rng(0)
X = 3 * RNG.normal(size=(6, 4)) + np.arange(4)
PARAMS = {"scale": RNG.normal(size=4), "bias": RNG.normal(size=4)}
STATE = {"mean": RNG.normal(size=4), "var": RNG.uniform(0.5, 2, size=4)}
MASK = np.array([True, False, True, True, False, True])


def assert_close(a, b, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), a, b)


def jaxed(tree, dtype=None):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


def test_initial_parameters_and_statistics(x64):
    params, state = layers.batch_norm_init(3)
    assert params["scale"].tolist() == [1, 1, 1] and params["bias"].tolist() == [0, 0, 0]
    assert state["mean"].tolist() == [0, 0, 0] and state["var"].tolist() == [1, 1, 1]
    assert_close(layers.layer_norm_init(3), params)
    half, state = layers.batch_norm_init(3, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in half.values()} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in state.values()} == {jnp.dtype(jnp.float32)}
    for init in (layers.batch_norm_init, layers.layer_norm_init):
        with pytest.raises(ValueError, match="at least one feature"):
            init(0)


@pytest.mark.equation("L863")
def test_batch_norm_by_hand():
    params, state = layers.batch_norm_init(1)
    x = jnp.array([[1.0], [5.0]])  # mean 3, variance 4
    y, new = layers.batch_norm(params, state, x, train=True, epsilon=0.0, momentum=0.5)
    assert y.tolist() == [[-1], [1]] and new["mean"] == 1.5 and new["var"] == 2.5
    y, same = layers.batch_norm(params, new, jnp.array([[1.5]]))
    assert y == 0 and same is new


@pytest.mark.equation("L863")
def test_moments_by_hand():
    """Of 1, 5 and, masked, 8: mean 3, variance (4 + 4) / 2; with 8: 14 / 3 and 74 / 9."""
    x = jnp.array([[1.0], [5.0], [8.0]])
    count, seen = layers.moments(x, jnp.array([True, True, False]))
    assert (count, seen["mean"].tolist(), seen["var"].tolist()) == (2, [3], [4])
    count, seen = layers.moments(x)
    assert count == 3
    assert_close(seen, {"mean": [14 / 3], "var": [74 / 9]}, rtol=1e-6)
    spoilt = x.at[2].set(jnp.nan)
    slope = jax.grad(lambda x: layers.moments(x, jnp.array([1, 1, 0]))[1]["var"].sum())(spoilt)
    assert slope.tolist() == [[-2], [2], [0]]  # 2 (x - mean) / N
    for nothing in (layers.moments(spoilt, jnp.zeros(3)), layers.moments(x[:0])):
        assert [leaf.tolist() for leaf in jax.tree.leaves(nothing)] == [0, [0], [0]]


def test_moments_are_numpys(x64):
    x = RNG.normal(size=(3, 5, 2, 4)) + np.arange(4)
    first, each = np.array([True, False, True]), RNG.uniform(size=(3, 5)) < 0.6
    for mask in (None, first, each):
        rows = x.reshape(-1, 4) if mask is None else x[mask].reshape(-1, 4)
        spoilt = x.copy()
        if mask is not None:
            spoilt[~mask] = np.nan
        count, seen = jax.jit(layers.moments)(spoilt, mask)
        assert count == len(rows)
        assert_close(seen, {"mean": rows.mean(0), "var": rows.var(0)}, rtol=1e-12)
    with pytest.raises(ValueError, match="mask has leading axes"):
        layers.moments(x, np.ones(5, bool))


def test_moments_far_from_zero():
    """In float32 the second moment about zero is of 1e8, whose last digit is worth 8."""
    x = np.float32(1e4 + 0.1 * RNG.normal(size=(500, 3)))
    mask = np.arange(500) % 3 > 0
    for rows, m in ((x, None), (x[mask], mask)):
        _, seen = layers.moments(jnp.asarray(x), m)
        np.testing.assert_allclose(seen["var"], rows.var(0, dtype=float), rtol=1e-3)
        np.testing.assert_allclose(seen["mean"], rows.mean(0, dtype=float), rtol=2e-7)
    naive = jnp.mean(jnp.square(x), 0) - jnp.square(jnp.mean(x, 0))
    assert abs(naive - x.var(0)).max() > 0.1  # ten times the variance itself
    _, seen = layers.moments(jnp.full((3, 2), 2, jnp.bfloat16))
    assert {leaf.dtype for leaf in seen.values()} == {jnp.dtype(jnp.float32)}


def test_normalize_by_hand():
    """beta + gamma (x - 3) / sqrt(3 + 1)."""
    params = {"scale": jnp.array([2.0]), "bias": jnp.array([10.0])}
    seen = {"mean": jnp.array([3.0]), "var": jnp.array([3.0])}
    y = layers.normalize(params, seen, jnp.array([[1.0], [9.0]]), epsilon=1.0)
    assert y.tolist() == [[8], [16]]
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    for p, dtype in ((half, jnp.bfloat16), (params, jnp.float32)):
        y = layers.normalize(p, seen, jnp.ones(1, jnp.bfloat16), epsilon=1.0)
        assert y.dtype == dtype and y == 8
    with pytest.raises(ValueError, match="normalisation of 1 features"):
        layers.normalize(params, seen, jnp.ones((3, 2)), epsilon=1.0)


def test_statistics_move_by_hand():
    state = {"mean": jnp.array([1.0]), "var": jnp.array([2.0])}
    seen = {"mean": jnp.array([5.0]), "var": jnp.array([6.0])}
    move = lambda **settings: [
        leaf.item() for leaf in layers.move_statistics(state, seen, **settings).values()
    ]
    assert move(count=4, momentum=0.75) == [2, 3]
    assert move(count=4, momentum=0.75, unbiased=True) == [2, 3.5]  # 6 * 4 / 3 = 8
    assert move(count=4, statistics="last") == [5, 6]
    assert move(count=jnp.array(2.0), statistics="last", unbiased=True) == [5, 12]
    for count in (0, 1):
        for statistics in ("running", "last"):
            assert move(count=count, statistics=statistics, unbiased=True) == [1, 2]
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), state)
    moved = layers.move_statistics(half, seen, 4, momentum=jnp.float32(0.75))
    assert {leaf.dtype for leaf in moved.values()} == {jnp.dtype(jnp.bfloat16)}
    with pytest.raises(ValueError, match="statistics is one of running, last"):
        move(count=4, statistics="mean")


def test_batch_norm_is_its_three_parts(x64):
    params, state = jaxed((PARAMS, STATE))
    x = jnp.where(MASK[:, None], X, jnp.nan)
    y, new = layers.batch_norm(
        params, state, x, train=True, mask=MASK, momentum=0.3, epsilon=0.2, unbiased_running=True
    )
    count, seen = layers.moments(x, MASK)
    by_parts = layers.normalize(params, seen, x[MASK], epsilon=0.2)
    np.testing.assert_allclose(y[MASK], by_parts, rtol=1e-12)
    moved = layers.move_statistics(state, seen, count, momentum=0.3, unbiased=True)
    assert_close(new, moved, rtol=1e-12)
    var = 0.3 * STATE["var"] + 0.7 * X[MASK].var(0, ddof=1)
    np.testing.assert_allclose(new["var"], var, rtol=1e-12)


def test_pairs_for_models(x64):
    """What init and apply of a ``Normalization`` are, and which of their settings arrive."""
    params, state, x = jaxed((PARAMS, STATE, X))
    settings = {"momentum": 0.3, "epsilon": 0.2, "statistics": "running", "unbiased_running": True}
    batch = layers.batch_normalization(**settings)
    assert_close(batch.init(3), layers.batch_norm_init(3))
    for call in ({"train": True, "mask": MASK}, {"observe": True}, {}):
        ours = batch.apply(params, state, x, **call)
        assert_close(ours, layers.batch_norm(params, state, x, **settings, **call), rtol=1e-14)
    plain, _ = layers.batch_normalization().apply(params, state, x, train=True)
    assert_close(plain, layers.batch_norm(params, state, x, train=True)[0], rtol=1e-14)
    last = layers.batch_normalization(statistics="last").apply(params, state, x, train=True)[1]
    np.testing.assert_allclose(last["mean"], X.mean(0), rtol=1e-12)
    with pytest.raises(ValueError, match="statistics is one of running, last"):
        layers.batch_normalization(statistics="population")
    layer = layers.layer_normalization(epsilon=0.2, epsilon_inside=False)
    assert_close(layer.init(3)[0], layers.layer_norm_init(3))
    y, after = layer.apply(params, {}, x, train=True, mask=MASK, observe=True)
    expected = (X - X.mean(1, keepdims=True)) / (X.std(1, keepdims=True) + 0.2)
    np.testing.assert_allclose(y, PARAMS["bias"] + PARAMS["scale"] * expected, rtol=1e-10)
    assert after == layer.init(3)[1] == {}
    assert batch.over_batch and not layer.over_batch


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_is_flaxs(x64, train, mask):
    oracle = nn.BatchNorm(momentum=0.8, epsilon=1e-3, param_dtype=jnp.float64)
    params, state, x = jaxed((PARAMS, STATE, X))
    weight = jnp.asarray(RNG.normal(size=X.shape)) * (1 if mask is None else mask[:, None])

    def ours(params, x):
        y, new = layers.batch_norm(
            params, state, x, train=train, mask=mask, momentum=0.8, epsilon=1e-3
        )
        return jnp.sum(weight * y), (y, new)

    def theirs(params, x):
        y, new = oracle.apply(
            {"params": params, "batch_stats": state}, x, use_running_average=not train,
            mask=None if mask is None else mask[:, None], mutable=["batch_stats"],
        )  # fmt: skip
        return jnp.sum(weight * y), (y, new["batch_stats"])

    (_, (y, new)), gradient = jax.value_and_grad(ours, (0, 1), has_aux=True)(params, x)
    (_, (y_2, new_2)), gradient_2 = jax.value_and_grad(theirs, (0, 1), has_aux=True)(params, x)
    rows = slice(None) if mask is None else mask
    assert_close((y[rows], new, gradient), (y_2[rows], new_2, gradient_2), rtol=1e-10, atol=1e-12)
    assert not train or abs(new["mean"] - state["mean"]).max() > 1e-3


@pytest.mark.equation("L863")
def test_batch_norm_is_torchs_with_its_running_variance(x64):
    torch = pytest.importorskip("torch")
    oracle = torch.nn.BatchNorm1d(4, momentum=0.1, dtype=torch.float64)
    params, state = jaxed((PARAMS, layers.batch_norm_init(4)[1]))
    oracle.load_state_dict(
        {"weight": torch.tensor(PARAMS["scale"]), "bias": torch.tensor(PARAMS["bias"])},
        strict=False,
    )
    for batch in (X, 2 * X[:3] + 1):
        y, state = layers.batch_norm(
            params, state, jnp.asarray(batch), train=True, unbiased_running=True
        )
        np.testing.assert_allclose(y, oracle(torch.tensor(batch)).detach(), rtol=1e-10)
    np.testing.assert_allclose(state["mean"], oracle.running_mean, rtol=1e-12)
    np.testing.assert_allclose(state["var"], oracle.running_var, rtol=1e-12)
    oracle.eval()
    y, _ = layers.batch_norm(params, state, jnp.asarray(X))
    np.testing.assert_allclose(y, oracle(torch.tensor(X)).detach(), rtol=1e-10)


def test_masked_rows_are_as_if_they_were_not_there(x64):
    """Whatever they hold, NaN included, in outputs, statistics and gradients."""
    params, state, x = jaxed((PARAMS, STATE, X))
    bad = jnp.where(MASK[:, None], x, jnp.array([jnp.nan, jnp.inf, -jnp.inf, 1e300]))

    def loss(params, x, mask, train, rows):
        y, new = layers.batch_norm(params, state, x, train=train, mask=mask, unbiased_running=True)
        return jnp.sum(jnp.sin(jnp.where(rows[:, None], y, 0))), (y[rows], new)

    both = jax.value_and_grad(loss, (0, 1), has_aux=True)
    for train in (True, False):
        (_, few), (g_params, g_x) = both(params, x[MASK], None, train, np.ones(4, bool))
        (_, many), (h_params, h_x) = both(params, bad, MASK, train, MASK)
        assert_close((few, g_params, g_x), (many, h_params, h_x[MASK]), rtol=1e-9, atol=1e-13)
        assert not h_x[~MASK].any()


def test_a_mask_covers_leading_axes(x64):
    params, state = jaxed((PARAMS, STATE))
    x = jnp.asarray(RNG.normal(size=(3, 5, 4)))
    whole, each = np.array([True, False, True]), RNG.uniform(size=(3, 5)) < 0.6
    run = lambda x, mask: layers.batch_norm(params, state, x, train=True, mask=mask)
    for mask in (whole, each):
        y, new = run(x, mask)
        alone, new_2 = run(x[mask].reshape(-1, 4), None)
        assert_close((y[mask].reshape(-1, 4), new), (alone, new_2), rtol=1e-10, atol=1e-12)
    for mask in (np.ones(5, bool), np.ones(1, bool), np.array(True), np.ones((3, 5, 4), bool)):
        with pytest.raises(ValueError, match="mask has leading axes"):
            run(x, mask)


def test_one_row_has_no_variance(x64):
    """D-53: its normalised value is beta."""
    params, state, x = jaxed((PARAMS, STATE, X))
    for lonely in (x[0], x[:1], x[:0], x[:1, None]):
        with pytest.raises(ValueError, match="two rows or more"):
            layers.batch_norm(params, state, lonely, train=True)
    run = jax.jit(lambda mask: layers.batch_norm(params, state, x, train=True, mask=mask))
    for count in (0, 1):
        y, new = run(np.arange(6) < count)
        assert_close(new, state)
        np.testing.assert_allclose(y[:count], np.tile(params["bias"], (count, 1)), atol=1e-14)
        assert np.isfinite(y).all()
    assert abs(run(np.arange(6) < 2)[1]["mean"] - state["mean"]).max() > 1e-3


def test_statistics_of_the_last_batch(x64):
    params, state, x = jaxed((PARAMS, STATE, X))
    for unbiased in (False, True):
        _, new = layers.batch_norm(
            params, state, x, train=True, statistics="last", unbiased_running=unbiased
        )
        assert_close(new, {"mean": X.mean(0), "var": X.var(0, ddof=int(unbiased))}, rtol=1e-12)
    _, new = layers.batch_norm(
        params, state, x, train=True, mask=np.arange(6) < 1, statistics="last"
    )
    assert_close(new, state)
    with pytest.raises(ValueError, match="statistics is one of running, last, not 'population'"):
        layers.batch_norm(params, state, x, statistics="population")


@pytest.mark.parametrize(
    ("batch", "last", "running"), [(8, 0.575, 0.092), (32, 0.233, 0.050), (128, 0.101, 0.024)]
)
def test_errors_of_the_last_batchs_statistics(batch, last, running):
    """D-50: rms error of the normalised value for a standard normal activation."""
    runs, steps = 4000, 60
    params, state = layers.batch_norm_init(1)

    def errors(key, statistics):
        def step(state, key):
            x = jax.random.normal(key, (batch, 1))
            return layers.batch_norm(
                params, state, x, train=True, statistics=statistics, unbiased_running=True
            )[1], None

        state_T, _ = jax.lax.scan(step, state, jax.random.split(key, steps))
        x = jnp.array([-1.0, 1.0])[:, None]  # two points with the moments of a normal
        y, _ = layers.batch_norm(params, state_T, x, epsilon=0.0)
        return jnp.mean(jnp.square(y - x))

    def rms(statistics):
        keys = jax.random.split(jax.random.key(0), runs)
        each = jax.jit(jax.vmap(lambda k: errors(k, statistics)))(keys)
        return float(jnp.sqrt(each.mean()))

    with jax.debug_key_reuse(False):
        found = rms("last"), rms("running")
    np.testing.assert_allclose(found, (last, running), rtol=0.2)
    # Closed form of the last batch's: x and mean are independent of s^2 ~ chi^2_{n-1} / (n - 1).
    n, v = batch, batch - 1
    inverse = np.sqrt(v / 2) * gamma((v - 1) / 2) / gamma(v / 2)
    exact = np.sqrt((1 + 1 / n) * v / (v - 2) - 2 * inverse + 1)
    np.testing.assert_allclose(found[0], exact, rtol=0.08)


def test_an_offset_before_batch_norm_is_without_effect(x64):
    """D-53."""
    params, state, x = jaxed((PARAMS, STATE, X))
    run = lambda b: layers.batch_norm(params, state, x + b, train=True)[0]
    offset = jnp.array([5.0, -3.0, 0.1, 2.0])
    np.testing.assert_allclose(run(offset), run(0), atol=1e-13)
    np.testing.assert_allclose(jax.grad(lambda b: jnp.sin(run(b)).sum())(offset), 0, atol=1e-13)


def test_evaluation_does_not_see_batch_mates_and_freezes_the_state(x64):
    """E-40."""
    params, state, x = jaxed((PARAMS, STATE, X))
    y, after = layers.batch_norm(params, state, x)
    assert after is state
    alone = jnp.stack([layers.batch_norm(params, state, row)[0] for row in x])
    np.testing.assert_allclose(y, alone, rtol=1e-12)
    trained = layers.batch_norm(params, state, x, train=True)[0]
    others = layers.batch_norm(params, state, x.at[1:].add(1.0), train=True)[0]
    assert abs(trained[0] - others[0]).max() > 1e-3  # while training it does see them


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.floats(-1e4, 1e4))
def test_population_statistics_do_not_depend_on_the_chunks(sizes, shift):
    x = np.float32(np.random.default_rng(sum(sizes)).normal(size=(sum(sizes), 3)) + shift)
    chunks = np.split(x, np.cumsum(sizes)[:-1])
    found = layers.population_statistics(chunks)
    exact = {"mean": x.mean(0, dtype=float), "var": x.var(0, dtype=float)}
    assert_close(found, exact, rtol=2e-3, atol=1e-4 + 2e-6 * abs(shift))


def test_population_statistics_of_masked_chunks(x64):
    whole = layers.population_statistics(jnp.asarray(X), MASK)
    assert_close(whole, {"mean": X[MASK].mean(0), "var": X[MASK].var(0)}, rtol=1e-12)
    x = np.where(MASK[:, None], X, np.nan)
    assert_close(layers.population_statistics(np.split(x, 3), np.split(MASK, 3)), whole, rtol=1e-12)
    # the chunk that is no row at all, first or last, adds nothing
    nothing = np.zeros(2, bool)
    chunks = [x[:2], x, x[:2]]
    assert_close(layers.population_statistics(chunks, [nothing, MASK, nothing]), whole, rtol=1e-12)
    many = jax.jit(jax.vmap(layers.population_statistics))(jnp.stack([X, 2 * X]))
    assert_close(many["var"], np.stack([X.var(0), 4 * X.var(0)]), rtol=1e-12)
    merged = jax.jit(layers.merge_statistics)(
        (2, layers.population_statistics(X[:2])), (4, layers.population_statistics(X[2:]))
    )
    assert merged[0] == 6
    assert_close(merged[1], {"mean": X.mean(0), "var": X.var(0)}, rtol=1e-12)
    for chunks, masks in (([], None), ([X, X], [MASK])):
        with pytest.raises(ValueError, match="masks for"):
            layers.population_statistics(chunks, masks)


def test_observed_statistics_leave_the_output(x64):
    params, state, x = jaxed((PARAMS, STATE, X))
    y, seen = layers.batch_norm(params, state, x, mask=MASK, observe=True)
    assert_close(seen, {"mean": X[MASK].mean(0), "var": X[MASK].var(0)}, rtol=1e-12)
    np.testing.assert_array_equal(y, layers.batch_norm(params, state, x, mask=MASK)[0])
    # and by them evaluation does what training did
    trained, _ = layers.batch_norm(params, state, x, train=True, mask=MASK)
    np.testing.assert_allclose(layers.batch_norm(params, seen, x)[0][MASK], trained[MASK])


@pytest.mark.equation("L871")
def test_layer_norm_is_flaxs_and_torchs(x64):
    params = jaxed(PARAMS)
    x = jnp.asarray(RNG.normal(size=(2, 3, 4)))
    oracle = nn.LayerNorm(param_dtype=jnp.float64)
    ours = lambda params, x: layers.layer_norm(params, x)
    theirs = lambda params, x: oracle.apply({"params": params}, x)
    np.testing.assert_allclose(ours(params, x), theirs(params, x), rtol=1e-9)
    gradient = lambda f: jax.grad(lambda p, x: jnp.sin(f(p, x)).sum(), (0, 1))(params, x)
    assert_close(gradient(ours), gradient(theirs), rtol=1e-8, atol=1e-11)
    torch = pytest.importorskip("torch")
    weights = [torch.tensor(PARAMS[name]) for name in ("scale", "bias")]
    value = torch.nn.functional.layer_norm(torch.tensor(np.asarray(x)), (4,), *weights)
    np.testing.assert_allclose(layers.layer_norm(params, x, epsilon=1e-5), value, atol=1e-12)


@pytest.mark.equation("L871")
def test_where_the_epsilon_of_layer_norm_is(x64):
    """D-51: rows of scale 1e-3 differ by 1.79, and a constant one has no gradient if naive."""
    params = layers.layer_norm_init(5)
    z = jnp.array([-1.1, -0.5, -0.5, 0.6, 1.5])
    z = 1e-3 * (z - z.mean()) / z.std()
    inside = layers.layer_norm(params, z, epsilon=1e-5)
    outside = layers.layer_norm(params, z, epsilon=1e-5, epsilon_inside=False)
    factor = 1 / (1 + 1e-2) - 1 / np.sqrt(1 + 10)  # the ratio of epsilon to scale and its square
    np.testing.assert_allclose(outside - inside, factor * 1e3 * z, rtol=1e-9)
    np.testing.assert_allclose(2.6 * factor, 1.79, rtol=2e-3)  # at the index's largest |z|
    row = jnp.full(5, 3.0)
    weight = jnp.arange(5.0)
    naive = lambda x: ((x - x.mean()) / (jnp.std(x) + 1e-5)) @ weight
    assert np.isnan(jax.grad(naive)(row)).all()
    for where in (True, False):
        fn = lambda x, where=where: layers.layer_norm(params, x, epsilon=1e-5, epsilon_inside=where)
        assert not fn(row).any()
        slope = jax.grad(lambda x, fn=fn: fn(x) @ weight)(row)
        expected = (weight - weight.mean()) / (np.sqrt(1e-5) if where else 1e-5)
        np.testing.assert_allclose(slope, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(outside, (z - z.mean()) / (z.std() + 1e-5), rtol=1e-9)


def test_variances_are_biased(x64):
    """D-52: at D = 8 the unbiased form is smaller by sqrt(7 / 8) = 0.935."""
    x = jnp.asarray(RNG.normal(size=8)) + 5  # a second moment about zero would be near 26
    y = layers.layer_norm(layers.layer_norm_init(8), x, epsilon=0.0)
    np.testing.assert_allclose(y, (x - x.mean()) / np.std(x), rtol=1e-10)
    unbiased = (x - x.mean()) / np.std(x, ddof=1)
    np.testing.assert_allclose(unbiased / y, np.full(8, 0.935), rtol=1e-3)


def test_layer_norm_is_of_each_row_alone(x64):
    """E-41."""
    params, x = jaxed((PARAMS, X))
    y = layers.layer_norm(params, x)
    alone = jnp.stack([layers.layer_norm(params, row) for row in x])
    np.testing.assert_allclose(y, alone, rtol=1e-12)
    np.testing.assert_allclose(y, layers.layer_norm(params, 3 * x + 1), rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_dtypes_and_composition(x64, dtype):
    params, x = jaxed((PARAMS, X), dtype)
    state = jaxed(STATE, jnp.promote_types(dtype, jnp.float32))
    train = lambda x, eps: layers.batch_norm(params, state, x, train=True, epsilon=eps)
    y, new = train(x, 1e-5)
    assert y.dtype == dtype and new["mean"].dtype == state["mean"].dtype
    assert layers.layer_norm(params, x).dtype == dtype
    tolerance = {"rtol": 2e-2 if dtype == jnp.bfloat16 else 1e-5, "atol": 1e-6}
    by_layer = lambda x, eps: layers.layer_norm(params, x, epsilon=eps, epsilon_inside=False)
    for fn in (lambda x, e: train(x, e)[0], by_layer):
        each = jax.jit(jax.vmap(fn, (None, 0)))(x, jnp.array([1e-5, 1.0], dtype))
        for got, eps in zip(each, (1e-5, 1.0), strict=True):
            assert_close(np.float64(got), np.float64(fn(x, jnp.asarray(eps, dtype))), **tolerance)
    moving = jax.vmap(lambda m: layers.batch_norm(params, state, x, train=True, momentum=m)[1])
    ends = moving(jnp.array([0.0, 1.0]))
    assert_close(jax.tree.map(lambda leaf: leaf[1], ends), state, rtol=1e-6)
    mean = np.asarray(x, np.float64).mean(0)
    np.testing.assert_allclose(ends["mean"][0], mean, rtol=1e-5)  # in float32, whatever x is


def test_reductions_of_half_precision_are_in_single():
    x = jnp.full((4096, 1), 1.0, jnp.bfloat16).at[::2].set(3.0)
    params, state = layers.batch_norm_init(1, dtype=jnp.bfloat16)
    _, new = layers.batch_norm(params, state, x, train=True, statistics="last")
    assert new["mean"] == 2 and new["var"] == 1


def test_gradients_of_half_precision_are_rounded_once():
    """Those through the moments and through the values themselves nearly cancel."""
    x = jnp.asarray(X, jnp.bfloat16)
    params, state = jaxed((PARAMS, STATE), jnp.float32)
    loss = lambda x: jnp.sum(jnp.sin(layers.batch_norm(params, state, x, train=True)[0]))
    exact = jax.grad(loss)(x.astype(jnp.float32))
    np.testing.assert_array_equal(jax.grad(loss)(x), exact.astype(jnp.bfloat16))


def test_far_out(x64):
    for dtype, far in ((jnp.float32, 1e15), (jnp.float64, 1e150)):
        params, state, x = jaxed((PARAMS, STATE, X), dtype)
        for fn in (
            lambda x, p=params, s=state: layers.batch_norm(p, s, x, train=True)[0],
            lambda x, p=params: layers.layer_norm(p, x),
            lambda x, p=params: layers.layer_norm(p, x, epsilon_inside=False),
        ):
            for scale in (far, 1 / far, 0.0):
                assert np.isfinite(fn(x * scale)).all()
                assert np.isfinite(jax.grad(lambda x, fn=fn: jnp.sin(fn(x)).sum())(x * scale)).all()


def test_widths_that_do_not_fit():
    params, state = layers.batch_norm_init(4)
    for x in (jnp.ones((3, 1)), jnp.ones((3, 5)), jnp.ones(())):
        for call in (
            lambda x=x: layers.batch_norm(params, state, x),
            lambda x=x: layers.layer_norm(params, x),
        ):
            with pytest.raises(ValueError, match="normalisation of 4 features"):
                call()


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(
    ("unit", "epsilon"), [(1e-30, 0.0), (1e-4, 1e-6), (1e20, 1e-6), (1e35, 1e-6)]
)
def test_layer_norm_in_any_unit_in_float32(unit, epsilon, inside):
    """Squares of 1e20 overflow and those of 1e-30 vanish: the values are float64's."""
    x = np.random.default_rng(0).normal(size=(3, 5)) + 0.5
    params = {"scale": jnp.array([1.0, 2, 3, 4, 5]), "bias": jnp.zeros(5)}
    norm = lambda x: layers.layer_norm(params, x, epsilon=epsilon, epsilon_inside=inside)
    wide = np.float32(x * unit).astype(float)
    centred = wide - wide.mean(1, keepdims=True)
    var = (centred**2).mean(1, keepdims=True)
    below = np.sqrt(var + epsilon) if inside else np.sqrt(var) + epsilon
    y, pull = jax.vjp(norm, jnp.float32(x * unit))
    np.testing.assert_allclose(y, centred / below * np.arange(1.0, 6), rtol=2e-5, atol=1e-6)
    # dy_i/dc_j = (i = j) / below - c_i c_j / (D d), with d = below^3, or below^2 sqrt(var)
    g = np.asarray(params["scale"], float) * np.arange(5) * np.ones((3, 5))
    inner = below**3 if inside else below**2 * np.sqrt(var)
    slope = g / below - centred * (g * centred).mean(1, keepdims=True) / inner
    slope -= slope.mean(1, keepdims=True)
    found = pull(jnp.broadcast_to(jnp.arange(5.0), (3, 5)))[0]
    np.testing.assert_allclose(found * np.float32(unit), slope * unit, rtol=2e-4, atol=2e-5)
