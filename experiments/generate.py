"""A generative model of points in the plane or of digits: trained, sampled and judged.

``python -m experiments.generate --help`` lists the options. A flow, a VAE, a diffusion model, a flow in
continuous time or a GAN learns moons, rings, eight Gaussians or 8 x 8 digits; its samples are compared
with data that it has not seen, and its likelihood with that of a Gaussian, and of the truth where that
is known. ``--sample N`` draws from the model that a run saved in ``--out``.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.command import command, write_whole, written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JUDGED = 1000  # samples, and rows of the test part, that are compared


@dataclasses.dataclass(frozen=True)
class Config:
    """Train a generative model and judge its samples, or draw from one that was saved."""

    model: Literal["realnvp", "spline", "maf", "vae", "diffusion", "flow_matching", "gan"] = (
        "spline"
    )
    """Which one."""
    data: Literal["moons", "rings", "eight_gaussians", "digits"] = "moons"
    """What it learns."""
    steps: int = 3000
    """Of training."""
    batch_size: int = 256
    """Examples a step."""
    learning_rate: float = 0.003
    """Adam's largest."""
    width: int = 64
    """Of the networks' layers."""
    examples: int = 8000
    """Points to learn from; a fourth of that for the test. Of digits there are 1347 and 450."""
    sample: int | None = None
    """Train nothing: write so many samples of the saved model to samples.csv."""
    out: str = "runs/generate"
    """The folder to write to, and to read a model from."""
    seed: int = 0
    """Of data, training and samples."""
    progress: bool = True
    """Show a bar."""


