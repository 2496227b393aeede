"""Study: tables, the choice, exports; on scores that are written down by hand."""

import csv
import dataclasses
import json

import jax
import numpy as np
import pytest
from networks import classifier, three_classes

from jaxdl.model_selection import cross_validate, exports, tables
from jaxdl.model_selection.words import plain


@pytest.fixture(scope="module")
def trained():
    return cross_validate(
        classifier, {"rate": [0.003, 0.01, 0.03], "width": [3]}, three_classes(),
        key=jax.random.key(0), folds=4, seeds=2, epochs=3, batch_size=8, keep="train_scores",
    )  # fmt: skip


@pytest.fixture
def by_hand(trained):
    """Three settings x 4 folds x 2 seeds with a known ranking; the middle one is within 1 SE."""
    nll = np.array([[0.9, 1.1, 1.0, 1.0], [0.50, 0.54, 0.58, 0.62], [0.44, 0.48, 0.56, 0.64]])
    nll = nll[..., None] + np.array([-0.01, 0.01])
    return dataclasses.replace(
        trained, scores={"nll": nll, "accuracy": 1 - nll / 2}, metric="nll", maximize=False,
        diverged=np.zeros((3, 4, 2), bool), num_params=np.array([5, 20, 30]),
    )  # fmt: skip


def test_summary_by_hand(by_hand):
    mean, error = by_hand.summary()
    np.testing.assert_allclose(mean, [1.0, 0.56, 0.53])
    folds = np.array([0.44, 0.48, 0.56, 0.64])
    np.testing.assert_allclose(error[2], folds.std(ddof=1) / 2)


def test_folds_that_are_drawn_anew_are_not_more_rows(by_hand):
    """Twice two folds of the same twelve rows are as sure as two, not as four."""
    rows = np.arange(12)
    halves = [
        (rows[a], rows[b]) for a, b in ((rows < 6, rows >= 6), (rows % 2 == 0, rows % 2 == 1))
    ]
    repeated = dataclasses.replace(
        by_hand, folds=[pair for a, b in halves for pair in ((a, b), (b, a))]
    )
    folds = np.array([0.44, 0.48, 0.56, 0.64])
    np.testing.assert_allclose(repeated.summary()[1][2], folds.std(ddof=1) / np.sqrt(2))
    np.testing.assert_allclose(repeated.summary()[0], by_hand.summary()[0])


def test_the_choice_by_mean_and_by_one_standard_error(by_hand):
    best = by_hand.best()
    assert (best.index, best.metric, best.rule) == (2, "nll", "mean")
    assert best.mean == pytest.approx(0.53)
    simple = by_hand.best(rule="one_standard_error")
    assert simple.index == 1  # 0.56 <= 0.53 + 0.0443, with fewer parameters
    own = by_hand.best(rule="one_standard_error", complexity=lambda h: -h["rate"])
    assert own.index == 2
    assert by_hand.best("accuracy").index == 2
    assert by_hand.ranking().tolist() == [2, 1, 0]


def test_a_setting_with_a_diverged_member_is_never_chosen(by_hand):
    diverged = np.zeros((3, 4, 2), bool)
    diverged[2, 0, 1] = True
    study = dataclasses.replace(by_hand, diverged=diverged)
    assert study.best().index == 1
    assert study.best(rule="one_standard_error").index == 1
    assert study.ranking().tolist() == [1, 0, 2]
    assert "1/8" in str(study)
    with pytest.raises(ValueError, match="every setting has a diverged member"):
        dataclasses.replace(by_hand, diverged=~np.zeros((3, 4, 2), bool)).best()


def test_bad_questions(by_hand):
    with pytest.raises(ValueError, match="rule is one of mean, one_standard_error"):
        by_hand.best(rule="median")
    with pytest.raises(ValueError, match="'f1' is none of nll, accuracy"):
        by_hand.best("f1")
    with pytest.raises(ValueError, match="at least two folds"):
        by_hand.only([1]).best(rule="one_standard_error")


def test_folds_alone(by_hand):
    assert by_hand.only([0, 1]).summary()[0][1] == pytest.approx(0.52)
    assert len(by_hand.only([2]).folds) == 1


def test_the_metric_of_the_choice_is_the_first_column_of_scores(by_hand):
    header, rows = tables.table(by_hand)
    assert header[3:] == ["params", "nll", "accuracy"]
    assert rows[0][3:5] == ["30", "0.5300 ± 0.0443"]  # sqrt(0.0236 / 3) / 2 over folds
    by_hand = dataclasses.replace(by_hand, metric="accuracy", maximize=True)
    assert tables.table(by_hand)[0][3:] == ["params", "accuracy", "nll"]


def test_text_and_html_show_the_same_table(trained):
    header, rows = tables.table(trained)
    assert header[:4] == ["rank", "rate", "width", "params"]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    best = trained.best()
    assert rows[0][1] == f"{best.hparams['rate']:.4g}"
    text = str(trained)
    assert f"{best.mean:.4f}" in text and "24 members in 1 program" in text
    html = trained._repr_html_()
    assert all(f"<td>{cell}</td>" in html for cell in rows[0])
    assert "... and 2 more settings" not in text
    assert len(tables.table(trained, limit=1)[1]) == 1


def test_names_cannot_break_the_page(trained):
    odd = [{**h, "name": "<script>"} for h in trained.hparams]
    assert "<script>" not in dataclasses.replace(trained, hparams=odd)._repr_html_()


def test_csv_and_json_hold_every_score(trained, tmp_path):
    exports.write_csv(exports.rows(trained), tmp_path / "s.csv")
    with open(tmp_path / "s.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4 * 2 * 2 * 2  # settings, folds, seeds, metrics, parts
    one = next(r for r in rows if (r["setting"], r["fold"], r["seed"], r["part"], r["metric"])
               == ("2", "3", "1", "validation", "nll"))  # fmt: skip
    assert float(one["value"]) == pytest.approx(trained.scores["nll"][2, 3, 1])
    assert float(one["rate"]) == 0.03 and one["width"] == "3"
    exports.write_json(trained, tmp_path / "s.json")
    read = json.loads((tmp_path / "s.json").read_text())
    np.testing.assert_allclose(read["scores"]["nll"], trained.scores["nll"])
    assert read["hparams"][0] == {"rate": 0.003, "width": 3}
    assert read["num_programs"] == 1


def test_curves_in_long_format(trained):
    rows = exports.curve_rows(trained)
    assert {r["epoch"] for r in rows} == {1, 2, 3}
    last = [r for r in rows if r["epoch"] == 3 and r["part"] == "validation"
            and r["metric"] == "nll" and r["setting"] == 1]  # fmt: skip
    assert sorted(r["value"] for r in last) == sorted(trained.scores["nll"][1].ravel().tolist())


def test_plain_values():
    assert plain(np.array([[1.0, np.nan]])) == [[1.0, None]]
    assert plain(jax.nn.relu) == "relu"
    assert plain((np.float32(0.5), 3, True, None)) == [0.5, 3, True, None]


def test_training_beats_no_training(trained):
    """The scores mean what they say: more epochs and a usable rate fit better than chance."""
    assert trained.train_scores["nll"][2].mean() < np.log(3)
    assert trained.train_loss.shape == (3, 4, 2, 3)
    assert (trained.train_loss[2, ..., -1] < trained.train_loss[2, ..., 0]).all()
