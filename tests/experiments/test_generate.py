"""generate from end to end at a tiny size, and all its models by their shapes and their latents."""

import csv
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from experiments.generate import Config, main
from experiments.generative import data as generative_data
from experiments.generative import pictures, run
from experiments.generative.models import make
from experiments.generative.settings import CONDITIONAL, MODELS, Settings
from jaxdl.base import Learner

TINY = {
    "model": "maf",
    "depth": 2,
    "steps": 3,
    "examples": 100,
    "width": 4,
    "batch_size": 20,
    "progress": False,
}


@pytest.fixture(scope="module")
def maf(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "generate"
    return main(Config(**TINY, out=str(out))), out


def test_it_writes_its_report_its_pictures_and_its_model(maf):
    figures, out = maf
    assert {p.name for p in out.iterdir()} == {
        "report.json", "model.npz", "samples.png", "training.png",
    }  # fmt: skip
    assert json.loads((out / "report.json").read_text()) == figures
    moons = generative_data.load("moons", 0, 100)
    train, test = np.asarray(moons.train), np.asarray(moons.test)
    assert train.shape == (100, 2) and test.shape == (25, 2)
    gauss = scipy.stats.multivariate_normal(train.mean(0), np.cov(train.T))
    assert figures["gaussian_log_likelihood"] == pytest.approx(gauss.logpdf(test).mean(), abs=0.01)
    # Nearly untrained, the flow is N(0, I) of the standardised data, as the factorised one is.
    nearly = scipy.stats.norm.logpdf(test, train.mean(0), train.std(0)).sum(1).mean()
    assert figures["test_log_likelihood"] == pytest.approx(nearly, abs=0.1)
    assert figures["factorised_gaussian_log_likelihood"] == pytest.approx(nearly, abs=0.01)
    assert figures["true_log_likelihood"] > figures["gaussian_log_likelihood"]


def test_a_saved_model_draws(maf, tmp_path):
    _, out = maf
    assert main(Config(sample=500, out=str(out))) == {"samples": 500}
    rows = list(csv.reader((out / "samples.csv").read_text().splitlines()))
    assert rows[0] == ["x0", "x1"] and len(rows) == 501
    x = np.array(rows[1:], float)
    train = generative_data.load("moons", 0, 100).train
    np.testing.assert_allclose(x.mean(0), train.mean(0), atol=0.15)
    np.testing.assert_allclose(x.std(0), train.std(0), rtol=0.2)
    with pytest.raises(OSError, match="no saved model"):
        main(Config(sample=1, out=str(tmp_path)))


@pytest.mark.slow
def test_a_conditional_model_of_digits_draws_each_class(tmp_path):
    """Of the file alone: what was trained and what was loaded say the same."""
    config = Config(
        model="vae", data="digits", conditional=True, latent=2, width=4, steps=3, progress=False,
        out=str(tmp_path / "vae"),
    )  # fmt: skip
    figures = main(config)
    assert {p.name for p in (tmp_path / "vae").iterdir()} == {
        "report.json", "model.npz", "samples.png", "training.png", "interpolation.png",
        "reconstructions.png", "traversal.png",
    }  # fmt: skip
    assert 0 <= figures["conditional_accuracy"] < 0.5 < figures["classifier_accuracy"]
    # One bits per dim is so many nats fewer, from the bits of 17 levels.
    nats = figures["test_log_likelihood_bound"]
    bits = np.log2(17) - nats / (64 * np.log(2))
    assert figures["test_bits_per_dim_bound"] == pytest.approx(bits, rel=1e-6)
    assert figures["gaussian_bits_per_dim"] < figures["factorised_gaussian_bits_per_dim"] < 4.1
    main(dataclasses.replace(config, sample=12))
    rows = list(csv.reader((tmp_path / "vae/samples.csv").read_text().splitlines()))
    assert rows[0][:2] == ["class", "x0"] and [r[0] for r in rows[1:]] == list("012345678901")
    loaded = run.load(tmp_path / "vae/model.npz")
    x, _ = run.samples(loaded, 0, 12)
    np.testing.assert_allclose(x, np.array(rows[1:], float)[:, 1:], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_if_it_were_not(maf, tmp_path):
    figures, _ = maf
    out = tmp_path / "again"
    with pytest.raises(ValueError, match="nothing to resume"):
        main(Config(**TINY, out=str(out), resume=True))
    run.train(Config(**TINY, out=str(out)), out / "checkpoints")  # stopped after its training
    resumed = main(Config(**TINY, out=str(out), resume=True))
    assert not (out / "checkpoints").exists()
    clocks = {"seconds_to_train", "seconds_per_1000_samples"}
    assert {k: v for k, v in resumed.items() if k not in clocks} == {
        k: v for k, v in figures.items() if k not in clocks
    }
    run.train(Config(**TINY, out=str(out)), out / "checkpoints")
    with pytest.raises(ValueError, match="of another fit"):
        main(Config(**{**TINY, "width": 8}, out=str(out), resume=True))


IMAGES = (
    {},
    {"shape": (4, 4, 1), "dim": 16},
    {"shape": (4, 4, 1), "dim": 16, "convolutional": True},
)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("images", IMAGES, ids=["plane", "images", "convolutional"])
def test_every_model_has_a_step_samples_and_densities_of_its_width(name, images):
    if name == "glow" and not images:
        pytest.skip("of images only")
    if images.get("convolutional") and name not in ("vae", "diffusion", "flow_matching", "gan"):
        pytest.skip("not a model with convolutional networks")
    told = 3 if name in CONDITIONAL and images else 0
    settings = Settings(**{"model": name, "dim": 2, "width": 4, "num_classes": told, **images})
    generator = make(settings)
    dim = settings.dim

    def everything(key, x, label):
        label = label if told else None
        ts = generator.learner.init(key)
        ts, info = generator.learner.step(ts, generator.batch(x, label))
        z = jnp.zeros((5, generator.latent))
        given = {
            "decode": generator.decode(ts, z, label),
            "sample": generator.sample(ts, key, 5, label),
        }
        if generator.encode is not None:
            given["encode"] = generator.encode(ts, x, label)
        if generator.log_prob is not None:
            given["log_prob"] = generator.log_prob(ts, key, x, label)
        if generator.film is not None:
            given["film"] = generator.film(ts, key, 5, label)
        return info["loss"], given

    shaped = lambda *shape, dtype=jnp.float32: jax.ShapeDtypeStruct(shape, dtype)
    with jax.debug_key_reuse(False):
        loss, given = jax.eval_shape(
            everything, jax.random.key(0), shaped(5, dim), shaped(5, dtype=jnp.int32)
        )
    wanted = {"sample": (5, dim), "decode": (5, dim), "encode": (5, generator.latent),
              "log_prob": (5,), "film": (8, 5, dim)}  # fmt: skip
    assert loss.shape == ()
    assert {k: v.shape for k, v in given.items()} == {k: wanted[k] for k in given}
    assert ("log_prob" in given) == (name != "gan")
    assert ("film" in given) == (name in ("diffusion", "flow_matching"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"model": "glow"}, "model of images"),
        ({"model": "glow", "shape": (5, 4, 1)}, "even sides"),
        ({"model": "maf", "num_classes": 3}, "cannot be told classes"),
        ({"model": "vae", "convolutional": True}, "not for points"),
        ({"model": "gan", "convolutional": True, "shape": (6, 6, 1)}, "4 divides"),
    ],
)
def test_settings_that_do_not_go_together(how, message):
    with pytest.raises(ValueError, match=message):
        make(Settings(**{"dim": 2, **how}))