def main(config: Config) -> dict[str, Any]:
    """Train and write ``config.out``, or draw; returns the figures that matter."""
    check(config)
    if config.sample is not None:
        return draw(config)
    with written_whole(config.out) as folder:
        figures = _train(config, folder)
        text = json.dumps(figures, indent=1, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        names = sorted(file.name for file in folder.iterdir())
    print(f"wrote {config.out}: {', '.join(names)}")
    return figures


def check(config: Config) -> None:
    """Raise a ValueError for options that make no sense, before anything heavy is imported."""
    least = {"steps": 1, "batch_size": 2, "width": 1, "examples": 40, "sample": 1}
    for name, lowest in least.items():
        value = getattr(config, name)
        if value is not None and value < lowest:
            raise ValueError(f"{name} must be at least {lowest}, not {value}")
    if not 0 < config.learning_rate < 1:
        raise ValueError(f"learning_rate must be between 0 and 1, not {config.learning_rate}")
    if not 0 <= config.seed < 2**31:
        raise ValueError(f"seed must be between 0 and 2^31 - 1, not {config.seed}")


def draw(config: Config) -> dict[str, Any]:
    """Samples of the saved model as CSV, a column for each number."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from experiments import generators, saved

    path = Path(config.out) / "model.npz"
    about, arrays = saved.read(path)
    known = {"model": str, "dim": int, "width": int, "center": list, "scale": list}
    wrong = about.get("experiment") != "generate"
    if wrong or any(type(about.get(k)) is not t for k, t in known.items()):
        raise ValueError(f"{path}: not a model of generate")
    generator = generators.make(about["model"], about["dim"], about["width"], 1e-3, 1)
    like = jax.eval_shape(generator.learner.init, jax.random.key(0))
    tree = saved.restored(arrays, {"params": like.params, "state": like.state}, path)
    state = like._replace(params=tree["params"], state=tree["state"])
    x = generator.sample(state, jax.random.key(config.seed), config.sample)
    x = np.asarray(x * jnp.array(about["scale"]) + jnp.array(about["center"]))
    lines = [",".join(f"x{i}" for i in range(x.shape[1]))]
    lines += [",".join(f"{value:.6g}" for value in row) for row in x.tolist()]
    write_whole(Path(config.out) / "samples.csv", "\n".join(lines) + "\n")
    print(f"wrote {config.out}/samples.csv: {len(x)} samples of {about['model']}")
    return {"samples": len(x)}


def _train(config: Config, folder: Path) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from experiments import generators, saved
    from jaxdl import plotting, training

    train, test = generators.load(config.data, config.seed, config.examples)
    center, scale = jnp.mean(train, 0), jnp.maximum(jnp.std(train, 0), 0.05)
    inside = lambda x: (x - center) / scale
    generator = generators.make(
        config.model, train.shape[1], config.width, config.learning_rate, config.steps
    )
    began = time.perf_counter()
    result = training.fit(
        generator.learner, inside(train), key=jax.random.key(config.seed), steps=config.steps,
        batch_size=min(config.batch_size, len(train)), progress=config.progress,
    )  # fmt: skip
    state = jax.block_until_ready(result.state)
    seconds = time.perf_counter() - began
    if int(result.history.diverged) >= 0:
        raise ValueError("training diverged; try a smaller learning_rate")
    sample = jax.jit(lambda key: generator.sample(state, key, JUDGED) * scale + center)
    keys = jax.random.split(jax.random.key(config.seed + 1), 5)
    samples = jax.block_until_ready(sample(keys[0]))
    began = time.perf_counter()
    jax.block_until_ready(sample(keys[1]))
    figures = {
        "model": config.model, "data": config.data, "steps": config.steps,
        "seconds_to_train": seconds,
        "seconds_per_1000_samples": (time.perf_counter() - began) * 1000 / JUDGED,
        **_likelihoods(config, generator, state, keys[2], train, test, inside, scale),
        **_distances(keys[3], train, test[:JUDGED], samples),
    }  # fmt: skip
    about = {
        "experiment": "generate", "model": config.model, "dim": train.shape[1],
        "width": config.width, "center": center.tolist(), "scale": scale.tolist(),
    }  # fmt: skip
    saved.save(folder / "model.npz", {"params": state.params, "state": state.state}, about)
    density = None
    if config.model in generators.FLOWS and train.shape[1] == 2:
        density = lambda x: generator.log_prob(state, keys[4], inside(x)) - jnp.log(scale).sum()
    draw_samples(np.asarray(test), np.asarray(samples), density).savefig(
        folder / "samples.png", dpi=150
    )
    plotting.training_curves(result.history).savefig(folder / "training.png", dpi=150)
    for name, value in figures.items():
        print(
            f"{name.ljust(36)} {value:.4f}"
            if isinstance(value, float)
            else f"{name.ljust(36)} {value}"
        )
    return figures


def _likelihoods(config, generator, state, key, train, test, inside, scale) -> dict[str, float]:
    """Mean log-densities of the test part in nats, and what they are next to."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.scipy.stats import multivariate_normal

    from experiments import generators
    from jaxdl.data import synthetic

    dim = test.shape[1]
    figures = {}
    if generator.log_prob is not None:
        log_prob = jax.jit(lambda x: generator.log_prob(state, key, inside(x)))
        value = float(jnp.mean(log_prob(test))) - float(jnp.sum(jnp.log(scale)))
        exact = config.model in (*generators.FLOWS, "flow_matching")
        figures["test_log_likelihood" if exact else "test_log_likelihood_bound"] = value
    covariance = jnp.cov(train, rowvar=False) + 1e-4 * jnp.eye(dim)
    gauss = multivariate_normal.logpdf(test, train.mean(0), covariance)
    figures["gaussian_log_likelihood"] = float(gauss.mean())
    truth = {
        "moons": synthetic.two_moons_log_density,
        "rings": synthetic.rings_log_density,
        "eight_gaussians": synthetic.eight_gaussians_log_density,
    }
    if config.data in truth:
        figures["true_log_likelihood"] = float(truth[config.data](test).mean())
    if config.data == "digits":
        bits = lambda nats: -nats / (dim * np.log(2)) + np.log2(generators.LEVELS)
        for name, nats in list(figures.items()):
            figures[name.replace("log_likelihood", "bits_per_dim")] = float(bits(nats))
    return figures


def _distances(key, train, test, samples) -> dict[str, float]:
    """How far samples are from data that were not seen, and whether they were memorised."""
    import jax.numpy as jnp

    from jaxdl import metrics

    test_of = metrics.energy_test(key, test[:400], samples[:400], permutations=199)
    covered = metrics.sample_coverage(test, samples[: len(test)])
    return {
        "mmd": float(metrics.maximum_mean_discrepancy(test, samples)),
        "energy_distance": float(metrics.energy_distance(test, samples)),
        "energy_p_value": float(test_of.p_value),
        "precision": float(covered.precision),
        "recall": float(covered.recall),
        "coverage": float(covered.coverage),
        "nearest_training_row": float(jnp.median(metrics.nearest_neighbours(train, samples)[1])),
        "nearest_training_row_of_test": float(
            jnp.median(metrics.nearest_neighbours(train, test)[1])
        ),
    }


def draw_samples(test, samples, density=None) -> "Figure":
    """Data and samples side by side: points [N, 2] with the density, or digits [N, 64]."""
    import jax.numpy as jnp
    import numpy as np
    from matplotlib.figure import Figure

    from jaxdl import plotting

    if test.shape[1] == 64:
        rows = [(test[:16], "data"), (samples[:48], "sample")]
        images = np.concatenate([part for part, _ in rows]).reshape(-1, 8, 8)
        titles = [name for part, name in rows for _ in part]
        return plotting.image_grid(images, titles, columns=16, low=0, high=1)
    panels = 3 if density is not None else 2
    figure = Figure(figsize=(3.4 * panels, 3.5), layout="constrained")
    axes = figure.subplots(1, panels)
    low, high = test.min(0) - 0.3, test.max(0) + 0.3
    for ax, points, title in zip(axes, (test, samples), ("data", "samples"), strict=False):
        ax.plot(points[:1000, 0], points[:1000, 1], ".", ms=2, alpha=0.6)
        ax.set_title(title)
    if density is not None:
        grid = [np.linspace(a, b, 120) for a, b in zip(low, high, strict=True)]
        places = np.stack(np.meshgrid(*grid), -1).reshape(-1, 2)
        values = np.exp(np.asarray(density(jnp.asarray(places, jnp.float32)))).reshape(120, 120)
        axes[2].pcolormesh(*grid, values, cmap="Blues", shading="gouraud")
        axes[2].set_title("density of the model")
    for ax in axes:
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return figure


if __name__ == "__main__":
    command("generate", Config, main)
