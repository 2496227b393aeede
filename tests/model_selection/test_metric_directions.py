"""No setting wins because of what its metric is called: directions in a study, from end to end."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import plotting
from jaxdl.base import Objective, stateless
from jaxdl.model_selection import Halving, cross_validate, exports, nested_cross_validate, refit
from jaxdl.training import Checkpoint, EarlyStopping, fit, fit_stream, gradient_learner

X = np.linspace(0, 1, 12).astype(np.float32)


def scoring(name, h):
    """A learner whose score by that name is the setting's level, grown with each step."""

    def loss(w, state, x, *, key=None, train=False, mask=None):
        return -w, (state, {})

    model = stateless(lambda key: jnp.zeros(()), lambda *a, **k: None)
    score = lambda w, s, x, *, key=None: {name: jnp.full(x.shape, h["level"]) + w}
    return gradient_learner(model, Objective(loss, lambda w, s, x: x, score), optax.sgd(0.01))


GRID = {"level": [0.2, 0.9, 0.5]}
HOW = {"key": jax.random.key(0), "folds": 2, "epochs": 4, "evaluate_every": 1}


def study(name, **how):
    return cross_validate(lambda h: scoring(name, h), GRID, X, **HOW, **how)


@pytest.mark.parametrize(
    ("name", "maximize", "wins"),
    [("balanced_accuracy", None, 0.9), ("recall", None, 0.9), ("roc_auc", None, 0.9),
     ("nll", None, 0.2), ("my_score", True, 0.9), ("my_score", False, 0.2),
     ("accuracy", False, 0.2)],
)  # fmt: skip
def test_the_best_setting(name, maximize, wins):
    result = study(name, maximize=maximize)
    assert result.metric == name
    assert result.best().hparams["level"] == pytest.approx(wins)
    levels = [h["level"] for h in result.hparams]
    order = [levels[s] for s in result.ranking()]
    assert order == sorted(levels, reverse=wins == 0.9)
    assert refit(result, X).hparams[0]["level"] == pytest.approx(wins)
    assert exports.as_dict(result)["maximize"] is (wins == 0.9)


def test_an_unknown_name_is_refused_before_anything_runs():
    def never(h):
        learner = scoring("my_score", h)
        return learner._replace(init=lambda key: jax.debug.callback(fail) or learner.init(key))

    def fail():
        raise AssertionError("a member was run")

    with pytest.raises(
        ValueError, match="more or less of the metric 'my_score' is better is not known"
    ):
        cross_validate(never, GRID, X, **HOW)


def test_another_metric_of_a_study_is_asked_for_with_its_direction():
    """The study's own metric keeps what was said of it; another's must be known or said."""

    def both(h):
        learner = scoring("my_score", h)
        score = lambda s, x: {"nll": jnp.full(x.shape, h["level"]), **learner.evaluate(s, x)}
        return learner._replace(evaluate=score)

    result = cross_validate(both, GRID, X, metric="nll", **HOW)
    assert result.best().hparams["level"] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="'my_score' is better is not known"):
        result.best("my_score")
    assert result.best("my_score", maximize=True).hparams["level"] == pytest.approx(0.9)
    assert refit(result, X, metric="my_score", maximize=True).hparams[0]["level"] > 0.8
    said = cross_validate(both, GRID, X, metric="my_score", maximize=True, **HOW)
    assert said.best("my_score").hparams["level"] == pytest.approx(0.9)
    assert said.best("nll").hparams["level"] == pytest.approx(0.2)


@pytest.mark.parametrize(("maximize", "survives"), [(True, 0.9), (False, 0.2)])
def test_halving_drops_by_the_same_direction(maximize, survives):
    result = study("my_score", maximize=maximize, halving=Halving(3, first=1))
    left = [
        h["level"] for h, dropped in zip(result.hparams, result.dropped, strict=True) if dropped < 0
    ]
    assert left == [pytest.approx(survives)]


class Rows(list):
    """A log that keeps its rows."""

    def start(self, rows):
        self.extend(rows)

    add = start


@pytest.mark.parametrize(
    ("name", "maximize", "wins", "best_epoch"),
    [("loss_of_mine", True, 0.9, 4), ("negative_accuracy", False, 0.2, 1)],
)
def test_what_is_stopped_logged_and_drawn_is_as_it_was_said(name, maximize, wins, best_epoch):
    """The score grows from epoch to epoch; its name says the other direction than is said."""
    early = EarlyStopping(1, metric=name, maximize=maximize)
    log = Rows()
    result = study(name, maximize=maximize, early_stopping=early, log=log)
    assert np.all(result.best_epochs == best_epoch)
    assert np.all(result.epochs == (4 if maximize else 2))
    logged = {(r["setting"], r["fold"], r["epoch"]): r["value"] for r in log if r["metric"] == name}
    for (s, f, e), value in logged.items():
        assert value == result.curves[name][s, f, 0, e - 1] > 0  # as it is, with its own sign
    assert len(logged) == 6 * result.epochs.max()
    (line,) = plotting.validation_curve(result, "level").axes[0].containers
    np.testing.assert_allclose(line.lines[0].get_ydata(), np.sort(result.summary()[0]))
    right = plotting.learning_curves(result, settings=1).axes[1]
    chosen = [h["level"] for h in result.hparams].index(pytest.approx(wins))
    np.testing.assert_allclose(
        right.lines[0].get_ydata(), result.curves[name][chosen].mean((0, 1)), rtol=1e-6
    )
    learner = scoring(name, {"level": 0.0})
    alone = fit(learner, X, key=jax.random.key(0), epochs=4, validation=X, early_stopping=early)
    panels = plotting.training_curves(alone.history).axes
    assert panels[1].lines[1].get_xdata()[0] == best_epoch


