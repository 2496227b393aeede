"""The study as one program: the same numbers however it is run, and nothing leaks."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import classifier, network, three_classes
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from tiny_study import with_execution

from jaxdl import base, data, families, features, training
from jaxdl.model_selection import (
    Folds,
    cross_validate,
    k_fold,
    learning_curve,
    leave_one_out,
    member_key,
    nested_cross_validate,
)
from jaxdl.model_selection.folds import make_folds
from jaxdl.model_selection.population.keys import folds_key
from jaxdl.model_selection.population.settings import Setting
from jaxdl.training import fit, loop

GRID = {"rate": [0.003, 0.03], "l2": [0.0, 0.01], "dropout": [0.1]}
RUN = {"folds": 3, "seeds": 2, "epochs": 4, "batch_size": 8}
WAYS = {
    "map": {"strategy": "map"},
    "chunks of one": {"strategy": "chunked", "chunk": 1},
    "chunks of three": {"strategy": "chunked", "chunk": 3},
    "auto": {},
    "sequential": {"strategy": "sequential"},
    "one device": {"strategy": "vmap", "devices": 1},
    "with a bar": {"progress": True},
}


def study(grid=GRID, data=None, make=classifier, key=0, **how):
    data = three_classes() if data is None else data
    how = with_execution({**RUN, **how})
    return cross_validate(make, grid, data, key=jax.random.key(key), **how)


@pytest.fixture(scope="module")
def reference():
    from conftest import enable_x64

    with enable_x64(True):
        return study(data=three_classes(dtype=np.float64), strategy="vmap", keep="predictions")


@pytest.mark.parametrize("way", WAYS)
def test_strategies_agree_in_float64(reference, way, x64):
    other = study(data=three_classes(dtype=np.float64), **WAYS[way])
    assert other.train_loss.dtype == np.float64
    for metric in ("nll", "accuracy"):
        np.testing.assert_allclose(
            other.curves[metric], reference.curves[metric], rtol=1e-9, atol=1e-9
        )
    np.testing.assert_allclose(other.train_loss, reference.train_loss, rtol=1e-9)


def test_strategies_agree_in_float32():
    one, other = study(strategy="vmap"), study(strategy="map")
    assert one.scores["nll"].dtype == np.float32
    np.testing.assert_allclose(one.scores["nll"], other.scores["nll"], rtol=1e-5)


@pytest.mark.parametrize(("setting", "fold", "seed"), [(0, 0, 0), (3, 2, 1)])
def test_member_equals_the_same_member_trained_alone(reference, setting, fold, seed, x64):
    x, y = three_classes(dtype=np.float64)
    part = reference.folds[fold]
    alone = fit(
        classifier(reference.hparams[setting]),
        (x[part.train], y[part.train]),
        key=member_key(jax.random.key(0), seed, fold),
        epochs=RUN["epochs"],
        batch_size=RUN["batch_size"],
        validation=(x[part.valid], y[part.valid]),
    )
    np.testing.assert_allclose(
        alone.history.loss, reference.train_loss[setting, fold, seed], rtol=1e-9
    )
    np.testing.assert_allclose(
        alone.history.validation["nll"], reference.curves["nll"][setting, fold, seed], rtol=1e-9
    )


def test_member_equals_a_loop_written_by_hand(x64):
    """One member again in plain Python: no scan, no padding, no masks, no engine."""
    x, y = three_classes(dtype=np.float64)
    h = {"rate": 0.03, "l2": 0.01, "dropout": 0.2}
    whole = study([h], data=(x, y), folds=k_fold(len(y), 3), seeds=1)
    rows = whole.folds[1].train
    learner = classifier(h)
    init_key, shuffle_key = jax.random.split(member_key(jax.random.key(0), 0, 1))
    state = learner.init(init_key)
    losses = []
    for epoch in range(RUN["epochs"]):
        draw = jax.random.bits(jax.random.fold_in(shuffle_key, epoch), (len(rows),), jnp.uint32)
        order = rows[np.argsort(np.asarray(draw) >> 1, kind="stable")]
        total = 0.0
        for start in range(0, len(order), RUN["batch_size"]):
            batch = order[start : start + RUN["batch_size"]]
            state, info = learner.step(state, (jnp.asarray(x[batch]), jnp.asarray(y[batch])))
            total += len(batch) * float(info["loss"])
        losses.append(total / len(order))
    np.testing.assert_allclose(whole.train_loss[0, 1, 0], losses, rtol=1e-9)
    held = whole.folds[1].valid
    nll = learner.evaluate(state, (jnp.asarray(x[held]), jnp.asarray(y[held])))["nll"]
    np.testing.assert_allclose(whole.scores["nll"][0, 1, 0], np.mean(nll), rtol=1e-9)


def test_one_program_whatever_the_settings_folds_and_seeds():
    traced = []

    def make(h):
        traced.append(h)
        return classifier(h)

    few = study({"rate": [0.01]}, make=make, folds=2, seeds=1)
    count = len(traced)
    traced.clear()
    many = study({"rate": np.geomspace(1e-3, 1e-1, 7).tolist(), "l2": [0.0, 1e-3]}, make=make,
                 folds=5, seeds=3)  # fmt: skip
    assert few.num_programs == many.num_programs == 1
    assert few.num_traces == many.num_traces == 1
    assert len(traced) <= count + 1  # 210 members cost no more traces than 2
    assert many.scores["nll"].shape == (14, 5, 3)


def test_the_training_loop_is_traced_once_for_each_static_signature(monkeypatch):
    def run(most, widths):
        chex.clear_trace_counter()
        with monkeypatch.context() as patch:
            patch.setattr(loop, "run_stretch", chex.assert_max_traces(loop.run_stretch, n=most))
            study({"rate": [0.01, 0.02, 0.03], "l2": [0.0, 0.1], "width": widths}, epochs=2)

    run(1, [4])
    run(2, [4, 5])
    with pytest.raises(AssertionError, match="traced"):
        run(1, [4, 5])


def test_one_program_for_each_static_signature():
    result = study({"width": [3, 4], "rate": [0.01, 0.02, 0.03]}, folds=2, seeds=1, epochs=1)
    assert result.num_programs == 2
    assert result.num_params.tolist() == [27] * 3 + [35] * 3
    assert [h["width"] for h in result.hparams] == [3, 3, 3, 4, 4, 4]
    alone = study([{"width": 4, "rate": 0.02}], folds=2, seeds=1, epochs=1)
    np.testing.assert_allclose(result.scores["nll"][4], alone.scores["nll"][0], rtol=1e-5)


def test_compilations_are_counted_by_jax_itself(caplog):
    study({"rate": [0.01]}, folds=2, seeds=1, epochs=1)  # whatever else compiles, compiles here
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        study({"rate": [0.01, 0.1, 1.0]}, folds=4, seeds=2, epochs=1, strategy="vmap")
    programs = [r for r in caplog.records if "Finished XLA compilation of jit(" in r.getMessage()
                and "over_devices" in r.getMessage()]  # fmt: skip
    assert len(programs) == 1


def test_a_diverging_member_touches_no_other():
    calm = study({"rate": [0.01, 0.02], "l2": [1e-3]})
    wild = study({"rate": [0.01, 1e30], "l2": [1e-3]})
    for name in ("nll", "accuracy"):
        np.testing.assert_array_equal(calm.curves[name][0], wild.curves[name][0])
    np.testing.assert_array_equal(calm.train_loss[0], wild.train_loss[0])
    assert wild.diverged[1].all() and not wild.diverged[0].any()
    assert np.isfinite(wild.scores["nll"]).all()  # frozen at the last finite state
    assert wild.best().index == 0
    assert "6/6" in str(wild)
    first = r"6 of \d+ members diverged, the first with rate=1e\+30, l2=0.001 on fold 0 by seed 0 "
    assert re.search(first + "in epoch [12]: the loss was (inf|nan)", wild.divergence())
    assert wild.divergence() in str(wild) and not calm.divergence()
    worst = wild.only([1, 2])
    assert "4 of 8 members" in worst.divergence() and "on fold 0" in worst.divergence()
    with pytest.raises(
        ValueError, match=r"every setting has a diverged member, .*: 6 of 6 members"
    ):
        study({"rate": [1e30], "l2": [1e-3]}).best()


def test_features_that_are_not_finite_are_named_before_the_rate():
    """A transform divides by the deviation of a column that is constant in fold 1 alone."""
    x, y = three_classes(24)
    x[:12, 0] = 1.0
    scale = base.Transform(lambda x, mask=None: jnp.std(x, 0, where=mask[:, None]),
                           lambda scale, x: x / scale)  # fmt: skip
    folds = [(np.arange(8, 24), np.arange(8)), (np.arange(12), np.arange(12, 24))]
    result = study([{"rate": 0.01}], data=(x, y), folds=folds, seeds=1, transform=scale)
    assert result.diverged[0, :, 0].tolist() == result.unfit.tolist() == [False, True]
    with pytest.raises(
        ValueError, match="on fold 1 by seed 0 in epoch 1: the transformed features"
    ):
        result.best()


def test_a_diverged_member_stays_at_its_last_finite_epoch():
    """A loss that turns NaN in the third epoch: the state is that after the second."""

    def make(h):
        def step(state, batch, *, mask=None):
            count, rate = state
            return (count + 1, rate), {"loss": jnp.where(count >= h["end"], jnp.nan, rate)}

        return base.Learner(
            init=lambda key: (jnp.zeros(()), jnp.ones(())),
            step=step,
            predict=lambda state, x: jnp.broadcast_to(state[0], x.shape[:1]),
            evaluate=lambda state, batch: {"steps": jnp.broadcast_to(state[0], batch[1].shape)},
        )

    steps = -(-32 // 8)  # an epoch over 32 of 48 rows
    result = study({"end": [2.0 * steps, 1e9]}, data=three_classes(48), make=make, seeds=1,
                   folds=Folds(3, stratify=False), maximize=True)  # fmt: skip
    assert np.all(result.scores["steps"][0] == 2 * steps)
    assert np.all(result.scores["steps"][1] == 4 * steps)
    assert np.isnan(result.train_loss[0, 0, 0]).tolist() == [False, False, True, True]


def test_settings_are_compared_on_the_same_draws():
    result = study([{"rate": 0.01}, {"rate": 0.01}, {"rate": 0.02}])
    np.testing.assert_array_equal(result.scores["nll"][0], result.scores["nll"][1])
    more = study([{"rate": 0.02}])
    np.testing.assert_allclose(result.scores["nll"][2], more.scores["nll"][0], rtol=1e-5)
    seeds = result.scores["nll"][0]
    assert not np.allclose(seeds[:, 0], seeds[:, 1])


def test_seeds_are_what_they_are_called():
    both = study({"rate": [0.01]}, seeds=[7, 3])
    one = study({"rate": [0.01]}, seeds=[3])
    assert both.seeds == [7, 3]
    np.testing.assert_allclose(both.scores["nll"][:, :, 1:], one.scores["nll"], rtol=1e-5)


def centre():
    """A transform whose fit shows what it was given: the sum of the rows that count."""
    return base.Transform(
        fit=lambda x, mask=None: jnp.sum(jnp.where(mask[:, None], x, 0), 0) / jnp.sum(mask),
        apply=lambda mean, x: x - mean,
    )


def test_the_transform_sees_the_training_part_only(x64):
    x, y = three_classes(dtype=np.float64)
    result = study([{"rate": 0.03}], data=(x, y), transform=centre())
    for f, part in enumerate(result.folds):
        shifted = x - x[part.train].mean(0)
        by_hand = study([{"rate": 0.03}], data=(shifted, y), folds=[tuple(part)] * (f + 1))
        np.testing.assert_allclose(
            result.scores["nll"][0, f], by_hand.scores["nll"][0, f], rtol=1e-9
        )


def test_held_out_rows_do_not_enter_training(x64):
    """Wild values in a fold's held-out rows change that fold's scores but not its training."""
    x, y = three_classes(dtype=np.float64)
    result = study([{"rate": 0.03}], data=(x, y), transform=centre())
    spoilt = x.copy()
    spoilt[result.folds[0].valid] *= 100
    other = study([{"rate": 0.03}], data=(spoilt, y), transform=centre())
    np.testing.assert_array_equal(result.train_loss[0, 0], other.train_loss[0, 0])
    assert not np.allclose(result.train_loss[0, 1], other.train_loss[0, 1])
    assert not np.allclose(result.scores["nll"][0, 0], other.scores["nll"][0, 0])


def test_predictions_are_out_of_fold(reference):
    _, y = three_classes()
    predicted = reference.predictions
    assert predicted.shape == (4, 2, len(y), 3)
    np.testing.assert_allclose(predicted.sum(-1), 1, rtol=1e-6)
    for f, part in enumerate(reference.folds):
        accuracy = (predicted[:, :, part.valid].argmax(-1) == y[part.valid]).mean(-1)
        np.testing.assert_allclose(accuracy, reference.scores["accuracy"][:, f], rtol=1e-9)


def test_each_fold_keeps_what_it_predicts_of_its_rows():
    """Also where another fold holds the same rows out."""
    x, y = three_classes()
    first, second = np.arange(47) % 2 == 0, np.arange(47) % 3 == 0
    parts = [(np.flatnonzero(~held), np.flatnonzero(held)) for held in (first, second)]
    result = study([{"rate": 0.03}], data=(x, y), folds=parts, keep="predictions")
    for f, (_, valid) in enumerate(parts):
        right = result.held_out[0, f, 0, : len(valid)].argmax(-1) == y[valid]
        assert right.mean() == pytest.approx(result.scores["accuracy"][0, f, 0])
    both = first & second
    np.testing.assert_array_equal(
        result.predictions[0, 0, both], result.held_out[0, 1, 0, :16][first[second]]
    )


def test_folds_are_stratified_for_classes_alone():
    x, y = three_classes(48)
    parts = study([{"rate": 0.01}], data=(x, y), folds=4, epochs=1).folds
    assert all(np.bincount(y[p.valid]).tolist() == [4, 4, 4] for p in parts)
    assert study([{"rate": 0.01}], data=(x, y), folds=4, epochs=1).folds[0].valid.tolist() == (
        parts[0].valid.tolist()
    )
    plain = study([{"rate": 0.01}], data=(x, y), folds=Folds(4, stratify=False), epochs=1).folds
    assert not all(np.bincount(y[p.valid]).tolist() == [4, 4, 4] for p in plain)
    for folds in (parts, plain):  # each row once, and not in the order in which they came
        assert sorted(n for p in folds for n in p.valid) == list(range(48))
        assert all(np.ptp(p.valid) > 24 for p in folds)
    other = study(
        [{"rate": 0.01}], data=(x, y), folds=Folds(4, stratify=False), epochs=1, key=1
    ).folds
    assert other[0].valid.tolist() != plain[0].valid.tolist()
    given = study([{"rate": 0.01}], data=(x, y), folds=k_fold(48, 4), epochs=1).folds
    assert given[0].valid.tolist() == list(range(12))  # as they are


REAL, LABELS = base.Responses("numbers"), base.Responses("labels", 0, 11)
COUNTS = base.Responses("counts", 0)
PRICES = np.arange(12) * 1000


def folds_of(y, responses, folds=3, task=None, stratify=None, groups=None):
    made = make_folds(Folds(folds, stratify, groups), (np.zeros((12, 1)), y), task, responses,
                      folds_key(jax.random.key(0)))  # fmt: skip
    return [part.valid.tolist() for part in made]


def test_whole_numbers_are_stratified_where_they_are_labels():
    """Twelve prices, all different, are no classes; four zeros among eight ones are."""
    plain = folds_of(PRICES.astype(float), REAL)
    assert folds_of(PRICES, REAL) == folds_of(PRICES, COUNTS) == plain
    assert folds_of(PRICES, None, task="regress") == folds_of(PRICES, None, task="count") == plain
    assert folds_of(PRICES, None, stratify=False) == plain
    with pytest.raises(ValueError, match=r"more than the members of any class.*stratify=False"):
        folds_of(PRICES, LABELS)
    y = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1])
    for how in ({"responses": LABELS}, {"responses": None, "task": "classify"},
                {"responses": COUNTS, "stratify": True}):  # fmt: skip
        assert [np.sum(y[v] == 0) for v in folds_of(y, folds=4, **how)] == [1] * 4
    assert folds_of(y.astype(float), LABELS) == plain


def test_rows_of_a_group_stay_together():
    groups = np.repeat(np.arange(4), 3)[::-1]
    for folds in (2, GroupKFold(2)):
        for valid in folds_of(PRICES, REAL, folds, groups=groups):
            assert not set(groups[valid]) & set(np.delete(groups, valid))


@pytest.mark.parametrize(
    "read",
    [lambda h: h["a"], lambda h: h.get("a"), lambda h: dict(**h), lambda h: {**h}, dict, list,
     lambda h: h | {}, lambda h: list(h.items()), lambda h: h.copy(), lambda h: "a" in h,
     lambda h: jax.tree.leaves(h), lambda h: h.pop("a"), lambda h: list(h.keys())],
)  # fmt: skip
def test_every_way_to_read_a_setting_is_noticed(read):
    seen = set()
    setting = Setting({"a": 1.0}, seen)
    assert not seen
    read(setting)
    assert seen == {"a"}


def test_a_setting_may_be_read_by_the_prediction_alone():
    def make(h):
        learner = only_rate(h)
        return learner._replace(predict=lambda ts, x: h["scale"] * learner.predict(ts, x))

    assert study({"rate": [0.1], "scale": [2.0]}, make=make, **GOOD).num_programs == 1


def test_leave_one_out_and_scikit_learns_splitters():
    from sklearn.model_selection import RepeatedStratifiedKFold

    x, y = three_classes(12)
    result = study([{"rate": 0.01}], data=(x, y), folds=leave_one_out(12), seeds=1, epochs=1)
    assert result.scores["nll"].shape == (1, 12, 1)
    assert [part.valid.tolist() for part in result.folds] == [[n] for n in range(12)]
    repeated = RepeatedStratifiedKFold(n_splits=2, n_repeats=3, random_state=0)
    result = study([{"rate": 0.01}], data=(x, y), folds=repeated, seeds=1, epochs=1)
    assert result.scores["nll"].shape == (1, 6, 1)
    expected = [valid.tolist() for _, valid in repeated.split(x, y)]
    assert [part.valid.tolist() for part in result.folds] == expected


def test_dropping_the_last_batch(x64):
    x, y = three_classes(48, dtype=np.float64)
    result = study([{"rate": 0.03}], data=(x, y), batch_size=20, remainder="drop", seeds=1)
    part = result.folds[0]
    alone = fit(
        classifier({"rate": 0.03}), (x[part.train], y[part.train]), epochs=4, batch_size=20,
        key=member_key(jax.random.key(0), 0, 0), remainder="drop",
    )  # fmt: skip
    assert int(alone.state.step) == 4 * (32 // 20)
    np.testing.assert_allclose(alone.history.loss, result.train_loss[0, 0, 0], rtol=1e-9)


def test_folds_of_very_different_sizes(x64):
    x, y = three_classes(48, dtype=np.float64)
    folds = [(np.arange(40), np.arange(40, 48)), (np.arange(5), np.arange(5, 48))]
    result = study([{"rate": 0.03}], data=(x, y), folds=folds, seeds=1, keep="train_scores")
    alone = fit(
        classifier({"rate": 0.03}), (x[:5], y[:5]), epochs=4, batch_size=8,
        key=member_key(jax.random.key(0), 0, 1), validation=(x[5:], y[5:]),
    )  # fmt: skip
    np.testing.assert_allclose(alone.history.loss, result.train_loss[0, 1, 0], rtol=1e-9)
    nll = alone.history.validation["nll"][-1]
    np.testing.assert_allclose(nll, result.scores["nll"][0, 1, 0], rtol=1e-9)
    trained_on = (jnp.asarray(x[:5]), jnp.asarray(y[:5]))
    nll = classifier({"rate": 0.03}).evaluate(alone.state, trained_on)["nll"].mean()
    np.testing.assert_allclose(nll, result.train_scores["nll"][0, 1, 0], rtol=1e-9)


def test_a_regression_with_one_output_meets_a_flat_response():
    x, _ = three_classes()
    y = x @ np.array([1.0, -2.0, 0.5, 0.0], np.float32)

    def make(h):
        net = network((4, 1))
        objective = training.negative_log_likelihood(net, families.normal())
        return training.gradient_learner(net, objective, optax.sgd(h["rate"]))

    result = study({"rate": [0.1]}, data=(x, y), make=make, epochs=60, batch_size=None,
                   keep="predictions")  # fmt: skip
    assert result.metric == "squared_error" and result.maximize is False
    assert result.predictions.shape == (1, 2, 47)
    assert result.summary()[0][0] < 0.05 * y.var()


def test_constrained_settings_print_their_choice_by_loss():
    result = study({"rate": [1e-4, 0.03]}, metric="nll")
    assert result.best().hparams == {"rate": 0.03}


def only_rate(h):
    return classifier({"rate": h["rate"]})


GOOD = {"folds": 2, "seeds": 1, "epochs": 1}
BAD = {
    "empty grid": ({"grid": {"rate": []}}, "grid is empty"),
    "no list": ({"grid": {"rate": 0.1}}, r"grid\['rate'\] must be a list"),
    "unhashable": ({"grid": {"width": [[1]]}}, r"width=\[1\] cannot be static"),
    "strategy": ({"strategy": "fast"}, "strategy is one of auto, vmap"),
    "execution": ({"execution": "map"}, r"an Execution, Execution\(\"map\"\) say, not 'map'"),
    "keep": ({"keep": ("states", "prediction")}, "'prediction'; did you mean 'predictions'"),
    "chunk": ({"chunk": 0}, "chunk must be a positive whole number, not 0"),
    "epochs": ({"epochs": 0}, "epochs must be a positive whole number"),
    "float epochs": ({"epochs": 1.5}, "epochs must be a positive whole number"),
    "batch": ({"batch_size": -1}, "batch_size must be a positive whole number"),
    "remainder": ({"remainder": "wrap"}, "remainder is one of keep, drop, not 'wrap'"),
    "drop all": ({"remainder": "drop", "batch_size": 40}, "there would be no step"),
    "seeds": ({"seeds": [1, 1]}, r"different whole numbers from 0 to 2147483646, not \[1, 1\]"),
    "large seeds": ({"seeds": [2**31]}, r"whole numbers from 0 .*, not \[2147483648\]"),
    "negative seeds": ({"seeds": [-1]}, r"whole numbers from 0 .*, not \[-1\]"),
    "fractional seeds": ({"seeds": [0.5, 0.7]}, r"whole numbers .*, not \[0.5, 0.7\]"),
    "never evaluated": ({"evaluate_every": 0}, "evaluate_every must be a positive whole number"),
    "no seeds": ({"seeds": 0}, r"seeds must be .*, not \[\]"),
    "lengths": ({"data": (np.ones((4, 4)), np.ones(3, int))}, r"differ in length: \[4, 3\]"),
    "nan": ({"data": (np.full((6, 4), np.nan), np.zeros(6, int))}, "24 values that are NaN"),
    "text": ({"data": (np.array([["a"] * 4] * 6), np.zeros(6, int))}, "not a number"),
    "one row": ({"data": (np.ones((1, 4)), np.zeros(1, int))}, "1 rows; at least 2 are needed"),
    "metric": ({"metric": "speed"}, "metric 'speed' is none of"),
    "no learner": ({"make": lambda h: None}, "must return a Learner, not NoneType"),
    "unread": (
        {"grid": {"rate": [0.1], "dropot": [0.1]}},
        "never reads 'dropot' of the grid; it reads .*; did you mean 'dropout'",
    ),
    "missing": (
        {"grid": {"ratte": [0.1]}, "make": only_rate},
        "reads the setting 'rate', but the grid has 'ratte'",
    ),
    "traced width": (
        {"grid": {"rate": [0.1], "width": [4.0]}},
        "of width.. Floats are traced: write 64, not 64.0",
    ),
    "traced range": (
        {
            "grid": {"rate": [0.1], "width": [4.0]},
            "make": lambda h: next(only_rate(h) for _ in range(h["width"])),
        },
        "write 64, not 64.0",
    ),
    "early stopping": ({"early_stopping": True}, "takes an EarlyStopping, .*, not True"),
    "patience alone": ({"early_stopping": 5}, "takes an EarlyStopping, .*, not 5"),
    "not called": (
        {"transform": features.standardize},
        r"the function standardize; call it, standardize\(\)",
    ),
    "scikit-learn's": ({"transform": StandardScaler()}, "not sklearn's StandardScaler"),
    "its class": ({"transform": StandardScaler}, "not sklearn's StandardScaler"),
    "no y": ({"data": three_classes()[0]}, r"is \(x, y\), not one array, without y"),
    "y of a table": (
        {"data": data.load("iris")._replace(y=None)},
        r"is \(x, y\), not one array, without y",
    ),
    "None": ({"data": (three_classes()[0], None)}, "part 1 of the data is None"),
    "groups": (
        {"folds": GroupKFold(2)},
        r"GroupKFold needs the group of each of the 47 examples: Folds\(GroupKFold\(...\), groups=",
    ),
    "labels from 1": (
        {"data": (three_classes()[0], three_classes()[1] + 1)},
        "labels from 0 to 2, not 1 to 3; features.from_one_based",
    ),
    "which labels": (
        {"make": lambda h: only_rate(h)._replace(responses=None)},
        r"pass folds=Folds\(2, stratify=True\), or stratify=False for prices and counts",
    ),
    "branch": (
        {"make": lambda h: classifier(h) if h["rate"] > 0 else None},
        "used the value of a traced setting",
    ),
    "stratify": (
        {"data": (np.ones((6, 4)), np.ones(6)), "folds": Folds(2, stratify=True)},
        "stratify=True needs data",
    ),
    "response": (
        {
            "data": (np.ones((6, 4)), np.ones((6, 2), np.float32)),
            "make": lambda h: training.gradient_learner(
                network((4, 1)),
                training.negative_log_likelihood(network((4, 1)), families.normal()),
                optax.sgd(0.1),
            ),
        },
        r"one shape, not \(2, 1\) and \(2, 2\)",
    ),
}


@pytest.mark.parametrize(
    ("name", "value", "now"),
    [
        ("strategy", "map", "execution=Execution(strategy=...)"),
        ("compact", "never", "execution=Execution(compact=...)"),
        ("predictions", True, 'keep=("predictions",)'),
        ("stratify", False, "a part of the folds, Folds(5, stratify=...)"),
        ("groups", None, "a part of the folds, Folds(5, groups=...)"),
    ],
)
def test_a_keyword_that_has_become_a_part_of_another_is_refused_with_its_name(name, value, now):
    message = re.escape(f"cross_validate takes no {name}=; it is {now} now")
    how = {"key": jax.random.key(0), "epochs": 1, name: value}
    for call in (
        lambda: cross_validate(classifier, GRID, three_classes(), **how),
        lambda: nested_cross_validate(classifier, GRID, three_classes(), **how),
        lambda: learning_curve(classifier, {"rate": 0.1}, three_classes(), **how),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="unexpected keyword argument 'strategies'"):
        study(strategies="map")


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_clear_error(case):
    changed, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        study(**{"grid": {"rate": [0.1]}, **GOOD, **changed})


def test_a_learner_without_masks_is_refused_only_where_batches_are_padded():
    def make(h):
        learner = classifier(h)
        return learner._replace(step=lambda ts, batch: learner.step(ts, batch))

    even = study({"rate": [0.1]}, data=three_classes(48), make=make)
    assert even.num_programs == 1
    with pytest.raises(ValueError, match="must take the keyword mask"):
        study({"rate": [0.1]}, data=three_classes(47), make=make)
