"""All generative models side by side, on points in the plane and on digits.

``python -m experiments.generative_table --help`` lists the options. For a VAE's latent width, a
flow's depth, a diffusion's steps and a GAN's penalty, cross-validation chooses first, each setting
in one program with its folds; then every model is trained on the whole training part and judged on
the test part. The default takes some fifteen minutes on two cores, most of it compilation: a line
says what is done. ``--models flow vae --data moons`` is a minute.
"""

import csv
import dataclasses
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.command import command, written_whole
from experiments.generate import Config as Generate
from experiments.generative.settings import MODELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "data",
    "model",
    "setting",
    "likelihood",
    "in",
    "kind",
    "mmd",
    "energy_distance",
    "energy_p_value",
    "coverage",
    "frechet_distance",
    "parameters",
    "seconds_to_train",
    "seconds_per_1000_samples",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Compare generative models: likelihoods, samples, and seconds."""

    models: tuple[str, ...] = MODELS
    """Which; glow is for images alone."""
    data: tuple[str, ...] = ("moons", "eight_gaussians", "digits")
    """moons, rings, eight_gaussians, digits, or folders of images."""
    steps: int = 2000
    """Of training."""
    batch_size: int = 256
    """Examples a step."""
    width: int = 64
    """Of the networks' layers."""
    examples: int = 8000
    """Points, or images of a folder, to learn from."""
    folds: int = 3
    """Of the choice of a setting; 0 chooses nothing and takes the defaults."""
    epochs: int = 15
    """Passes over a fold's training part, for the choice."""
    out: str = "runs/generative_table"
    """The folder to write to."""
    seed: int = 0
    """Of data, training and samples."""
    progress: bool = True
    """Show bars."""


def main(config: Config) -> dict[str, Any]:
    """Train and judge all models, and write ``config.out``; returns the rows of the table."""
    check(config)
    with written_whole(config.out) as folder:
        rows = _table(config, folder)
        (folder / "table.csv").write_text(as_csv(rows), encoding="utf-8")
        (folder / "table.md").write_text(as_markdown(rows), encoding="utf-8")
        names = sorted(file.name for file in folder.iterdir())
    print(as_markdown(rows))
    print(f"wrote {config.out}: {', '.join(names)}")
    return {"rows": rows}


def check(config: Config) -> None:
    """Raise a ValueError for options that make no sense, before anything heavy is imported."""
    unknown = [name for name in config.models if name not in MODELS]
    if unknown or not config.models:
        raise ValueError(f"models are some of {', '.join(MODELS)}, not {unknown or 'none'}")
    if not config.data:
        raise ValueError("data needs at least one name")
    for name, least in {"folds": 0, "epochs": 1}.items():
        if getattr(config, name) < least:
            raise ValueError(f"{name} must be at least {least}, not {getattr(config, name)}")
    if config.folds == 1:
        raise ValueError("folds must be at least 2, or 0 to choose nothing")
    from experiments import generate

    for name in config.models:
        generate.check(_options(config, name, "moons"))


def _options(config: Config, name: str, data: str) -> Generate:
    return Generate(
        name,
        data,
        config.steps,
        config.batch_size,
        width=config.width,
        examples=config.examples,
        out=config.out,
        seed=config.seed,
        progress=config.progress,
    )


def _table(config: Config, folder: Path) -> list[dict[str, Any]]:
    import jax
    import numpy as np

    from experiments.generative import run, selection
    from experiments.generative.data import load
    from jaxdl.model_selection import exports

    rows, panels = [], {}
    for name in config.data:
        data = load(name, config.seed, config.examples)
        known = [m for m in config.models if m != "glow" or data.shape is not None]
        figures = {}
        for model in known:
            began = time.perf_counter()
            options, setting = _options(config, model, name), {}
            if config.folds and model in selection.GRIDS:
                grid = selection.GRIDS[model][data.shape is not None]
                settings = run.settings_of(options, data)._replace(steps=_steps(config, data))
                study = selection.study(
                    data,
                    settings,
                    grid,
                    key=jax.random.key(config.seed),
                    folds=config.folds,
                    epochs=config.epochs,
                    batch_size=config.batch_size,
                    progress=config.progress,
                )
                exports.write_csv(exports.rows(study), folder / f"study_{_plain(name)}_{model}.csv")
                setting = study.best().hparams
            trained = run.train(options, data=data, chosen=setting)
            figures, samples, _ = run.measure(options, trained)
            run.save(folder / f"{_plain(name)}_{model}.npz", trained)
            rows.append(row(name, model, figures, data.shape is not None, setting))
            panels[name, model] = np.asarray(samples[:400])
            print(f"{name}, {model}: {time.perf_counter() - began:.0f} s", flush=True)
        rows += baselines(name, figures, data.shape is not None)
        test = data.test if data.levels is None else (data.test + 0.5) / data.levels
        panels[name, "data"] = np.asarray(test[:400])
        draw(panels, name, known, data.shape).savefig(folder / f"{_plain(name)}.png", dpi=150)
    return rows


