"""The bar stands where the run does, and shows the numbers of its last look."""

import jax
import numpy as np
import pytest
from networks import softmax_learner, three_classes

from jaxdl.model_selection import cross_validate
from jaxdl.training import fit, fit_stream
from jaxdl.training.host.stretches import Bar

X, Y = three_classes(40)
LEARNER = softmax_learner({"rate": 0.3})


class Tqdm:
    """A stand-in that keeps what it was last told; ``made`` is the last one."""

    made = None

    def __init__(self, *, total, initial=0, unit, desc, smoothing):
        self.n, self.total, self.unit, self.said, self.shown = initial, total, unit, desc, {}
        self.closed = False
        Tqdm.made = self

    def set_description(self, said, refresh):
        self.said = said

    def set_postfix(self, shown, refresh):
        self.shown = shown

    def update(self, by):
        self.n += by

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    monkeypatch.setattr("tqdm.auto.tqdm", Tqdm)
    monkeypatch.setattr(Tqdm, "made", None)


def test_it_begins_where_a_run_goes_on():
    with Bar(9, 4, "steps", True) as bar:
        assert (Tqdm.made.n, Tqdm.made.total, Tqdm.made.unit) == (4, 9, " steps")
        bar.update(7, {"loss": np.float32(1 / 3), "active": 12345})
    made = Tqdm.made
    assert (made.n, made.said, made.closed) == (7, "training", True)
    assert made.shown == {"loss": "0.3333", "active": 12345}  # a count to its last digit


def test_none_is_made_where_none_is_asked_for():
    with Bar(9, 0, "steps", False) as bar:
        bar.update(9, {"loss": 1.0})
    assert Tqdm.made is None


def test_of_a_fit():
    result = fit(LEARNER, (X[:30], Y[:30]), key=jax.random.key(0), epochs=5, batch_size=8,
                 validation=(X[30:], Y[30:]), evaluate_every=2, progress=True)  # fmt: skip
    loss, nll = result.history.loss[-1], result.history.validation["nll"][-1]
    assert Tqdm.made.n == Tqdm.made.total == 5 * 4 and Tqdm.made.closed
    assert Tqdm.made.shown == {"loss": f"{loss:.4g}", "validation nll": f"{nll:.4g}"}


def test_of_a_stream():
    result = fit_stream(LEARNER, [(X[:8], Y[:8])] * 5, key=jax.random.key(0), steps=5,
                        evaluate_every=2, validation=(X[30:], Y[30:]), progress=True)  # fmt: skip
    loss, nll = result.history.loss[-1], result.history.validation["nll"][-1]
    assert Tqdm.made.n == Tqdm.made.total == 5
    assert Tqdm.made.shown == {"loss": f"{loss:.4g}", "validation nll": f"{nll:.4g}"}


def test_of_a_study():
    """Two of its settings diverge in their second epoch; positions are epochs of all members."""
    grid = {"rate": [0.1, 0.5], "bad": [1.0, 99.0]}
    study = cross_validate(softmax_learner, grid, (X, Y), key=jax.random.key(0), folds=2,
                           epochs=3, progress=True)  # fmt: skip
    least = np.nanmin(np.asarray(study.train_loss)[..., -1])
    assert Tqdm.made.n == Tqdm.made.total == 3 * 4 * 2 and Tqdm.made.unit == " epochs"
    assert Tqdm.made.shown == {"loss": f"{least:.4g}", "diverged": 4, "active": 4}
