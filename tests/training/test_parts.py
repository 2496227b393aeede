"""Batches of other parts than arrays: Sequences, dicts, and one part alone, from end to end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import families, features
from jaxdl.arrays import masked_mean
from jaxdl.base import Model, Objective, Sequences, stateless
from jaxdl.model_selection import cross_validate, refit
from jaxdl.model_selection.population.keys import member_key
from jaxdl.model_selection.saved import load, save
from jaxdl.training import (
    fit,
    fit_stream,
    gradient_learner,
    negative_log_likelihood,
    sequence_nll,
)

N, T, D, VOCABULARY = 12, 4, 2, 3
RNG = np.random.default_rng(0)
LENGTHS = np.array([4, 1, 3, 2, 4, 0, 2, 3, 1, 4, 2, 3], np.int32)
TOKENS = RNG.integers(0, VOCABULARY, (N, T)).astype(np.int32)
REAL = RNG.normal(5.0, 2.0, (N, T, D)).astype(np.float32)
LABELS = np.tile([0, 1], N // 2).astype(np.int32)
AHEAD = np.arange(T) < LENGTHS[:, None]


def behind(values, filler):
    """Sequences whose padding holds the filler."""
    mask = AHEAD.reshape(N, T, *(1,) * (values.ndim - 2))
    return Sequences(np.where(mask, values, np.asarray(filler, values.dtype)), LENGTHS)


def position_mean(x, values):
    """The mean [N, H] of values [N, T, H] before each sequence's end, zeros for an empty one."""
    total = jnp.sum(jnp.where(x.mask[..., None], values, 0), axis=1)
    return total / jnp.maximum(x.lengths, 1)[:, None]


def bag_of_tokens():
    """Logits of two classes: the mean of a row for each token."""
    return stateless(
        lambda key: 0.1 * jax.random.normal(key, (VOCABULARY, 2)),
        lambda w, x, *, key, train: position_mean(x, w[x.filled()]),
    )


def mean_of_steps():
    return stateless(
        lambda key: 0.1 * jax.random.normal(key, (D, 2)),
        lambda w, x, *, key, train: position_mean(x, x.filled() @ w),
    )


def tagger():
    """Logits of two tags at each position, by its token alone."""
    return stateless(
        lambda key: 0.1 * jax.random.normal(key, (VOCABULARY, 2)),
        lambda w, x, *, key, train: w[x.filled()],
    )


def two_inputs():
    return stateless(
        lambda key: {"wide": jnp.zeros((D, 2)), "narrow": jnp.zeros(2)},
        lambda w, x, *, key, train: x["wide"] @ w["wide"] + x["narrow"][:, None] * w["narrow"],
    )


def unigram() -> tuple[Model, Objective]:
    """p(token) = softmax(w), of sequences alone: the part is the whole batch."""
    model = stateless(lambda key: jnp.zeros(VOCABULARY), lambda w, x, *, key, train: x)

    def nll(w, x):
        log_p = jax.nn.log_softmax(w)[x.filled()]
        return -jnp.sum(jnp.where(x.mask, log_p, 0), axis=1)

    def loss(w, state, x, *, key=None, train=False, mask=None):
        return masked_mean(nll(w, x), mask), (state, {})

    return model, Objective(
        loss,
        lambda w, state, x: -nll(w, x),
        lambda w, state, x, *, key=None: {"nll": nll(w, x)},
    )


def averages() -> tuple[Model, Objective]:
    """The mean of each array of a dict, by least squares; the dict is the whole batch."""
    model = stateless(lambda key: {"a": jnp.zeros(()), "b": jnp.zeros(D)}, lambda *a, **k: None)

    def squares(w, x):
        return jnp.square(x["a"] - w["a"]) + jnp.sum(jnp.square(x["b"] - w["b"]), axis=1)

    def loss(w, state, x, *, key=None, train=False, mask=None):
        return masked_mean(squares(w, x), mask), (state, {})

    return model, Objective(
        loss,
        lambda w, state, x: -squares(w, x),
        lambda w, state, x, *, key=None: {"squared_error": squares(w, x)},
    )