def test_digits_get_new_noise_in_every_step_and_stay_whole_numbers():
    digits = generative_data.load("digits", 0, 0)
    x = np.concatenate([digits.train, digits.test])
    assert x.shape == (1797, 64) and x.min() == 0 and x.max() == 16 and (x == x.round()).all()
    again = generative_data.load("digits", 1, 0)
    assert abs(np.asarray(again.train) - np.asarray(digits.train)).max() > 8  # another order
    units = generative_data.units(digits)
    batches = []
    seen = lambda ts, batch, *, mask=None: (ts, batches.append(np.asarray(batch)))
    learner = Learner(lambda key: None, seen, None, None)
    learner = generative_data.in_units(learner, units)
    state = lambda step: type("State", (), {"key": jax.random.key(0), "step": step})
    with jax.debug_key_reuse(False):
        for step in (0, 1):
            learner.step(state(step), digits.train[:50])
    first, second = (np.asarray(units.outside(b)) * 17 for b in batches)
    np.testing.assert_array_equal(np.floor(first + 1e-4), digits.train[:50])
    assert abs(first - second).max() > 0.5 and first.min() >= -1e-4
    assert (first - np.asarray(digits.train[:50])).mean() == pytest.approx(0.5, abs=0.02)


def test_a_folder_of_pictures(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (6, 4), dtype=np.uint8)).save(tmp_path / f"{i:02}.png")
    data = generative_data.load(str(tmp_path), 0, 8)
    assert data.train.shape == (8, 24) and data.test.shape == (5, 24)
    assert data.shape == (6, 4, 1) and data.levels == 256 and data.train_labels is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"neither MNIST's four IDX files nor pictures \(\.png"):
        generative_data.load(str(tmp_path / "empty"), 0, 8)
    with pytest.raises(ValueError, match="have no classes"):
        main(Config(data=str(tmp_path), model="vae", conditional=True, out=str(tmp_path / "o")))
    Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)).save(tmp_path / "99.png")
    with pytest.raises(ValueError, match=r"99\.png.* one size"):
        generative_data.load(str(tmp_path), 0, 8)


