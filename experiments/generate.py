"""A generative model of points in the plane or of images: trained, sampled and judged.

``python -m experiments.generate --help`` lists the options. A flow, a VAE, a diffusion model, a flow in
continuous time or a GAN learns moons, rings, eight Gaussians, 8 x 8 digits or a folder of images;
its samples are compared with data that it has not seen, and its likelihood with that of normal
distributions, and of the truth where that is known. ``--sample N`` draws from the model that a run
saved in ``--out``; ``--resume`` goes on with a run that was stopped.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from experiments.command import command, write_whole, written_whole


@dataclasses.dataclass(frozen=True)
class Config:
    """Train a generative model and judge its samples, or draw from one that was saved."""

    model: Literal[
        "flow", "realnvp", "maf", "naf", "glow", "vae", "diffusion", "flow_matching", "gan"
    ] = "flow"
    """Which one; flow is of couplings by splines, glow is for images."""
    data: str = "moons"
    """moons, rings, eight_gaussians, digits, or a folder with MNIST's four IDX files or pictures."""
    steps: int = 3000
    """Of training."""
    batch_size: int = 256
    """Examples a step."""
    learning_rate: float = 0.003
    """Adam's largest."""
    weight_decay: float = 0.0
    """Of all parameters, as in AdamW."""
    width: int = 64
    """Of the networks' layers."""
    depth: int = 0
    """Layers of a flow; 0 for what suits the data."""
    latent: int = 0
    """Latent variables of the VAE or the GAN; 0 for what suits the data."""
    diffusion_steps: int = 100
    """Of the diffusion model's noise."""
    guidance: float = 0.5
    """How much more than its due a class counts in the diffusion model's samples."""
    conditional: bool = False
    """Tell the VAE, the diffusion model or the GAN the class of each image."""
    convolutional: bool = False
    """Convolutional networks for the images of the VAE, the diffusion model or the GAN."""
    examples: int = 8000
    """Points, or images of a folder, to learn from; of digits there are 1347, and 450 for the test."""
    sample: int | None = None
    """Train nothing: write so many samples of the saved model to samples.csv."""
    resume: bool = False
    """Go on with the run of the same options that was stopped, from its last checkpoint."""
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
    from experiments.generative import run

    checkpoints = Path(config.out) / "checkpoints"
    if config.resume and not checkpoints.is_dir():
        raise ValueError(f"nothing to resume: there is no {checkpoints}")
    if not config.resume and run.forget(checkpoints):
        print(
            f"removed {checkpoints}, of a run that was stopped; --resume would have gone on with it"
        )
    with written_whole(config.out) as folder:
        trained = run.train(config, checkpoints)
        figures = run.judge(config, trained, folder)
        text = json.dumps(figures, indent=1, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        names = sorted(file.name for file in folder.iterdir())
    run.forget(checkpoints)
    for name, value in figures.items():
        print(f"{name.ljust(36)} {f'{value:.4f}' if isinstance(value, float) else value}")
    print(f"wrote {config.out}: {', '.join(names)}")
    return figures


def check(config: Config) -> None:
    """Raise a ValueError for options that make no sense, before anything heavy is imported."""
    least = {
        "steps": 1,
        "batch_size": 2,
        "width": 2,
        "depth": 0,
        "latent": 0,
        "examples": 40,
        "diffusion_steps": 2,
        "sample": 1,
    }
    for name, lowest in least.items():
        value = getattr(config, name)
        if value is not None and value < lowest:
            raise ValueError(f"{name} must be at least {lowest}, not {value}")
    if not 0 < config.learning_rate < 1:
        raise ValueError(f"learning_rate must be between 0 and 1, not {config.learning_rate}")
    for name in ("weight_decay", "guidance"):
        if not 0 <= getattr(config, name) < 100:
            raise ValueError(f"{name} must be at least 0, not {getattr(config, name)}")
    if not 0 <= config.seed < 2**31:
        raise ValueError(f"seed must be between 0 and 2^31 - 1, not {config.seed}")
    if config.sample is not None and config.resume:
        raise ValueError("sample trains nothing, so there is nothing to resume")


def draw(config: Config) -> dict[str, Any]:
    """Samples of the saved model as CSV, a column for each number and one for the class."""
    import numpy as np

    from experiments.generative import run

    trained = run.load(Path(config.out) / "model.npz")
    x, label = run.samples(trained, config.seed, config.sample)
    names = [f"x{i}" for i in range(x.shape[1])]
    lines = [",".join(names if label is None else ["class", *names])]
    classes = [()] * len(x) if label is None else np.asarray(label).tolist()
    for row, own in zip(np.asarray(x).tolist(), classes, strict=True):
        values = [f"{value:.6g}" for value in row]
        lines.append(",".join(values if label is None else [str(own), *values]))
    write_whole(Path(config.out) / "samples.csv", "\n".join(lines) + "\n")
    print(f"wrote {config.out}/samples.csv: {len(x)} samples of {trained.settings.model}")
    return {"samples": len(x)}


if __name__ == "__main__":
    command("generate", Config, main)