class Kind(NamedTuple):
    data: Callable  # (filler) -> the data, with that behind the ends
    build: Callable  # () -> (model, objective)
    metric: str
    poison: float = 99  # what must not be seen


def supervised(model, objective=negative_log_likelihood):
    return lambda: (model(), objective(model(), families.categorical(2)))


KINDS = {
    "sequences and labels": Kind(
        lambda filler: (behind(TOKENS, int(filler)), LABELS), supervised(bag_of_tokens), "nll"
    ),
    "real sequences and labels": Kind(
        lambda filler: (behind(REAL, filler), LABELS), supervised(mean_of_steps), "nll", np.nan
    ),
    "sequences and sequences": Kind(
        lambda filler: (behind(TOKENS, int(filler)), behind(TOKENS % 2, int(filler))),
        supervised(tagger, sequence_nll),
        "nll",
    ),
    "dict and labels": Kind(
        lambda filler: ({"wide": REAL[:, 0], "narrow": REAL[:, 1, 0]}, LABELS),
        supervised(two_inputs),
        "nll",
    ),
    "sequences alone": Kind(lambda filler: behind(TOKENS, int(filler)), unigram, "nll"),
    "dict alone": Kind(
        lambda filler: {"a": REAL[:, 0, 0], "b": REAL[:, 1]}, averages, "squared_error"
    ),
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def learner(kind, rate=0.1):
    return gradient_learner(*kind.build(), optax.sgd(rate))


def assert_same(a, b, **tolerance):
    plain = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    jax.tree.map(lambda a, b: np.testing.assert_allclose(plain(a), plain(b), **tolerance), a, b)


def train(kind, filler):
    data = kind.data(filler)
    return fit(learner(kind), data, key=jax.random.key(1), epochs=3, batch_size=5,
               validation=data)  # fmt: skip


@kinds
def test_what_lies_behind_an_end_changes_nothing(kind):
    """Not a bit of the losses, the scores or the trained parameters: their gradients neither."""
    clean, poisoned = train(kind, 0), train(kind, kind.poison)
    assert np.isfinite(clean.history.loss).all()
    assert_same(clean.state, poisoned.state, rtol=0)
    assert_same(clean.history.loss, poisoned.history.loss, rtol=0)
    assert_same(clean.history.validation, poisoned.history.validation, rtol=0)


@kinds
def test_a_study_of_it_is_refitted_and_predicts_out_of_fold(kind):
    data = kind.data(7)
    make = lambda h: learner(kind, h["rate"])
    study = cross_validate(make, {"rate": [0.05, 0.1]}, data, key=jax.random.key(2), folds=3,
                           epochs=2, batch_size=3, keep=("predictions", "states"),
                           metric=kind.metric)  # fmt: skip
    x = data[0] if type(data) is tuple else data
    assert study.scores[kind.metric].shape == (2, 3, 1)
    assert np.isfinite(study.predictions).all() and study.predictions.shape[2] == N

    fold = study.folds[1]
    rows = lambda index: jax.tree.map(lambda leaf: leaf[index], data)
    alone = fit(make({"rate": 0.1}), rows(fold.train), epochs=2, batch_size=3,
                key=member_key(jax.random.key(2), 0, 1), validation=rows(fold.valid))  # fmt: skip
    member = jax.tree.map(lambda leaf: leaf[1, 1, 0], study.states[0])
    assert_same(member.params, alone.state.params, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        study.scores[kind.metric][1, 1, 0], alone.history.validation[kind.metric][-1], rtol=1e-5
    )
    held = jax.tree.map(lambda leaf: leaf[fold.valid], x)
    np.testing.assert_allclose(
        study.predictions[1, 0, fold.valid],
        make({"rate": 0.1}).predict(alone.state, held),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip

    model = refit(study, data, index=1)
    assert np.isfinite(model.predict(x)).all() and len(model.predict(x)) == N


@kinds
def test_a_stream_of_it_trains_as_steps_by_hand(kind):
    data = kind.data(7)
    batches = [jax.tree.map(lambda leaf, i=i: leaf[i : i + 4], data) for i in (0, 4, 8)]
    result = fit_stream(learner(kind), iter(batches), key=jax.random.key(1), steps=3,
                        validation=data, evaluate_every=1)  # fmt: skip
    by_hand = learner(kind).init(jax.random.key(1))
    for batch in batches:
        by_hand, _ = learner(kind).step(by_hand, batch)
    assert_same(result.state.params, by_hand.params, rtol=1e-5, atol=1e-6)
    assert kind.metric in result.history.validation


def test_a_unigram_model_finds_the_frequencies_of_what_counts():
    """The closed form: each token's share of the positions before an end."""
    kind = KINDS["sequences alone"]
    result = fit(learner(kind, 0.5), kind.data(1), key=jax.random.key(0), epochs=400)
    counts = np.bincount(TOKENS[AHEAD], minlength=VOCABULARY)
    np.testing.assert_allclose(
        jax.nn.softmax(result.state.params), counts / counts.sum(), atol=1e-4
    )
    padded = np.bincount(behind(TOKENS, 1).values.ravel(), minlength=VOCABULARY)
    assert np.abs(padded / padded.sum() - counts / counts.sum()).max() > 0.1  # padding is not seen


@pytest.mark.equation(32)
def test_sequence_nll_by_hand():
    """Two sequences of 3 and 1 positions, one empty; the last row does not count."""
    logits = np.log([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    x = Sequences(jnp.array([[0, 1, 2], [1, 2, 0], [2, 2, 2], [0, 0, 0]]), jnp.array([3, 1, 0, 2]))
    y = Sequences(jnp.array([[1, 0, 1], [0, -5, 9], [9, 9, 9], [0, 0, 0]]), x.lengths)
    nll = [-np.log(0.5 * 0.9 * 0.8), -np.log(0.9), 0.0, -np.log(0.25)]
    model, counted = tagger(), jnp.array([True, True, True, False])
    params = jnp.asarray(logits)
    for reduction, per_sequence in (
        ("sum", nll), ("mean", [nll[0] / 3, nll[1], 0.0, nll[3] / 2])
    ):  # fmt: skip
        objective = sequence_nll(model, families.categorical(2), reduction=reduction)
        loss, _ = objective.loss(params, {}, (x, y), mask=counted)
        np.testing.assert_allclose(loss, np.mean(per_sequence[:3]), rtol=1e-6)
        values = objective.evaluate(params, {}, (x, y))
        np.testing.assert_allclose(values["nll"], nll, rtol=1e-6)
        np.testing.assert_allclose(
            values["nll_per_step"], [nll[0] / 3, nll[1], 0, nll[3] / 2], rtol=1e-6
        )
        # the first sequence's ties at 1/2 go to class 0, which is wrong; its others are right
        np.testing.assert_allclose(values["accuracy"], [2 / 3, 1, 0, 1], rtol=1e-6)
    assert objective.predict(params, {}, x).shape == (4, 3, 2)
    with pytest.raises(ValueError, match="responses y as Sequences"):
        objective.loss(params, {}, (x, y.values))
    with pytest.raises(ValueError, match="reduction is one of sum, mean"):
        sequence_nll(model, families.categorical(2), reduction="median")


def test_every_sequence_weighs_alike_whatever_its_padding():
    """A uniform prediction over 26 classes costs ln 26 a step at any length and padding."""
    lengths = jnp.array([1, 10, 100])
    x = Sequences(jnp.zeros((3, 100), jnp.int32), lengths)
    model = stateless(lambda key: {}, lambda p, x, *, key, train: jnp.zeros((3, 100, 26)))
    objective = sequence_nll(model, families.categorical(26), reduction="mean")
    values = objective.evaluate({}, {}, (x, x))
    np.testing.assert_allclose(values["nll_per_step"], np.log(26), rtol=1e-6)
    np.testing.assert_allclose(values["nll"], np.log(26) * lengths, rtol=1e-6)


def test_one_output_a_position_meets_a_response_a_position():
    """[B, T, 1] against [B, T] must not become [B, T, T]."""
    model = stateless(
        lambda key: jnp.ones(D), lambda w, x, *, key, train: (x.filled() @ w)[..., None]
    )
    x, y = behind(REAL, np.nan), behind(REAL[..., 0], np.nan)
    objective = sequence_nll(model, families.normal())
    expected = np.where(AHEAD, 0.5 * REAL[..., 1] ** 2 + 0.5 * np.log(2 * np.pi), 0).sum(1)
    np.testing.assert_allclose(
        objective.evaluate(jnp.ones(D), {}, (x, y))["nll"], expected, rtol=1e-5
    )
    assert objective.predict(jnp.ones(D), {}, x).shape == (N, T)
    gradient = jax.grad(lambda w: objective.loss(w, {}, (x, y))[0])(jnp.ones(D))
    assert np.isfinite(gradient).all()


def test_sequences_are_standardised_over_the_positions_that_count():
    scaler = features.standardize()
    rows = np.arange(N) % 3 != 0
    fitted = scaler.fit(behind(REAL, np.nan), jnp.asarray(rows))
    known = REAL[AHEAD & rows[:, None]]
    np.testing.assert_allclose(fitted["mean"], known.mean(0), rtol=1e-5)
    np.testing.assert_allclose(fitted["scale"], known.std(0), rtol=1e-5)
    after = scaler.apply(fitted, behind(REAL, np.nan))
    assert isinstance(after, Sequences)
    np.testing.assert_allclose(
        np.asarray(after.values)[AHEAD],
        (REAL[AHEAD] - known.mean(0)) / known.std(0),
        rtol=1e-4,
        atol=1e-5,
    )
    holes = behind(REAL, 0.0)
    holes.values[0, 0, 1] = np.nan  # before the end: missing
    filled = features.impute_mean()
    fitted = filled.fit(holes)
    others = np.delete(REAL[AHEAD][:, 1], 0)
    np.testing.assert_allclose(
        filled.apply(fitted, holes).values[0, 0, 1], others.mean(), rtol=1e-5
    )
    with pytest.raises(ValueError, match="token ids, which have no mean"):
        scaler.fit(behind(TOKENS, 0))


def test_each_array_of_a_dict_is_standardised_by_itself():
    scaler = features.standardize()
    x = {"wide": REAL[:, 0], "narrow": 100 * REAL[:, 1, 0]}
    after = scaler.apply(scaler.fit(x), x)
    for name, value in after.items():
        np.testing.assert_allclose(np.mean(value, axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(np.std(value, axis=0), 1, rtol=1e-5, err_msg=name)


def test_a_transform_is_fitted_inside_each_fold(x64):
    """A study on raw sequences equals one on sequences that were standardised by hand."""
    kind = KINDS["real sequences and labels"]
    values = REAL.astype(np.float64)
    folds = [(np.arange(6), np.arange(6, 12))]
    known = values[:6][AHEAD[:6]]
    by_hand = behind((values - known.mean(0)) / known.std(0), 0.0)
    how = dict(key=jax.random.key(0), folds=folds, epochs=3, batch_size=2)
    study = lambda x, **more: cross_validate(
        lambda h: learner(kind, h["rate"]), {"rate": [0.3]}, (x, LABELS), **how, **more
    )
    inside = study(behind(values, np.nan), transform=features.standardize())
    np.testing.assert_allclose(inside.scores["nll"], study(by_hand).scores["nll"], rtol=1e-9)


def test_validation_sequences_may_be_padded_to_another_length():
    """More padding, or less, changes nothing."""
    kind = KINDS["sequences and labels"]
    x, y = kind.data(3)
    held = Sequences(x.values[:, :2], np.minimum(x.lengths, 2))
    wider = Sequences(np.pad(held.values, [(0, 0), (0, 5)], constant_values=7), held.lengths)
    scores = [
        fit(learner(kind), (x, y), key=jax.random.key(0), epochs=2, validation=(v, y))
        .history.validation["nll"] for v in (held, wider)
    ]  # fmt: skip
    np.testing.assert_array_equal(*scores)
    with pytest.raises(ValueError, match=r"validation data .* are not of the kind of the data"):
        fit(learner(kind), (x, y), key=jax.random.key(0), epochs=1, validation=(x.values, y))


BAD = {
    "lengths beyond the end": (Sequences(TOKENS, LENGTHS + 3), r"lengths lie in 0\.\.4, not 3 to 7"),
    "negative lengths": (Sequences(TOKENS, LENGTHS - 1), r"lengths lie in 0\.\.4, not -1 to 3"),
    "real lengths": (Sequences(TOKENS, LENGTHS.astype(float)), "whole lengths"),
    "no positions": (Sequences(LENGTHS, LENGTHS), "values .N, T"),
    "a NaN that counts": (
        Sequences(np.where(np.arange(T) == 0, np.nan, REAL[..., 0]), LENGTHS),
        "part 0 of the data has 11 values that are NaN",
    ),
    "another number of rows": (Sequences(TOKENS, LENGTHS[:5]), "differ in length"),
}  # fmt: skip


@pytest.mark.parametrize(("x", "message"), BAD.values(), ids=BAD)
def test_sequences_that_make_no_sense_are_refused(x, message):
    kind = KINDS["sequences and labels"]
    with pytest.raises(ValueError, match=message):
        fit(learner(kind), (x, LABELS), key=jax.random.key(0), epochs=1)
    with pytest.raises(ValueError, match=message):
        cross_validate(lambda h: learner(kind), {"rate": [0.1]}, (x, LABELS),
                       key=jax.random.key(0), folds=2, epochs=1)  # fmt: skip


def test_a_name_says_which_array_of_a_dict_is_wrong():
    with pytest.raises(ValueError, match=r"part 0\['a'\] of the data has 12 values"):
        fit(learner(KINDS["dict alone"]), {"a": np.full(N, np.inf), "b": REAL[:, 1]},
            key=jax.random.key(0), epochs=1)  # fmt: skip


def test_an_objective_of_pairs_takes_nothing_else_for_one():
    """Sequences are two arrays, and a dict may have two keys: neither is (x, y)."""
    make = learner(KINDS["sequences and labels"])
    for part, name in ((behind(TOKENS, 0), "Sequences"), ({"x": TOKENS, "y": LABELS}, "dict")):
        with pytest.raises(ValueError, match=rf"is \(x, y\), not {name}"):
            fit(make, part, key=jax.random.key(0), epochs=1)
    with pytest.raises(ValueError, match="not 4 parts"):
        fit(make, (behind(TOKENS, 0), LABELS, LABELS, LABELS), key=jax.random.key(0), epochs=1)


def test_a_model_finds_zeros_behind_the_ends():
    """It need not fill its input itself, and its gradients are finite."""
    model = stateless(lambda key: jnp.ones(D), lambda w, x, *, key, train: x.values @ w)
    objective = sequence_nll(model, families.normal())
    batch = behind(REAL, np.nan), behind(REAL[..., 0], np.nan)
    gradient = jax.grad(lambda w: objective.loss(w, {}, batch)[0])(jnp.ones(D))
    residual = np.where(AHEAD, REAL[..., 1], 0)  # x1 + x2 - x1
    np.testing.assert_allclose(gradient, np.einsum("nt,ntd->d", residual, REAL) / N, rtol=1e-5)
    assert np.isfinite(objective.predict(jnp.ones(D), {}, batch[0])).all()


def test_scores_of_bools_and_whole_numbers_are_averaged_as_floats():
    """Three of the first four rows are right."""
    right = np.array([True, True, False, True])
    for dtype in (bool, np.int32):
        score = lambda w, s, x, *, key=None, dtype=dtype: {
            "exact_match": x > 0 if dtype is bool else x
        }
        model = stateless(lambda key: jnp.zeros(()), lambda *a, **k: None)
        loss = lambda w, s, x, *, key=None, train=False, mask=None: (w**2, (s, {}))
        make = gradient_learner(model, Objective(loss, lambda w, s, x: x, score), optax.sgd(0.1))
        rows = right.astype(np.int32)
        result = fit(make, rows, key=jax.random.key(0), epochs=1, validation=rows)
        assert float(result.history.validation["exact_match"][0]) == 0.75
        study = cross_validate(lambda h, make=make: make, [{}], np.tile(rows, 3), folds=3, epochs=1,
                               key=jax.random.key(0))  # fmt: skip
        np.testing.assert_allclose(study.scores["exact_match"], 0.75)
        assert study.maximize


def test_scores_that_are_not_one_a_row_are_refused():
    """[B, T] would be summed over T."""
    kind = KINDS["sequences alone"]
    model, objective = kind.build()
    by_position = lambda w, s, x, *, key=None: {"nll": jnp.ones(x.values.shape)}
    make = gradient_learner(model, objective._replace(evaluate=by_position), optax.sgd(0.1))
    with pytest.raises(
        ValueError, match=r"one value of 'nll' per example, \[B\], but gives \[2, 4\]"
    ):
        fit(make, kind.data(0), key=jax.random.key(0), epochs=1, validation=kind.data(0))


def test_predictions_that_are_no_array_are_refused():
    """Out-of-fold predictions would be dropped, and members could not be stacked."""
    kind = KINDS["sequences alone"]
    model, objective = kind.build()
    itself = objective._replace(predict=lambda w, s, x: x)
    make = lambda h: gradient_learner(model, itself, optax.sgd(0.1))
    how = {"key": jax.random.key(0), "folds": 2, "epochs": 1}
    with pytest.raises(ValueError, match="predict must give one array, not Sequences"):
        cross_validate(make, [{}], kind.data(0), keep="predictions", **how)
    fitted = refit(cross_validate(make, [{}], kind.data(0), **how), kind.data(0))
    with pytest.raises(ValueError, match="predict must give one array, not Sequences"):
        fitted.predict(kind.data(0))


@pytest.mark.parametrize("name", ["dict and labels", "sequences and labels", "sequences alone"])
def test_a_model_of_other_parts_is_saved_and_read_again(name, tmp_path):
    kind = KINDS[name]
    data = kind.data(5)
    x = data[0] if type(data) is tuple else data
    study = cross_validate(lambda h: learner(kind, h["rate"]), {"rate": [0.1]}, data,
                           key=jax.random.key(0), folds=2, epochs=1)  # fmt: skip
    fitted = refit(study, data)
    save(tmp_path / "model.npz", fitted)
    again = load(tmp_path / "model.npz", fitted.recipe, fitted.hparams, data)
    np.testing.assert_array_equal(again.predict(x), fitted.predict(x))


class Pair(NamedTuple):
    """A batch of one part, for all that it has two fields."""

    x: Any
    y: Any


def test_a_named_tuple_is_one_part():
    def loss(w, state, batch, *, key=None, train=False, mask=None):
        assert isinstance(batch, Pair)
        return masked_mean(jnp.square(batch.y - w * batch.x), mask), (state, {})

    def predict(w, state, pair):
        assert isinstance(pair, Pair)
        return w * pair.x

    score = lambda w, s, b, *, key=None: {"squared_error": jnp.square(b.y - w * b.x)}
    model = stateless(lambda key: jnp.zeros(()), lambda *a, **k: None)
    pair = Pair(REAL[:, 0, 0], 3 * REAL[:, 0, 0])
    make = lambda h: gradient_learner(model, Objective(loss, predict, score), optax.sgd(0.01))
    result = fit(make({}), pair, key=jax.random.key(0), epochs=60, validation=pair)
    np.testing.assert_allclose(result.state.params, 3, rtol=1e-3)
    study = cross_validate(make, [{}], pair, key=jax.random.key(0), folds=2, epochs=2,
                           keep="predictions")  # fmt: skip
    assert study.predictions.shape == (1, 1, N)
    assert refit(study, pair).predict(pair).shape == (N,)