def test_a_folder_of_mnists_files(tmp_path):
    def idx(array):
        sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
        return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()

    x = np.random.default_rng(0).integers(0, 256, (30, 4, 4))
    y = np.arange(30) % 10
    for part, rows in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(x[rows]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(y[rows]))
    data = generative_data.load(str(tmp_path), 0, 12)
    assert data.train.shape == (12, 16) and data.levels == 256 and data.shape == (4, 4, 1)
    np.testing.assert_array_equal(data.test, x[20:].reshape(10, -1))
    pairs = {tuple(row): label for row, label in zip(x.reshape(30, -1), y, strict=True)}
    assert [pairs[tuple(row)] for row in np.asarray(data.train, int)] == data.train_labels.tolist()


def test_pictures():
    points = np.random.default_rng(0).normal(size=(30, 2))
    flat = pictures.plane(points, points + 1, lambda x: -jnp.sum(x**2, -1))
    assert [ax.get_title() for ax in flat.axes] == ["data", "samples", "density of the model"]
    digits = np.random.default_rng(0).uniform(size=(60, 64))
    assert len(pictures.images(digits, digits, (8, 8, 1)).axes) >= 64
    by_class = pictures.images(digits, digits, (8, 8, 1), np.arange(60) % 3)
    assert [ax.get_title() for ax in by_class.axes[:3]] == ["0", "1", "2"]
    shown = np.asarray(by_class.axes[4].images[0].get_array())  # the second row, the class 1
    np.testing.assert_allclose(shown, digits[4].reshape(8, 8), rtol=1e-6)
    assert len(pictures.film(np.zeros((3, 2, 64)), (8, 8, 1)).axes) >= 6


def test_great_circles_by_hand():
    a, b = jnp.array([[2.0, 0]]), jnp.array([[0, 4.0]])
    middle = np.asarray(pictures.great_circle(a, b, 0.5))
    np.testing.assert_allclose(middle, [[3 / np.sqrt(2), 3 / np.sqrt(2)]], rtol=1e-5)
    third = np.asarray(pictures.great_circle(a, b, 1 / 3)) / (2 + 2 / 3)
    np.testing.assert_allclose(third, [[np.cos(np.pi / 6), 0.5]], rtol=1e-5)
    for x, y in ((a, a), (a, 0 * a)):
        assert np.isfinite(pictures.great_circle(x, y, 0.3)).all()
    np.testing.assert_allclose(pictures.great_circle(a, a, 0.3), a, rtol=1e-5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"sample": 0}, "sample must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be between"),
        ({"guidance": -1.0}, "guidance must be at least 0"),
        ({"seed": -1}, "seed must be between"),
        ({"sample": 3, "resume": True}, "nothing to resume"),
        ({"data": "noons"}, "moons, rings"),
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


CONDITIONAL_DIGITS = {"vae": 0.003, "gan": 0.001, "diffusion": 0.003}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONDITIONAL_DIGITS)
def test_a_classifier_of_real_digits_names_the_class_of_conditional_samples(name, tmp_path):
    config = Config(
        name, "digits", conditional=True, width=128, learning_rate=CONDITIONAL_DIGITS[name],
        out=str(tmp_path / name), progress=False,
    )  # fmt: skip
    figures = main(config)
    assert figures["conditional_accuracy"] >= 0.95 and figures["classifier_accuracy"] >= 0.95
    assert figures["nearest_training_row"] > 0.5 * figures["nearest_training_row_of_test"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps", "width"), [("maf", 1000, 64), ("glow", 600, 32)])
def test_flows_of_digits_beat_the_normal_distributions_clearly(name, steps, width, tmp_path):
    config = Config(
        name, "digits", steps=steps, width=width, weight_decay=0.1, out=str(tmp_path / name),
        progress=False,
    )  # fmt: skip
    figures = main(config)
    assert figures["test_bits_per_dim"] < figures["gaussian_bits_per_dim"] - 0.3
    assert figures["gaussian_bits_per_dim"] < figures["factorised_gaussian_bits_per_dim"] - 0.3