@pytest.mark.parametrize(("maximize", "chosen"), [(True, 0.9), (False, 0.2)])
def test_nested_choices_go_by_it(maximize, chosen):
    how = {k: v for k, v in HOW.items() if k != "folds"}
    nested = nested_cross_validate(lambda h: scoring("my_score", h), GRID, X, outer=2, inner=2,
                                   maximize=maximize, **how)  # fmt: skip
    assert [c.hparams["level"] for c in nested.choices] == [pytest.approx(chosen)] * 2


def test_early_stopping_by_a_score_of_ones_own():
    """The score grows with each epoch: to be maximised it never stops, else at once."""
    learner = scoring("my_score", {"level": 0.0})
    run = lambda **how: fit(learner, X, key=jax.random.key(0), epochs=6, validation=X,
                            early_stopping=EarlyStopping(patience=2, **how))  # fmt: skip
    with pytest.raises(ValueError, match="'my_score' is better is not known"):
        run()
    up, down = run(maximize=True), run(maximize=False)
    assert (int(up.history.stopped), int(up.history.best_epoch)) == (-1, 6)
    assert (int(down.history.stopped), int(down.history.best_epoch)) == (3, 1)
    stream = lambda maximize: fit_stream(
        learner, [X] * 6, key=jax.random.key(0), steps=6, validation=X, evaluate_every=1,
        early_stopping=EarlyStopping(patience=2, maximize=maximize))  # fmt: skip
    assert stream(True).history.best_step == 6 and not stream(True).history.stopped
    assert stream(False).history.best_step == 1 and stream(False).history.stopped


@pytest.mark.parametrize(("maximize", "best"), [(True, 6), (False, 1)])
def test_a_checkpoint_keeps_the_best_by_it(tmp_path, maximize, best):
    """Of six epochs of a growing score the last is kept in any case, and the best."""
    learner = scoring("my_score", {"level": 0.0})
    how = dict(key=jax.random.key(0), epochs=6, validation=X)
    with pytest.raises(ValueError, match="'my_score' is better is not known"):
        fit(learner, X, checkpoint=tmp_path / "unsaid", **how)
    assert not (tmp_path / "unsaid").exists()  # nothing was written
    where = Checkpoint(tmp_path / "said", seconds=0.0, keep=1, maximize=maximize)
    for epochs in range(1, 7):
        fit(learner, X, checkpoint=where, **{**how, "epochs": epochs})
    kept = sorted(int(p.name) for p in (tmp_path / "said").iterdir() if p.name.isdigit())
    assert kept == sorted({best, 6})


def test_a_checkpoint_says_which_metric_it_is_of(tmp_path):
    """Its maximize would turn the loss round, were it not of a metric that is named."""

    def both(h):
        learner = scoring("accuracy", h)
        score = lambda s, x: {"nll": -learner.evaluate(s, x)["accuracy"], **learner.evaluate(s, x)}
        return learner._replace(evaluate=score)

    how = lambda: dict(key=jax.random.key(0), validation=X)
    with pytest.raises(ValueError, match="would speak of 'nll', whose direction is known"):
        fit(
            both({"level": 0.0}),
            X,
            epochs=1,
            checkpoint=Checkpoint(tmp_path / "a", maximize=True),
            **how(),
        )
    with pytest.raises(ValueError, match=r"Checkpoint\(metric='f1'\), but the metrics are"):
        fit(
            both({"level": 0.0}),
            X,
            epochs=1,
            checkpoint=Checkpoint(tmp_path / "a", metric="f1"),
            **how(),
        )
    assert not (tmp_path / "a").exists()


def test_a_checkpoint_of_another_direction_is_of_another_run(tmp_path):
    learner = scoring("my_score", {"level": 0.0})
    how = lambda: dict(key=jax.random.key(0), validation=X)
    fit(learner, X, epochs=1, checkpoint=Checkpoint(tmp_path / "fit", maximize=True), **how())
    with pytest.raises(
        ValueError, match=r"best by was \['my_score', True\], is \['my_score', False\]"
    ):
        fit(learner, X, epochs=2, checkpoint=Checkpoint(tmp_path / "fit", maximize=False), **how())
    stream = lambda steps, said: fit_stream(
        learner, [X] * steps, steps=steps, evaluate_every=1,
        checkpoint=Checkpoint(tmp_path / "stream", maximize=said), **how())  # fmt: skip
    with pytest.raises(ValueError, match=r"say Checkpoint\(folder, maximize=True\) or False"):
        stream(1, None)
    assert not (tmp_path / "stream").exists()  # refused before anything is written
    stream(1, True)
    with pytest.raises(ValueError, match="best by was"):
        stream(2, False)


def test_early_stopping_by_a_function_must_give_one():
    with pytest.raises(ValueError, match=r"early_stopping takes an EarlyStopping, .* not None"):
        study("nll", early_stopping=lambda h: None)
