"""generative_table at a tiny size: what it writes, what its columns say, and how a setting is chosen."""

import csv

import jax
import numpy as np
import pytest

from experiments import generative_table
from experiments.generative import data as generative_data
from experiments.generative import run, selection
from experiments.generative.settings import Settings
from experiments.generative_table import Config, main


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "table"
    rows = main(
        Config(
            models=("maf", "gan"), data=("moons",), steps=2, epochs=1, folds=2, examples=60, width=4,
            batch_size=30, progress=False, out=str(out),
        )
    )["rows"]  # fmt: skip
    return rows, out


@pytest.mark.slow
def test_it_writes_tables_pictures_models_and_studies(table):
    rows, out = table
    assert {p.name for p in out.iterdir()} == {
        "table.csv", "table.md", "moons.png", "moons_maf.npz", "moons_gan.npz",
        "study_moons_gan.csv",
    }  # fmt: skip
    assert [r["model"] for r in rows] == ["maf", "gan", "factorised normal", "normal", "truth"]
    by_name = {r["model"]: r for r in rows}
    assert by_name["gan"]["likelihood"] is None and by_name["maf"]["kind"] == "exact"
    assert by_name["truth"]["likelihood"] > by_name["normal"]["likelihood"]
    written = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [r["model"] for r in written] == [r["model"] for r in rows]
    assert float(written[0]["mmd"]) == rows[0]["mmd"] and written[1]["likelihood"] == ""
    assert run.load(out / "moons_maf.npz").settings.model == "maf"


@pytest.mark.slow
def test_the_gans_penalty_is_chosen_in_one_program(table):
    rows, out = table
    scores = list(csv.DictReader((out / "study_moons_gan.csv").read_text().splitlines()))
    scores = [r for r in scores if r["metric"] == "energy_score"]
    values = lambda p: [float(r["value"]) for r in scores if r["penalty"] == p]
    means = {p: np.mean(values(p)) for p in {r["penalty"] for r in scores}}
    assert len(means) == 3
    assert rows[1]["setting"] == f"penalty={float(min(means, key=means.get)):g}"


def test_held_out_bits_are_of_the_whole_numbers():
    """A VAE that says nothing yet of pixels: N(0, 1) of standardised ones, from its own formula."""
    digits = generative_data.load("digits", 0, 0)
    digits = digits._replace(train=digits.train[:120])
    settings = Settings("maf", 64, (8, 8, 1), width=4, depth=1, rate=1e-9, steps=1)
    found = selection.study(
        digits, settings, {"depth": [1]}, key=jax.random.key(0), folds=2, epochs=1, batch_size=60
    )
    assert found.metric == "bits_per_dim" and found.num_programs == 1
    pixels = np.asarray(digits.train)
    mean = (pixels.mean(0) + 0.5) / 17
    scale = np.maximum(pixels.std(0) / 17, 0.05)
    noisy = (pixels + np.random.default_rng(0).uniform(size=pixels.shape)) / 17
    nats = -0.5 * ((noisy - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)
    bits = -nats.mean() / np.log(2) + np.log2(17)
    assert found.summary()[0][0] == pytest.approx(bits, abs=0.05)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"models": ("vea",)}, "not .'vea'."),
        ({"data": ()}, "at least one name"),
        ({"folds": 1}, "at least 2, or 0"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_bad_options(option, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(out=str(tmp_path / "no"), **option))
    assert not (tmp_path / "no").exists()


def test_tables_as_text():
    row = generative_table.row(
        "digits", "vae", {"test_bits_per_dim_bound": 2.5}, True, {"latent": 8}
    )
    text = generative_table.as_markdown([row]).splitlines()
    assert len(text) == 3 and text[2].startswith(
        "| digits | vae | latent=8 | 2.5000 | bits/dim | bound |"
    )
