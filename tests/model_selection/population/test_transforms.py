"""Transforms that see targets are cross-fitted, and look at no row outside of the training part."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import families, features, models, training
from jaxdl.base import Learner, Transform
from jaxdl.model_selection import Execution, Folds, cross_validate, refit
from jaxdl.model_selection.population import transforms
from jaxdl.model_selection.saved import load, save
from jaxdl.training.batching import pad_rows, take

RNG = np.random.default_rng(0)


def make_learner(h):
    net = models.mlp((1, 16, 2))
    objective = training.negative_log_likelihood(net, families.categorical(2))
    return training.gradient_learner(net, objective, optax.adam(h["rate"]))


def test_each_row_is_changed_by_what_was_fitted_to_other_rows():
    """Against means over rows, one by one; those of the other folds hold nothing but NaN."""
    n, size = 80, 4
    train = pad_rows([np.flatnonzero(np.arange(n) % 4 != f) for f in (0, 1)])
    for fold in (0, 1):
        rows = jax.tree.map(lambda leaf, fold=fold: leaf[fold], train)
        inside = np.arange(n) % 4 != fold
        x = RNG.integers(0, size, (n, 1)).astype(np.float32)
        y = RNG.normal(size=n).astype(np.float32)
        mean = lambda kept, c, x=x, y=y: y[kept & (x[:, 0] == c)].astype(np.float64).mean()
        encoder = features.target_encode([0], [size], smooth=0.0)
        data = transforms.numbered((x, np.where(inside, y, np.nan)), encoder)
        part = data[1][1]
        assert np.bincount(part, minlength=transforms.PARTS).tolist() == [16] * 5
        params = transforms.fit(encoder, take(data, rows.index), rows.mask)
        seen = Learner(None, lambda ts, batch: (ts, batch[0]), lambda ts, x: x, lambda ts, b: b[0])
        learner = transforms.with_transform(seen, encoder, params)
        data = transforms.of_training_part(data, encoder, rows)
        wanted = [
            mean(inside & (part != part[i]) if inside[i] else inside, x[i, 0]) for i in range(n)
        ]
        for given in (learner.step((), data)[1], learner.evaluate((), data)):
            np.testing.assert_allclose(given[:, 0], wanted, rtol=1e-4, atol=1e-6)
        new = np.array([[0.0], [3.0]], np.float32)
        wanted = [mean(inside, 0), mean(inside, 3)]
        np.testing.assert_allclose(learner.predict((), new)[:, 0], wanted, rtol=1e-4, atol=1e-6)


def test_padding_of_a_shorter_training_part_is_in_no_part():
    """The padding points at row 0, which is held out here."""
    encoder = features.target_encode([0], [2], smooth=0.0)
    data = transforms.numbered((np.zeros((7, 1)), np.arange(7.0)), encoder)
    rows = jax.tree.map(lambda leaf: leaf[1], pad_rows([np.arange(6), np.arange(3, 7)]))
    assert not rows.mask.all()
    part = transforms.of_training_part(data, encoder, rows)[1][1]
    assert (np.asarray(part) == np.where(np.arange(7) < 3, -1, data[1][1])).all()


@pytest.mark.slow
def test_categories_of_noise_give_no_advantage_on_the_rows_that_were_trained_on():
    """200 categories of 600 coins: without cross-fitting the training part seems half explained."""
    x, y = RNG.integers(0, 200, (600, 1)).astype(np.float32), RNG.integers(0, 2, 600)
    encoder = features.target_encode([0], [200], num_classes=2)
    peeking = Transform(
        lambda both, mask=None: encoder.fit(both[:, :1], both[:, 1].astype(int), mask),
        lambda params, both: encoder.apply(params, both[:, :1]),
    )
    found = {}
    for name, transform, given in (
        ("own", encoder, x),
        ("peeking", peeking, np.concatenate([x, y[:, None]], 1).astype(np.float32)),
    ):
        study = cross_validate(
            make_learner, {"rate": [0.01]}, (given, y), key=jax.random.key(0), folds=4, epochs=20,
            batch_size=50, transform=features.chain(transform, features.standardize()),
            keep="train_scores",
        )  # fmt: skip
        found[name] = [float(s["nll"].mean()) for s in (study.train_scores, study.scores)]
    assert found["own"][1] - found["own"][0] < 0.03 and abs(found["own"][1] - np.log(2)) < 0.03
    assert found["peeking"][1] - found["peeking"][0] > 0.2  # so that the test can fail


def test_rows_of_a_group_are_changed_by_what_was_fitted_to_other_groups():
    """A hundred persons of three rows, each row a category of its own person: were they in different
    parts, a row's category would give its person's coin away, and the held-out rows could not."""
    who = np.repeat(np.arange(100), 3)
    x, y = who[:, None].astype(np.float32), RNG.integers(0, 2, 100)[who]
    encoder = features.target_encode([0], [100], num_classes=2, smooth=1.0)
    names = np.array([f"P{k:02d}" for k in who])
    part = transforms.numbered((x, y), encoder, names)[1][1].reshape(100, 3)
    assert (part == part[:, :1]).all()
    assert np.bincount(part[:, 0]).tolist() == [20] * transforms.PARTS
    run = lambda groups: cross_validate(
        make_learner, {"rate": [0.01]}, (x, y), key=jax.random.key(0), epochs=20, batch_size=50,
        folds=Folds([(np.arange(240), np.arange(240, 300))], groups=groups), transform=encoder,
        keep="train_scores",
    )  # fmt: skip
    apart, together = run(None), run(names)
    assert apart.train_scores["nll"].mean() < 0.3 < 0.6 < together.train_scores["nll"].mean()
    fitted = refit(together, (x, y))
    np.testing.assert_array_equal(fitted.recipe.groups, who)
    with pytest.raises(ValueError, match="groups are of 300 rows, the data have 200: pass groups="):
        refit(together, (x[:200], y[:200]))
    assert len(refit(together, (x[:200], y[:200]), groups=who[:200]).recipe.groups) == 200


def test_refit_fits_to_all_rows_and_is_saved(tmp_path):
    x, y = RNG.integers(0, 5, (60, 1)).astype(np.float32), RNG.integers(0, 2, 60)
    encoder = features.target_encode([0], [5], num_classes=2, smooth=2.0)
    run = lambda strategy: cross_validate(
        make_learner, {"rate": [0.01, 0.1]}, (x, y), key=jax.random.key(0), folds=3, epochs=2,
        batch_size=8, transform=encoder, execution=Execution(strategy), keep="predictions",
    )  # fmt: skip
    runs = [run("vmap"), run("sequential")]
    np.testing.assert_allclose(runs[0].scores["nll"], runs[1].scores["nll"], rtol=1e-5)
    fitted = refit(runs[0], (x, y))
    wanted = [(y[x[:, 0] == c].sum() + 2 * y.mean()) / ((x == c).sum() + 2) for c in range(5)]
    np.testing.assert_allclose(fitted.transform["value"][0, :, 0], [*wanted, y.mean()], rtol=1e-5)
    learner = make_learner(fitted.hparams[0])
    encoded = jnp.asarray(wanted, jnp.float32)[:, None]
    direct = learner.predict(fitted.states[0], encoded)
    new = np.arange(5, dtype=np.float32)[:, None]
    np.testing.assert_allclose(fitted.predict(new), direct, rtol=1e-5)
    save(tmp_path / "model.npz", fitted)
    data = (np.zeros((2, 1), np.float32), np.zeros(2))
    loaded = load(tmp_path / "model.npz", fitted.recipe, fitted.hparams, data)
    np.testing.assert_array_equal(loaded.predict(new), fitted.predict(new))


def test_a_checkpoint_of_another_smoothing_is_refused(tmp_path):
    x, y = RNG.integers(0, 5, (24, 1)).astype(np.float32), RNG.integers(0, 2, 24)

    def run(smooth):
        encoder = features.target_encode([0], [5], num_classes=2, smooth=smooth)
        return cross_validate(
            make_learner, {"rate": [0.01]}, (x, y), key=jax.random.key(0), folds=2, epochs=2,
            transform=encoder, checkpoint=tmp_path,
        )  # fmt: skip

    first = run(2.0)
    np.testing.assert_array_equal(run(2.0).scores["nll"], first.scores["nll"])
    with pytest.raises(ValueError, match="another study"):
        run(3.0)


def test_data_without_responses_are_refused():
    with pytest.raises(ValueError, match=r"a batch to learn responses from is \(x, y\)"):
        cross_validate(
            make_learner, {"rate": [0.01]}, np.zeros((9, 1), np.float32), key=jax.random.key(0),
            folds=3, epochs=1, transform=features.target_encode([0], [2]),
        )  # fmt: skip
