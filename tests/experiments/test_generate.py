"""generate from end to end at a tiny size, and all its models by their shapes."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from experiments import generate, generators
from experiments.generate import Config, main

TINY = {
    "model": "maf",
    "steps": 3,
    "examples": 100,
    "width": 4,
    "batch_size": 20,
    "progress": False,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "generate"
    return main(Config(**TINY, out=str(out))), out


def test_it_writes_its_report_its_pictures_and_its_model(run):
    figures, out = run
    assert {p.name for p in out.iterdir()} >= {
        "report.json", "model.npz", "samples.png", "training.png",
    }  # fmt: skip
    assert json.loads((out / "report.json").read_text()) == figures
    train, test = generators.load("moons", 0, 100)
    assert train.shape == (100, 2) and test.shape == (25, 2)
    gauss = scipy.stats.multivariate_normal(train.mean(0), np.cov(np.asarray(train).T))
    assert figures["gaussian_log_likelihood"] == pytest.approx(gauss.logpdf(test).mean(), abs=0.01)
    # Nearly untrained, the flow is N(0, I) of the standardised data.
    apart = (test - train.mean(0)) / train.std(0)
    nearly = scipy.stats.norm.logpdf(apart).sum(1).mean() - np.log(train.std(0)).sum()
    assert figures["test_log_likelihood"] == pytest.approx(nearly, abs=0.1)
    assert figures["true_log_likelihood"] > figures["gaussian_log_likelihood"]


def test_a_saved_model_draws(run, tmp_path):
    _, out = run
    assert main(Config(sample=500, out=str(out))) == {"samples": 500}
    rows = list(csv.reader((out / "samples.csv").read_text().splitlines()))
    assert rows[0] == ["x0", "x1"] and len(rows) == 501
    x = np.array(rows[1:], float)
    train, _ = generators.load("moons", 0, 100)
    np.testing.assert_allclose(x.mean(0), train.mean(0), atol=0.15)
    np.testing.assert_allclose(x.std(0), train.std(0), rtol=0.2)
    with pytest.raises(OSError, match="no saved model"):
        main(Config(sample=1, out=str(tmp_path)))


@pytest.mark.parametrize("name", generators.MODELS)
@pytest.mark.parametrize("dim", [2, 64])
def test_every_model_has_a_step_samples_and_densities_of_its_width(name, dim):
    generator = generators.make(name, dim, 4, 0.01, 10)

    def everything(key, x):
        ts = generator.learner.init(key)
        ts, info = generator.learner.step(ts, x)
        log_prob = None if generator.log_prob is None else generator.log_prob(ts, key, x)
        return info["loss"], generator.sample(ts, key, 3), log_prob

    with jax.debug_key_reuse(False):
        loss, samples, log_prob = jax.eval_shape(
            everything, jax.random.key(0), jax.ShapeDtypeStruct((5, dim), jnp.float32)
        )
    assert loss.shape == () and samples.shape == (3, dim)
    assert (log_prob is None) == (name == "gan") and (log_prob is None or log_prob.shape == (5,))


def test_digits_are_dequantised():
    train, test = generators.load("digits", 0, 0)
    x = np.concatenate([train, test])
    assert x.shape == (1797, 64) and x.min() >= 0 and x.max() < 1
    again = generators.load("digits", 1, 0)[0]
    assert abs(np.asarray(again) - np.asarray(train)).max() > 0.5  # another order


def test_pictures():
    points = np.random.default_rng(0).normal(size=(30, 2))
    flat = generate.draw_samples(points, points + 1, lambda x: -jnp.sum(x**2, -1))
    assert [ax.get_title() for ax in flat.axes] == ["data", "samples", "density of the model"]
    digits = np.random.default_rng(0).uniform(size=(60, 64))
    assert len(generate.draw_samples(digits, digits).axes) >= 64


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"sample": 0}, "sample must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be between"),
        ({"seed": -1}, "seed must be between"),
    ],
)
def test_bad_options(option, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(out=str(tmp_path / "no"), **option))
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_the_default_is_close_to_the_truth(tmp_path):
    figures = main(Config(out=str(tmp_path / "whole"), progress=False))
    assert figures["true_log_likelihood"] - figures["test_log_likelihood"] < 0.05