def _steps(config: Config, data: Any) -> int:
    """Of a fold's training: what its rate's decay goes by."""
    rows = len(data.train) * (config.folds - 1) // config.folds
    return config.epochs * -(-rows // config.batch_size)


def _plain(name: str) -> str:
    return Path(name).name


def row(data, model, figures, image, setting) -> dict[str, Any]:
    """A row of the table: the likelihood in bits a dimension of images, in nats of points."""
    unit = "bits_per_dim" if image else "log_likelihood"
    bound = f"test_{unit}_bound"
    value = figures.get(f"test_{unit}", figures.get(bound))
    kind = "" if value is None else "bound" if bound in figures else "exact"
    chosen = ", ".join(f"{k}={v:g}" for k, v in setting.items())
    own = {
        "data": data,
        "model": model,
        "setting": chosen,
        "likelihood": value,
        "in": "bits/dim" if image else "nats",
        "kind": kind,
    }
    return own | {name: figures.get(name) for name in COLUMNS[len(own) :]}


def baselines(data, figures, image) -> list[dict[str, Any]]:
    """Rows of what the models are next to: normal distributions, and the truth."""
    unit = "bits_per_dim" if image else "log_likelihood"
    names = {"factorised_gaussian": "factorised normal", "gaussian": "normal", "true": "truth"}
    blank = dict.fromkeys(COLUMNS)
    return [
        blank
        | {
            "data": data,
            "model": said,
            "likelihood": figures[f"{name}_{unit}"],
            "in": "bits/dim" if image else "nats",
            "kind": "exact",
        }
        for name, said in names.items()
        if f"{name}_{unit}" in figures
    ]


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The table with all digits; an empty cell where there is no number."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table for people."""
    show = lambda v: "" if v is None else f"{v:.3g}" if isinstance(v, float) else str(v)
    named = [name.replace("_", " ") for name in COLUMNS]
    lines = ["| " + " | ".join(named) + " |", "|" + "---|" * len(named)]
    for each in rows:
        cells = dict(each)
        if each["likelihood"] is not None:
            cells["likelihood"] = f"{each['likelihood']:.4f}"
        lines.append("| " + " | ".join(show(cells[name]) for name in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def draw(panels: dict, name: str, models: Sequence[str], shape: Any) -> "Figure":
    """The data and each model's samples, side by side."""
    import numpy as np
    from matplotlib.figure import Figure

    shown = ("data", *models)
    columns = min(len(shown), 5)
    figure = Figure(figsize=(2.4 * columns, 2.6 * -(-len(shown) // columns)), layout="constrained")
    low, high = panels[name, "data"].min(0) - 0.3, panels[name, "data"].max(0) + 0.3
    for i, model in enumerate(shown):
        ax = figure.add_subplot(-(-len(shown) // columns), columns, i + 1)
        x = panels[name, model]
        if shape is None:
            ax.plot(x[:, 0], x[:, 1], ".", ms=2, alpha=0.6)
            ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        else:
            side = int(min(6, len(x) ** 0.5))
            tiles = np.pad(
                x[: side * side].reshape(side, side, *shape),
                ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)),
            )
            tiles = tiles.transpose(0, 2, 1, 3, 4).reshape(side * (shape[0] + 1), -1, shape[2])
            ax.imshow(np.clip(tiles, 0, 1).squeeze(), cmap="gray_r", vmin=0, vmax=1)
        ax.set(title=model, xticks=[], yticks=[])
    return figure


if __name__ == "__main__":
    command("generative_table", Config, main)
