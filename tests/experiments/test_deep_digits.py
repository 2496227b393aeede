"""deep_digits from end to end at a tiny size, and its parts by hand."""

import csv
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest

from experiments import deep_digits, ingredients
from experiments.deep_digits import Config, compare, draw, main, show
from jaxdl import models


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "digits"
    config = Config(
        width=64, depth=2, epochs=10, learning_rate=0.01, folds=2, members=2, folded_members=2, out=str(out),
        progress=False,
    )  # fmt: skip
    return main(config), out


@pytest.mark.smoke
def test_it_learns_and_writes(run):
    figures, out = run
    assert sorted(p.name for p in out.iterdir()) == ["ingredients.png", "summary.json", "table.csv"]
    assert figures["programs"] == 1
    assert figures["test_accuracy"]["ensemble of 2"] > 0.9
    assert 0.98 < figures["test_accuracy"]["SVC()"] < 1
    assert json.loads((out / "summary.json").read_text())["chosen"] in ingredients.ROWS
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [r["name"] for r in rows][:-1] == list(ingredients.ROWS)
    by_name = {r["name"]: float(r["accuracy"]) for r in rows}
    assert by_name["deep"] < by_name["+ init"]  # a start too small does not get going
    for row in figures["table"]:
        assert row["low"] < row["accuracy"] < row["high"]


def test_the_table_by_hand():
    y = np.array([0, 1, 1, 0])
    a = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.6, 0.4]])  # three right
    b = np.array([[0.9, 0.1], [0.1, 0.9], [0.3, 0.7], [0.4, 0.6]])  # three others right
    first, second = compare(["a", "b"], [a, b], y, above=[-1, 0])
    assert (first.accuracy, second.accuracy) == (0.75, 0.75)
    assert (second.gained, second.lost, second.p) == (1, 1, 1.0)
    assert math.isnan(first.p)
    np.testing.assert_allclose(first.nll, -np.log([0.9, 0.2, 0.8, 0.6]).mean(), rtol=1e-6)
    wilson = binomtest(3, 4).proportion_ci(method="wilson")
    np.testing.assert_allclose([first.low, first.high], [wilson.low, wilson.high], atol=1e-6)
    text = show([first, second])
    assert "0.7500" in text and "nan" not in text


def test_the_picture_has_every_row():
    y = np.array([0, 1] * 20)
    p = np.where(y[:, None] == [0, 1], 0.9, 0.1)
    p[0] = p[0, ::-1]
    (axes,) = draw(compare(["one", "two"], [p, p], y, above=[-1, 0])).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    np.testing.assert_allclose(list(map(float, axes.lines[0].get_xdata())), [1 / 40, 1 / 40])


def test_settings_add_up():
    rows = ingredients.settings(3, 0.01)
    assert len(rows) == len(ingredients.ROWS)
    assert all(isinstance(v, float) for row in rows for v in row.values())
    assert len({tuple(row) for row in rows}) == 1  # one static signature: one program
    assert rows[-1] == {
        "rate": 0.01, "depth": 3.0, "init": 1.0, "norm": 1.0, "skip": 1.0, "dropout": 0.1,
        "decay": 0.1, "shift": 0.7,
    }  # fmt: skip


def test_with_everything_off_it_is_softmax_regression():
    h = dict(ingredients.settings(2, 0.01)[0])
    net = ingredients.network(h, 70, 2)
    params, state = net.init(jax.random.key(0))
    x = 16 * jax.random.uniform(jax.random.key(1), (5, 64))
    eta, _ = net.apply(params, state, x, train=True)
    kernel = params["logits"]["kernel"][:64]
    np.testing.assert_allclose(
        eta, x / 16 @ kernel + params["logits"]["bias"], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("norm", [0.0, 1.0])
def test_a_deep_row_is_an_mlp(norm):
    """With h_0 as wide as the rest, models.mlp is the same network on the same parameters."""
    h = {**ingredients.settings(2, 0.01)[3], "norm": norm}
    net = ingredients.network(h, 64, 2)
    params, state = net.init(jax.random.key(0))
    other = models.mlp((64, 64, 64, 10), norm="batch" if norm else None)
    names = {"dense_2": params["logits"], **{k: v for k, v in params.items() if k != "logits"}}
    if norm:
        names = {k: v if k == "dense_2" else {n: p for n, p in v.items() if k[0] == "n" or n == "kernel"}
                 for k, v in names.items()}  # fmt: skip
    x = 16 * jax.random.uniform(jax.random.key(1), (8, 64))
    eta, new = net.apply(params, state, x, train=True)
    expected, statistics = other.apply(names, state if norm else {}, x / 16, train=True)
    np.testing.assert_allclose(eta, expected, rtol=1e-4, atol=1e-5)
    if norm:
        np.testing.assert_allclose(new["norm_1"]["var"], statistics["norm_1"]["var"], rtol=1e-4)


def test_shifts_move_by_one_pixel_at_most():
    images = jnp.zeros((400, 8, 8)).at[:, 3, 4].set(1.0).reshape(400, 64)
    moved = np.asarray(ingredients.shift(images, jax.random.key(0), 1.0)).reshape(400, 8, 8)
    where = np.argwhere(moved == 1)
    assert len(where) == 400
    offsets = {tuple(o) for o in where[:, 1:] - [3, 4]}
    assert offsets == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    still = ingredients.shift(images, jax.random.key(1), 0.0)
    np.testing.assert_array_equal(still, images)
    corner = jnp.zeros((200, 64)).at[:, 0].set(1.0)
    gone = ingredients.shift(corner, jax.random.key(2), 1.0)
    assert set(np.asarray(gone.sum(1)).tolist()) == {0.0, 1.0}  # out of the picture, never around


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"width": 32}, "width must be at least 64"),
        ({"depth": 1}, "depth must be at least 2"),
        ({"members": 0}, "members must be at least 1"),
        ({"learning_rate": math.inf}, "learning_rate must be positive"),
        ({"seed": -1}, "seed must be between"),
    ],
)
def test_bad_options(option, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(out=str(tmp_path / "no"), **option))
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_the_default_reaches_what_it_promises(tmp_path):
    figures = deep_digits.main(Config(out=str(tmp_path / "whole"), progress=False))
    assert figures["test_accuracy"]["ensemble of 10"] >= 0.985


def test_padded_rows_of_a_batch_move_no_statistics():
    """The network of ingredients normalises over the batch, so it must see the mask."""
    learner = ingredients.make_learner(64, 2, 4)(
        {
            "init": 1.0,
            "norm": 1.0,
            "skip": 0.0,
            "dropout": 0.0,
            "depth": 2.0,
            "rate": 0.1,
            "decay": 0.0,
            "shift": 0.0,
        }
    )
    x, y = np.arange(4 * 64, dtype=np.float32).reshape(4, 64) % 17, np.array([0, 1, 2, 3])
    mask = np.array([True, True, True, False])
    other = np.where(mask[:, None], x, 16 - x)
    state = learner.init(jax.random.key(0))
    one, two = (learner.step(state, (rows, y), mask=mask)[0] for rows in (x, other))
    for a, b in zip(
        jax.tree.leaves((one.params, one.state)),
        jax.tree.leaves((two.params, two.state)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
