"""flax's modules as Models: against flax itself, and against loops over flax and optax by hand."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxdl import families, training
from jaxdl.base import Sequences
from jaxdl.interop.flax import from_linen, from_nnx
from jaxdl.model_selection import Execution, cross_validate, refit

N, D, K = 11, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)).astype(np.float32)
Y = RNG.integers(0, K, N).astype(np.int32)
MASK = np.arange(N) < 7


class Net(nn.Module):
    """As in flax's examples: batch normalisation and dropout, told by ``train``."""

    rate: float

    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(5)(x))
        x = nn.Dropout(self.rate, deterministic=not train)(nn.relu(x))
        return nn.Dense(K)(x)


class Nnx(nnx.Module):
    def __init__(self, rate, rngs):
        self.dense = nnx.Linear(D, 5, rngs=rngs)
        self.norm = nnx.BatchNorm(5, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        last = [nnx.Linear(5, K, rngs=rngs)]
        self.last = nnx.List(last) if hasattr(nnx, "List") else last
        self.shift = jnp.arange(5.0)  # an array that is no variable

    def __call__(self, x):
        h = jax.nn.relu(self.norm(self.dense(x)) + self.shift)
        return self.last[0](self.dropout(h))


def told(module, x, train):
    return module(x, train=train)


def linen(rate=0.0):
    return from_linen(Net(rate), X[:1], call=told)


def of_nnx(rate=0.0):
    return from_nnx(lambda rngs: Nnx(rate, rngs), X[:1])


MAKERS = {"linen": linen, "nnx": of_nnx}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def close(a, b, **tolerance):
    tolerance = {"rtol": 1e-5, "atol": 1e-6, **tolerance}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), a, b)


def moved(tree):
    """Offsets and statistics away from where they start."""
    return jax.tree.map(lambda p: p + 0.3 * jnp.cos(jnp.arange(p.size)).reshape(p.shape) ** 2, tree)


@pytest.mark.smoke
def test_linen_is_flaxs_own_apply_with_the_same_draws(key, allow_key_reuse):
    model, module = linen(0.4), Net(0.4)
    params, state = model.init(key)
    variables = module.init(key, X[:1], train=False)
    close({"params": params, **state}, variables, rtol=0, atol=0)
    params, state = moved((params, state))
    variables = {"params": params, **state}
    eta, after = model.apply(params, state, X, key=key, train=True)
    expected, new = module.apply(
        variables, X, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
    )
    close((eta, after), (expected, new))
    # The rate as it comes from a setting that is traced has the same draws.
    again = jax.jit(lambda rate: linen(rate).apply(params, state, X, key=key, train=True))(0.4)
    close(again, (eta, after))
    eta, after = model.apply(params, state, X)
    close(eta, module.apply(variables, X, train=False))
    assert after is state


@pytest.mark.smoke
def test_nnx_is_the_module_itself(key, allow_key_reuse):
    model, module = of_nnx(0.4), Nnx(0.4, nnx.Rngs(key))
    params, state = model.init(key)
    assert set(params) == {"dense", "norm", "last"} and set(params["last"]) == {"0"}
    close(params["dense"]["kernel"], module.dense.kernel[...], rtol=0, atol=0)
    module.eval()
    close(model.apply(params, state, X)[0], module(X))
    first, _ = model.apply(params, state, X, key=key, train=True)
    second, after = jax.jit(lambda r: of_nnx(r).apply(params, state, X, key=key, train=True))(0.4)
    close(first, second)
    # The stream that the model starts is the key folded with its number.
    module.dropout.rngs = nnx.Rngs(dropout=jax.random.fold_in(key, 0)).dropout
    module.train()
    close(first, module(X))
    close(after["norm"], {"mean": module.norm.mean[...], "var": module.norm.var[...]})


@pytest.mark.parametrize(
    "make", [of_nnx, pytest.param(linen, marks=pytest.mark.slow)], ids=["nnx", "linen"]
)
def test_rates_are_traced_for_each_member(make, key, allow_key_reuse):
    """0 keeps all, 1 leaves the last offset alone, and half of the units are scaled by two."""
    model = make(0.0)
    params, state = moved(model.init(key))

    def eta(rate):
        return make(rate).apply(params, state, X, key=key, train=True)[0]

    rates = jnp.array([0.0, 0.5, 1.0])
    none, half, every = jax.vmap(eta)(rates)
    close(none, model.apply(params, state, X, train=True)[0])
    last = params["Dense_1"] if "Dense_1" in params else params["last"]["0"]
    close(every, jnp.broadcast_to(last["bias"], every.shape))
    assert abs(half - none).max() > 0.1
    assert np.isfinite(jax.vmap(jax.grad(lambda r: eta(r).sum()))(rates)).all()


