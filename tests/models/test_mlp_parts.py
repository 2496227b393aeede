"""Normalised, residual and dropped-out networks against flax and torch with the same parameters."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxdl import families, layers, models
from jaxdl.interop import pytorch

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 3))
MASK = np.array([True, True, False, True, False, True, True])
SIZES = (3, 5, 5, 2)


def assert_close(a, b, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), a, b)


def drawn(net, seed=0):
    """Parameters and statistics with nothing at a special value."""
    params, state = net.init(jax.random.key(0))
    rng = np.random.default_rng(seed)
    shake = lambda leaf: leaf + 0.3 * rng.uniform(size=leaf.shape).astype(leaf.dtype)
    return jax.tree.map(shake, params), jax.tree.map(shake, state)


class Flax(nn.Module):
    """What ``mlp`` says that it is, in flax; names of submodules are the same."""

    norm: str
    position: str
    skip: bool
    train: bool

    @nn.compact
    def __call__(self, x):
        def norm(i, a):
            if self.norm == "layer":
                return nn.LayerNorm(name=f"norm_{i}", param_dtype=a.dtype)(a)
            frozen = not self.train
            layer = nn.BatchNorm(frozen, momentum=0.9, name=f"norm_{i}", param_dtype=a.dtype)
            return layer(a)

        for i, width in enumerate(SIZES[1:-1]):
            bias = (self.norm, self.position) != ("batch", "pre")
            a = nn.Dense(width, use_bias=bias, name=f"dense_{i}", param_dtype=x.dtype)(x)
            h = nn.silu(norm(i, a)) if self.position == "pre" else norm(i, nn.silu(a))
            h = nn.Dropout(0.5)(h, deterministic=True)
            if self.skip and x.shape == h.shape:
                h = h + x
            elif self.skip:
                h = h + nn.Dense(width, use_bias=False, name=f"skip_{i}", param_dtype=x.dtype)(x)
            x = h
        return nn.Dense(SIZES[-1], name="dense_2", param_dtype=x.dtype)(x)


@pytest.mark.equation(21, 22, 27)
@pytest.mark.parametrize(
    ("norm", "position", "skip", "train"),
    [
        ("batch", "pre", False, True),
        ("batch", "pre", True, False),
        ("batch", "post", True, True),
        ("layer", "pre", True, True),
        ("layer", "post", False, False),
    ],
)
def test_outputs_statistics_and_gradients_are_flaxs(x64, norm, position, skip, train):
    net = models.mlp(SIZES, activation="silu", norm=norm, norm_position=position, skip=skip)
    params, state = drawn(net)
    x = jnp.asarray(X)
    oracle = Flax(norm, position, skip, train)

    def ours(params):
        eta, new = net.apply(params, state, x, train=train)
        return jnp.sum(jnp.sin(eta)), (eta, new)

    def theirs(params):
        variables = {"params": params, "batch_stats": state}
        eta, new = oracle.apply(variables, x, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(eta)), (eta, new.get("batch_stats", {}))

    found, expected = (jax.jit(jax.value_and_grad(f, has_aux=True))(params) for f in (ours, theirs))
    assert_close(found, expected, rtol=1e-8, atol=1e-11)
    assert skip == any(name.startswith("skip") for name in params)
    shapes = jax.eval_shape(oracle.init, jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes["params"])


@pytest.mark.equation(21, 22, "L761", "L765")
def test_the_recursion_is_the_nested_composition_and_torchs(x64):
    net = models.mlp((3, 4, 5, 2), activation=("tanh", "logistic"))
    params, _ = drawn(net)
    w, b = zip(*[(p["kernel"], p["bias"]) for p in map(params.get, sorted(params))], strict=True)
    s = lambda a: 1 / (1 + np.exp(-a))
    each = [
        w[2].T @ s(w[1].T @ np.tanh(w[0].T @ x + b[0]) + b[1]) + b[2] for x in X
    ]  # Eq. (22), row by row
    eta, _ = net.apply(params, {}, jnp.asarray(X))
    np.testing.assert_allclose(eta, each, rtol=1e-12)
    torch = pytest.importorskip("torch")
    stack = [torch.nn.Linear(m, n, dtype=torch.float64) for m, n in ((3, 4), (4, 5), (5, 2))]
    for i, layer in enumerate(stack):
        weights = pytorch.to_torch(pytorch.linear(), params[f"dense_{i}"])
        layer.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    phi = (torch.nn.Tanh(), torch.nn.Sigmoid())
    oracle = torch.nn.Sequential(stack[0], phi[0], stack[1], phi[1], stack[2])
    np.testing.assert_allclose(eta, oracle(torch.tensor(X)).detach(), rtol=1e-12)


def test_batch_normalised_network_is_torchs(x64):
    torch = pytest.importorskip("torch")
    net = models.mlp((3, 4, 2), norm="batch")
    params, state = drawn(net)
    f64 = {"dtype": torch.float64}
    oracle = torch.nn.Sequential(
        torch.nn.Linear(3, 4, bias=False, **f64), torch.nn.BatchNorm1d(4, **f64),
        torch.nn.ReLU(), torch.nn.Linear(4, 2, **f64),
    )  # fmt: skip
    layout = pytorch.parts({
        "dense_0": ("0", pytorch.linear()), "norm_0": ("1", pytorch.batch_norm()),
        "dense_1": ("3", pytorch.linear()),
    })  # fmt: skip
    weights = pytorch.to_torch(layout, params, state)
    oracle.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    x = jnp.asarray(X)
    trained, new = net.apply(params, state, x, train=True)
    evaluated, _ = net.apply(params, state, x)
    oracle.eval()
    np.testing.assert_allclose(evaluated, oracle(torch.tensor(X)).detach(), rtol=1e-9)
    oracle.train()
    np.testing.assert_allclose(trained, oracle(torch.tensor(X)).detach(), rtol=1e-9)
    np.testing.assert_allclose(new["norm_0"]["mean"], oracle[1].running_mean, rtol=1e-10)


@pytest.mark.equation(20, "L645")
def test_one_hidden_layer_is_an_adaptive_basis(x64):
    """E[y|x] = g^-1(w' psi(x)); the identity leaves a generalised linear model."""
    net = models.mlp((3, 4, 1), activation="logistic")
    params, _ = drawn(net)
    (w0, b0), (w, b) = (
        (np.asarray(params[name]["kernel"]), np.asarray(params[name]["bias"]))
        for name in ("dense_0", "dense_1")
    )
    sigmoid = scipy.special.expit
    psi = np.stack([[sigmoid(w0[:, j] @ x + b0[j]) for j in range(4)] for x in X])
    mean = families.bernoulli().mean(net.apply(params, {}, jnp.asarray(X))[0])
    np.testing.assert_allclose(mean, sigmoid(psi @ w + b), rtol=1e-13)
    fixed = {"dense_0": {"kernel": jnp.eye(3), "bias": jnp.zeros(3)}}
    fixed["dense_1"] = {"kernel": w[:3], "bias": b}
    basis = models.mlp((3, 3, 1), activation="identity")
    np.testing.assert_allclose(basis.apply(fixed, {}, jnp.asarray(X))[0], X @ w[:3] + b, rtol=1e-13)


@pytest.mark.parametrize("position", ["pre", "post"])
def test_names_are_short_for_pairs_of_functions(position):
    pairs = {
        "layer": (layers.layer_normalization(), "layer", {}),
        "batch": (layers.batch_normalization(momentum=0.5), "batch", {"momentum": 0.5}),
        "last": (layers.batch_normalization(statistics="last"), "batch", {"statistics": "last"}),
    }
    x = jnp.asarray(X, jnp.float32)
    after = {}
    for label, (norm, name, settings) in pairs.items():
        ours = models.mlp(SIZES, norm=norm, norm_position=position)
        named = models.mlp(SIZES, norm=name, norm_position=position, **settings)
        drawn_by_both = ours.init(jax.random.key(0))
        assert_close(drawn_by_both, named.init(jax.random.key(0)), rtol=0)
        eta, after[label] = ours.apply(*drawn_by_both, x, train=True)
        assert_close((eta, after[label]), named.apply(*drawn_by_both, x, train=True), rtol=1e-6)
        assert ours.sees_mask == named.sees_mask == (name == "batch")
    assert after["layer"] == {}
    moved = {label: after[label]["norm_0"]["mean"] for label in ("batch", "last")}
    np.testing.assert_allclose(moved["batch"], 0.5 * moved["last"], rtol=1e-5)  # from zero


def test_a_normalization_of_ones_own(x64):
    """The root mean square of a row: no mean, no offset, no state, so the layer has its bias."""
    rms = layers.Normalization(
        lambda features: ({"scale": jnp.ones(features)}, {}),
        lambda params, state, x, *, train=False, mask=None, observe=False: (
            params["scale"] * x / jnp.sqrt(jnp.mean(jnp.square(x), -1, keepdims=True)), state
        ),
    )  # fmt: skip
    net = models.mlp((3, 5, 2), activation="tanh", norm=rms)
    params, state = drawn(net)
    assert state == {} and not net.sees_mask and set(params["norm_0"]) == {"scale"}
    a = X @ params["dense_0"]["kernel"] + params["dense_0"]["bias"]
    a = params["norm_0"]["scale"] * a / np.sqrt(np.square(a).mean(1, keepdims=True))
    eta, after = net.apply(params, state, jnp.asarray(X))
    np.testing.assert_allclose(eta, layers.dense(params["dense_1"], np.tanh(a)), rtol=1e-12)
    assert after == {}


def test_a_normalization_of_ones_own_over_the_batch(x64):
    """It takes the mean off and no more; there is nothing to train, so there are no params."""

    def centre(params, state, x, *, train=False, mask=None, observe=False):
        seen = layers.moments(x, mask)[1]["mean"] if train or observe else state["mean"]
        return x - (seen if train else state["mean"]), {"mean": seen}

    init = lambda features: ({}, {"mean": jnp.zeros(features)})
    norm = layers.Normalization(init, centre, over_batch=True)
    net = models.mlp((3, 5, 2), activation="identity", norm=norm)
    params, state = net.init(jax.random.key(0))
    assert net.sees_mask and set(params) == {"dense_0", "dense_1"}
    assert set(params["dense_0"]) == {"kernel"}  # D-53
    bad = jnp.where(MASK[:, None], X, jnp.nan)
    eta, state = net.apply(params, state, bad, train=True, mask=MASK)
    mean = X[MASK].mean(0) @ params["dense_0"]["kernel"]
    assert_close(state, {"norm_0": {"mean": mean}}, rtol=1e-12)
    expected = (X[MASK] @ params["dense_0"]["kernel"] - mean) @ params["dense_1"]["kernel"]
    np.testing.assert_allclose(eta[MASK], expected, rtol=1e-9, atol=1e-13)
    evaluated, _ = net.apply(params, state, jnp.asarray(X))
    np.testing.assert_allclose(evaluated[MASK], expected, rtol=1e-9, atol=1e-13)
    post = models.mlp((3, 5, 2), norm=norm, norm_position="post").init(jax.random.key(0))[0]
    assert set(post["dense_0"]) == {"kernel", "bias"}
    with pytest.raises(ValueError, match="with a state is over the batch"):
        models.mlp((3, 5, 2), norm=norm._replace(over_batch=False)).init(jax.random.key(0))


def test_position_of_the_norm():
    """E-39: behind a ReLU the normalised values have both signs, before it the outputs have one."""
    signs = {}
    for position in ("pre", "post"):
        net = models.mlp((3, 5, 5), norm="batch", norm_position=position)
        params, state = net.init(jax.random.key(0))
        params["dense_1"] = {"kernel": jnp.eye(5), "bias": jnp.zeros(5)}
        eta, _ = net.apply(params, state, jnp.asarray(X, jnp.float32), train=True)
        signs[position] = bool((eta < -1e-3).any())
        assert ("bias" in params["dense_0"]) == (position == "post")  # D-53
    assert signs == {"pre": False, "post": True}


@pytest.mark.equation("L641")
def test_activations_of_each_unit(x64):
    """E-31."""
    mixed = lambda a: jnp.stack([jnp.tanh(a[..., 0]), jnp.maximum(a[..., 1], 0)], -1)
    net = models.mlp((3, 2, 2), activation=mixed)
    params, _ = drawn(net)
    params["dense_1"] = {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}
    a = layers.dense(params["dense_0"], jnp.asarray(X))
    eta, _ = net.apply(params, {}, jnp.asarray(X))
    expected = np.stack([np.tanh(a[:, 0]), np.maximum(a[:, 1], 0)], 1)
    np.testing.assert_allclose(eta, expected, rtol=1e-13)


def test_masked_rows_change_nothing(x64):
    """NaN in them neither: not in outputs, statistics or gradients, trained or evaluated."""
    net = models.mlp(SIZES, norm="batch", skip=True)
    params, state = drawn(net)
    bad = jnp.where(MASK[:, None], X, jnp.nan)

    @functools.partial(jax.jit, static_argnames="train")
    def both(params, x, mask, rows, train):
        def loss(params):
            eta, new = net.apply(params, state, x, train=train, mask=mask)
            return jnp.sum(jnp.where(rows[:, None], jnp.sin(eta), 0)), (eta, new)

        return jax.value_and_grad(loss, has_aux=True)(params)

    for train in (True, False):
        (value, (eta, new)), gradient = both(params, bad, MASK, MASK, train)
        few = both(params, jnp.asarray(X[MASK]), None, np.ones(5, bool), train)
        assert_close(((value, (eta[MASK], new)), gradient), few, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="mask has leading axes"):
        net.apply(params, state, bad, mask=np.ones(1, bool))


def test_skips_and_norms_leave_the_draws_of_other_kernels():
    plain, _ = models.mlp(SIZES).init(jax.random.key(0))
    rich, _ = models.mlp(SIZES, norm="batch", skip=True).init(jax.random.key(0))
    assert set(rich) == {*plain, "norm_0", "norm_1", "skip_0"}  # skip_1 is the identity
    for name in plain:
        np.testing.assert_array_equal(plain[name]["kernel"], rich[name]["kernel"])
    u = rich["skip_0"]["kernel"]
    np.testing.assert_allclose(u @ u.T, np.eye(3), atol=1e-6)
    assert "bias" in rich["dense_2"] and "bias" not in rich["dense_1"]


def test_skips_carry_the_gradient_through_dead_layers(x64):
    """E-37: with all units dead, d eta / dx is the product of the skips and the last kernel."""
    net = models.mlp((3, 4, 4, 4, 2), skip=True)
    params, _ = net.init(jax.random.key(0))
    for i in range(3):
        params[f"dense_{i}"]["bias"] = jnp.full(4, -99.0)
    jacobian = jax.jacobian(lambda x: net.apply(params, {}, x)[0])(jnp.asarray(X[0]))
    expected = params["skip_0"]["kernel"] @ params["dense_3"]["kernel"]
    np.testing.assert_allclose(jacobian, expected.T, atol=1e-13)
    without = jax.jacobian(lambda x: models.mlp((3, 4, 4, 4, 2)).apply(params, {}, x)[0])
    assert not without(jnp.asarray(X[0])).any()


def test_dropout_is_inside_the_skip():
    net = models.mlp((3, 3, 3), activation="identity", skip=True, dropout=1.0)
    params, _ = net.init(jax.random.key(0))
    params["dense_1"] = {"kernel": jnp.eye(3), "bias": jnp.zeros(3)}
    eta, _ = net.apply(params, {}, jnp.asarray(X), key=jax.random.key(1), train=True)
    np.testing.assert_allclose(eta, X, rtol=1e-6)


def test_traced_settings():
    x = jnp.asarray(X, jnp.float32)

    def after_a_step(rate, momentum):
        net = models.mlp((3, 4, 2), norm="batch", dropout=rate, momentum=momentum)
        params, state = net.init(jax.random.key(0))
        eta, state = net.apply(params, state, x, key=jax.random.key(1), train=True)
        return eta, state["norm_0"]["mean"]

    pairs = jnp.array([0.0, 0.6]), jnp.array([0.0, 1.0])
    eta, mean = jax.jit(jax.vmap(after_a_step))(*pairs)
    assert abs(eta[0] - eta[1]).max() > 1e-3 and not mean[1].any()
    last = models.mlp((3, 4, 2), norm="batch", statistics="last")
    params, state = last.init(jax.random.key(0))
    _, state = last.apply(params, state, x, train=True)
    np.testing.assert_allclose(mean[0], state["norm_0"]["mean"], rtol=1e-5)
    np.testing.assert_allclose(mean[0], (x @ params["dense_0"]["kernel"]).mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "group"}, "is one of None, batch, layer, not 'group'"),
        ({"norm": layers.layer_norm}, "norm .a Normalization or a name. is one of"),
        (
            {"norm": "batch", "norm_position": "before"},
            "norm_position is one of pre, post, not 'before'",
        ),
        ({"statistics": "population"}, "running, last, not 'population'"),
        ({"kernel_init": [layers.he_normal()] * 2}, "2 initializers for 3 layers"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        models.mlp(SIZES, **settings)


def test_a_lonely_row_cannot_be_trained_on():
    net = models.mlp((3, 4, 2), norm="batch")
    params, state = net.init(jax.random.key(0))
    with pytest.raises(ValueError, match="two rows or more"):
        net.apply(params, state, jnp.ones((1, 3)), train=True)


def test_population_statistics_layer_by_layer(x64):
    net = models.mlp((3, 5, 4, 2), norm="batch", activation="tanh", dropout=0.5, skip=True)
    params, state = drawn(net)
    x = jnp.asarray(X)
    whole = models.population_statistics(net, params, state, x)
    # With nothing dropped, training on all rows at once normalises by those very statistics.
    full = models.mlp((3, 5, 4, 2), norm="batch", activation="tanh", skip=True, statistics="last")
    eta, exact = full.apply(params, state, x, train=True)
    assert_close(whole, exact, rtol=1e-10)
    np.testing.assert_allclose(net.apply(params, whole, x)[0], eta, rtol=1e-9)
    other = jax.tree.map(lambda leaf: 5 * leaf + 1, state)
    chunks = models.population_statistics(net, params, other, [x[:2], x[2:3], x[3:]])
    assert_close(chunks, exact, rtol=1e-10)
    spoilt = jnp.where(MASK[:, None], x, jnp.nan)
    few = models.population_statistics(net, params, state, x[MASK])
    masked = lambda x, mask: models.population_statistics(net, params, state, x, mask=mask)
    assert_close(jax.jit(masked)(spoilt, MASK), few, rtol=1e-9)
    assert_close(masked([spoilt[:4], spoilt[4:]], [MASK[:4], MASK[4:]]), few, rtol=1e-9)
    mixed = masked([spoilt[:4], x[jnp.array([5, 6])]], [MASK[:4], None])
    assert_close(mixed, few, rtol=1e-9)


def test_population_statistics_of_other_models():
    net = models.mlp((3, 2))
    params, state = net.init(jax.random.key(0))
    assert models.population_statistics(net, params, state, jnp.asarray(X)) is state
    deaf = models.mlp((3, 4, 2), norm="batch")
    params, state = deaf.init(jax.random.key(0))
    deaf = deaf._replace(apply=lambda params, state, x, *, key=None, train=False: (x, state))
    with pytest.raises(ValueError, match="takes `observe`"):
        models.population_statistics(deaf, params, state, jnp.asarray(X))


def test_population_statistics_call_the_model_to_see_what_it_takes(x64):
    net = models.mlp((3, 4, 2), norm="batch")
    params, state = net.init(jax.random.key(0))
    x = jnp.asarray(X)
    exact = models.population_statistics(net, params, state, x)
    wrapped = net._replace(apply=lambda *args, **settings: net.apply(*args, **settings))
    assert_close(models.population_statistics(wrapped, params, state, x), exact, rtol=1e-12)
    # one that cannot see a mask is asked for none
    maskless = lambda p, s, x, *, observe=False: net.apply(p, s, x, observe=observe)
    maskless = net._replace(apply=maskless)
    assert_close(models.population_statistics(maskless, params, state, x), exact, rtol=1e-12)
    calls = []

    def broken(params, state, x, *, observe):
        calls.append(x)
        raise TypeError("of its own")

    with pytest.raises(TypeError, match="of its own"):
        models.population_statistics(net._replace(apply=broken), params, state, x)
    assert [isinstance(x, jax.core.Tracer) for x in calls] == [True]  # shapes alone