@makers
def test_rows_that_do_not_count_are_as_if_not_there(make, key):
    model = make()
    params, state = moved(model.init(key))
    assert model.sees_mask
    bad = jnp.where(MASK[:, None], X, jnp.nan)

    @jax.jit
    def masked(params, x):
        def loss(params):
            eta, after = model.apply(params, state, x, train=True, mask=MASK)
            return jnp.sum(jnp.sin(jnp.where(MASK[:, None], eta, 0))), (eta, after)

        return jax.value_and_grad(loss, has_aux=True)(params)

    (_, (eta, after)), gradient = masked(params, bad)
    alone, expected = model.apply(params, state, X[MASK], train=True)
    close((eta[MASK], after), (alone, expected))
    direct = jax.grad(lambda p: jnp.sum(jnp.sin(model.apply(p, state, X[MASK], train=True)[0])))
    close(gradient, direct(params), rtol=1e-4, atol=1e-5)


def learner(model, rate=0.1):
    objective = training.negative_log_likelihood(model, families.categorical(K))
    return training.gradient_learner(model, objective, optax.sgd(rate))


def test_steps_are_those_of_a_loop_over_flax_and_optax(key, allow_key_reuse):
    """Three steps with dropout and batch statistics, the loop as in flax's guides."""
    ours = learner(linen(0.3))
    state = ours.init(key)
    module, tx = Net(0.3), optax.sgd(0.1)
    init_key, step_key = jax.random.split(key)
    variables = module.init(init_key, X[:1], train=False)
    params, stats = variables["params"], variables["batch_stats"]
    opt_state = tx.init(params)

    def loss(params, stats, x, y, key):
        logits, new = module.apply(
            {"params": params, "batch_stats": stats}, x, train=True,
            rngs={"dropout": key}, mutable=["batch_stats"],
        )  # fmt: skip
        each = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return each.mean(), new["batch_stats"]

    by_hand, step = jax.jit(jax.grad(loss, has_aux=True)), jax.jit(ours.step)
    for i in range(3):
        gradient, stats = by_hand(params, stats, X, Y, jax.random.fold_in(step_key, i))
        updates, opt_state = tx.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
        state, _ = step(state, (X, Y))
    close(state.params, params)
    close(state.state["batch_stats"], stats)


def level(key, shape, dtype=jnp.float32):
    """A start that no key decides: the loop by hand has the same."""
    return 0.5 * jnp.cos(jnp.arange(np.prod(shape), dtype=dtype)).reshape(shape)


class Plain(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(5, kernel_init=level)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.5)(x))
        return nn.Dense(K, kernel_init=level)(x)


class PlainNnx(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(D, 5, kernel_init=level, rngs=rngs)
        self.norm = nnx.BatchNorm(5, momentum=0.5, rngs=rngs)
        self.last = nnx.Linear(5, K, kernel_init=level, rngs=rngs)

    def __call__(self, x):
        return self.last(jax.nn.relu(self.norm(self.dense(x))))


@jax.jit
def gradient_by_hand(params, stats, x, y):
    def loss(params):
        variables = {"params": params, "batch_stats": stats}
        eta, new = Plain().apply(variables, x, train=True, mutable=["batch_stats"])
        each = optax.softmax_cross_entropy_with_integer_labels(eta, y)
        return each.mean(), new["batch_stats"]

    return jax.grad(loss, has_aux=True)(params)


def by_hand(rate, rows, epochs):
    """The variables after full batches of these rows, in flax and optax."""
    tx = optax.sgd(rate)
    variables = Plain().init(jax.random.key(9), X[:1], train=False)
    params, stats = variables["params"], variables["batch_stats"]
    opt_state = tx.init(params)
    for _ in range(epochs):
        gradient, stats = gradient_by_hand(params, stats, X[rows], Y[rows])
        updates, opt_state = tx.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
    return {"params": params, "batch_stats": stats}


FOLDS = [(np.flatnonzero(np.arange(N) % 3 != f), np.flatnonzero(np.arange(N) % 3 == f))
         for f in range(3)]  # fmt: skip


@functools.cache
def scores_by_hand():
    """[settings, folds]: each trained on its training rows alone, and scored on the others."""

    def score(rate, train, valid):
        eta = Plain().apply(by_hand(rate, train, 3), X[valid], train=False)
        return optax.softmax_cross_entropy_with_integer_labels(eta, Y[valid]).mean()

    return np.array([[score(rate, *fold) for fold in FOLDS] for rate in (0.1, 0.5)])


STARTS = {
    "linen": lambda: from_linen(Plain(), X[:1], call=told),
    "nnx": lambda: from_nnx(PlainNnx, X[:1]),
}


@pytest.mark.parametrize(("name", "strategy"), [
    ("linen", "chunked"),
    pytest.param("linen", "vmap", marks=pytest.mark.slow),
    pytest.param("nnx", "vmap", marks=pytest.mark.slow),
    pytest.param("nnx", "chunked", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_study_is_the_loop_over_settings_and_folds(name, strategy, key):
    """Folds of 4, 4 and 3 rows: batch statistics must not see the padding."""
    study = cross_validate(
        lambda h: learner(STARTS[name](), h["rate"]), {"rate": [0.1, 0.5]}, (X, Y), folds=FOLDS,
        epochs=3, key=key, execution=Execution(strategy, chunk=2 if strategy == "chunked" else None),
    )  # fmt: skip
    close(study.scores["nll"][..., 0], scores_by_hand(), rtol=1e-4)


# The modules of flax's examples, small; what they are called with; and how they are told.


class CNN(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(2, (3, 3), use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.avg_pool(x, (2, 2), strides=(2, 2)).reshape(len(x), -1)
        return nn.Dense(K)(nn.Dropout(self.rate, deterministic=not train)(x))


class LSTM(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x, train):
        states = nn.RNN(nn.LSTMCell(3))(x.values, seq_lengths=x.lengths)
        last = states[jnp.arange(len(states)), x.lengths - 1]
        return nn.Dense(K)(nn.Dropout(self.rate, deterministic=not train)(last))


class Block(nn.Module):
    """A pre-LN transformer block over tokens, masked where they end."""

    rate: float

    @nn.compact
    def __call__(self, x, train):
        h = nn.Embed(5, 4)(x.values)
        seen = nn.make_attention_mask(jnp.ones_like(x.mask), x.mask)
        a = nn.MultiHeadDotProductAttention(2)(nn.LayerNorm()(h), mask=seen)
        h = h + nn.Dropout(self.rate, deterministic=not train)(a)
        h = h + nn.Dense(4)(nn.gelu(nn.Dense(6)(nn.LayerNorm()(h))))
        return nn.Dense(K)(jnp.where(x.mask[..., None], h, 0).sum(1) / x.lengths[:, None])


class NnxBlock(nnx.Module):
    def __init__(self, rate, rngs):
        self.norm = nnx.LayerNorm(D, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, D, dropout_rate=0.0, decode=False, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.last = nnx.Linear(D, K, rngs=rngs)

    def __call__(self, x):
        h = x.values + self.dropout(self.attention(self.norm(x.values)))
        return self.last(h.mean(1))


class NnxLSTM(nnx.Module):
    def __init__(self, rate, rngs):
        self.rnn = nnx.RNN(nnx.LSTMCell(D, 3, rngs=rngs), rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.last = nnx.Linear(3, K, rngs=rngs)

    def __call__(self, x):
        states = self.rnn(x.values, seq_lengths=x.lengths)
        return self.last(self.dropout(states[jnp.arange(len(states)), x.lengths - 1]))


LENGTHS = RNG.integers(1, 4, N).astype(np.int32)
IMAGES = RNG.normal(size=(N, 4, 4, 1)).astype(np.float32)
SIGNALS = Sequences(RNG.normal(size=(N, 3, D)).astype(np.float32), LENGTHS)
TOKENS = Sequences(RNG.integers(0, 5, (N, 3)), LENGTHS)
EXAMPLES = {
    "mlp": (lambda r, x: from_linen(Net(r), x, call=told), X),
    "cnn": (lambda r, x: from_linen(CNN(r), x, call=told), IMAGES),
    "lstm": (lambda r, x: from_linen(LSTM(r), x, call=told), SIGNALS),
    "block": (lambda r, x: from_linen(Block(r), x, call=told), TOKENS),
    "nnx_mlp": (lambda r, x: from_nnx(lambda rngs: Nnx(r, rngs), x), X),
    "nnx_lstm": (lambda r, x: from_nnx(lambda rngs: NnxLSTM(r, rngs), x), SIGNALS),
    "nnx_block": (lambda r, x: from_nnx(lambda rngs: NnxBlock(r, rngs), x), SIGNALS),
}


def example_study(name, key, **how):
    make, x = EXAMPLES[name]
    example = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), x)
    study = cross_validate(
        lambda h: learner(make(h["dropout"], example), h["rate"]),
        {"rate": [0.0, 0.1], "dropout": [0.0, 0.4]}, (x, Y), folds=2, epochs=2, batch_size=4,
        key=key, **how,
    )  # fmt: skip
    return study, x


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_modules_of_flaxs_examples_train_in_studies_and_again(name, key, allow_key_reuse):
    """With dropout rates that share a program; members alone are as they are together."""
    study, x = example_study(name, key, execution=Execution("vmap"))
    assert study.num_programs == 1 and not study.diverged.any()
    scores = study.scores["nll"].reshape(2, 2, 2)  # rate, dropout, fold
    close(scores[0, 0], scores[0, 1], rtol=1e-4)  # without learning dropout changes nothing ...
    assert (abs(scores[1, 0] - scores[1, 1]) > 1e-5).all()  # ... with it, it does
    alone, _ = example_study(name, key, execution=Execution("chunked", chunk=3))
    close(alone.scores["nll"], study.scores["nll"], rtol=1e-3)
    fitted = refit(study, (x, Y), index=3)
    assert fitted.predict(x).shape == (N, K)


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS)
def test_fits_and_streams_are_the_loop(name, key, allow_key_reuse):
    one, expected = learner(STARTS[name]()), by_hand(0.1, np.arange(N), 2)
    for state in (
        training.fit(one, (X, Y), key=key, epochs=2).state,
        training.fit_stream(one, iter([(X, Y)] * 2), key=key, steps=2).state,
    ):
        params, stats = state.params, state.state
        if name == "linen":
            close({"params": params, **stats}, expected)
        else:
            close(params["norm"], expected["params"]["BatchNorm_0"])
            close(params["last"], expected["params"]["Dense_1"])
            close(stats["norm"], expected["batch_stats"]["BatchNorm_0"])


class Quiet(nn.Module):
    """One that a caller may forget to tell that it trains."""

    @nn.compact
    def __call__(self, x, train=True):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(2)(x))
        return nn.Dropout(0.1, deterministic=True)(x)


class Grows(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        seen = self.variable("count", "seen", lambda: jnp.zeros(1))
        if train:
            seen.value = jnp.concatenate([seen.value, seen.value])
        return nn.Dense(1)(x) + seen.value[0]


class Rows(nn.Module):
    """Rows meet here by more than batch normalisation."""

    @nn.compact
    def __call__(self, x, mask):
        weight = jnp.ones(len(x)) if mask is None else mask
        return nn.Dense(1)(x - weight @ x / weight.sum())


@pytest.mark.smoke
def test_what_would_go_unseen_is_refused(key, allow_key_reuse):
    with pytest.raises(ValueError, match="with BatchNorm and Dropout is told when it trains"):
        from_linen(Quiet(), X[:1])
    model = from_linen(Quiet(), X[:1], call=lambda module, x, train: module(x))
    params, state = model.init(key)
    with pytest.raises(ValueError, match="changes its state though it does not train"):
        model.apply(params, state, X)
    for make in MAKERS.values():
        model = make(0.5)
        params, state = model.init(key)
        with pytest.raises(ValueError, match="needs a key"):
            model.apply(params, state, X, train=True)
        model.apply(params, state, X)
    model = from_linen(Grows(), X[:1], call=told)
    params, state = model.init(key)
    with pytest.raises(ValueError, match="keeps its arrays while training"):
        model.apply(params, state, X, train=True)
    model = of_nnx()
    params, state = model.init(key)
    with pytest.raises(ValueError, match="params and state of this module are"):
        model.apply({**params, "more": params["dense"]}, state, X)


def test_masks_reach_a_call_that_asks_for_them(key):
    call = lambda module, x, train, mask: module(x, mask)
    model = from_linen(Rows(), X[:1], call=call, sees_mask=True)
    params, state = model.init(key)
    assert model.sees_mask and not from_linen(nn.Dense(2), X[:1]).sees_mask
    eta, _ = model.apply(params, state, X, mask=jnp.asarray(MASK))
    close(eta[MASK], model.apply(params, state, X[MASK])[0])


class Flat(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.BatchNorm(use_running_average=not train)(x.reshape(-1, 2)).reshape(x.shape)


def test_batch_normalisation_of_other_rows_is_refused(key):
    """Places of a row that became rows: which of them count is not the mask's to say."""
    model = from_linen(Flat(), X[:1], call=told)
    params, state = model.init(key)
    with pytest.raises(ValueError, match=r"11 rows may count or not, but an array \[22, 2\]"):
        model.apply(params, state, X, train=True, mask=jnp.asarray(MASK))
