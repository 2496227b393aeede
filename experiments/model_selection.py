"""Which model, with which settings? A study over a grid, a choice, one look at held-out data.

``python -m experiments.model_selection --help`` lists the options. The default compares softmax
regression and multi-layer perceptrons on scikit-learn's digits: about 0.98 of the 450 held-out
digits are right; under a minute on two cores, compilation included.
"""

import dataclasses
import math
import time
from pathlib import Path
from typing import Any, Literal

from experiments.command import command, written_whole

METRICS = {
    "classify": ("accuracy", "nll"),
    "regress": ("squared_error", "nll"),
    "count": ("nll", "squared_error"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Train every setting on every fold with every seed in a few compiled programs; choose one,
    train it on all but the test part, test it once, and write tables, pictures and the model.
    """

    data: str = "digits"
    """digits, iris, wine, breast_cancer, diabetes, or a CSV or NPZ file."""
    target: str | None = None
    """The column to predict; default the last."""
    task: Literal["classify", "regress", "count"] | None = None
    """Default: what the target looks like."""
    missing: Literal["drop", "mean"] | None = None
    """Missing values: leave out the row, or fill in the training part's mean; default: an error."""
    hidden: tuple[str, ...] = ("none", "64", "128")
    """Widths of hidden layers, as 64 or 128-64; none is the linear model."""
    learning_rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03)
    """Of Adam."""
    weight_decays: tuple[float, ...] = (0.0, 0.001)
    """Coefficients of the sum of squared weights."""
    dropouts: tuple[float, ...] = (0.0, 0.2)
    """Rates behind hidden layers."""
    folds: int = 5
    """Of the cross-validation, stratified by class."""
    seeds: int = 2
    """Initialisations of each setting on each fold."""
    epochs: int | None = None
    """Passes over the training part; default, enough for 400 steps and at least 10."""
    batch_size: int | None = None
    """Examples a step; default, a tenth of a training part, between 16 and 100."""
    test_fraction: float = 0.25
    """Set aside before anything else."""
    metric: str | None = None
    """To choose by; default accuracy, squared_error or (for counts) nll."""
    rule: Literal["mean", "one_standard_error"] = "mean"
    """To choose by: the best mean, or the smallest model within a standard error of it."""
    ensemble: int = 1
    """Average this many of the best settings instead of taking one."""
    strategy: Literal["auto", "vmap", "chunked", "map", "sequential"] = "auto"
    """How members run; it changes the speed alone."""
    out: str = "runs/model_selection"
    """The folder to write to."""
    seed: int = 0
    """Of the split and of all training."""
    progress: bool = True
    """Show a bar."""


def main(config: Config) -> dict[str, float]:
    """Run the study, write ``config.out``, and return the figures that matter."""
    check(config)
    with written_whole(config.out) as folder:
        figures = _study(config, folder)
        names = sorted(file.name for file in folder.iterdir())
    print(f"wrote {config.out}: {', '.join(names)}")
    return figures


def check(config: Config) -> None:
    """Raise a ValueError for numbers that make no sense, before anything heavy is imported."""
    for name in ("hidden", "learning_rates", "weight_decays", "dropouts"):
        if not getattr(config, name):
            raise ValueError(f"{name} needs at least one value")
    valid = {
        "learning_rates": (lambda v: v > 0, "positive"),
        "weight_decays": (lambda v: v >= 0, "0 or more"),
        "dropouts": (lambda v: 0 <= v < 1, "in [0, 1)"),
    }
    for name, (holds, words) in valid.items():
        for value in getattr(config, name):
            if not (math.isfinite(value) and holds(value)):
                raise ValueError(f"{name} must be {words}, not {value:g}")
    if not 0 < config.test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, not {config.test_fraction:g}")
    for name in ("folds", "seeds", "epochs", "batch_size", "ensemble"):
        value, least = getattr(config, name), 2 if name == "folds" else 1
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2^32 - 1, not {config.seed}")


def schedule(config: Config, rows: int) -> tuple[int, int]:
    """Epochs and batch size for training parts of ``rows``."""
    batch_size = config.batch_size or min(100, max(16, rows // 10))
    return config.epochs or max(10, -(-400 // -(-rows // batch_size))), batch_size


def grid(config: Config) -> list[dict[str, Any]]:
    """All settings; a linear model has no hidden layer whose units could drop out."""
    from experiments.tabular import widths

    distinct = lambda values: list(dict.fromkeys(values))
    return [
        {"hidden": h, "learning_rate": rate, "weight_decay": decay, "dropout": dropout}
        for h in distinct(config.hidden)
        for dropout in (distinct(config.dropouts) if widths(h) else [0.0])
        for decay in distinct(config.weight_decays)
        for rate in distinct(config.learning_rates)
    ]


def _study(config: Config, folder: Path) -> dict[str, float]:
    clock = Clock()
    import jax

    from experiments import baselines, report, tabular
    from jaxdl.model_selection import cross_validate, guards, refit, splits

    dataset = tabular.load_dataset(config.data, config.target, config.task, config.missing)
    settings = grid(config)
    if config.ensemble > len(settings):
        raise ValueError(f"an ensemble of {config.ensemble} needs as many settings in the grid")
    if config.metric not in (None, *METRICS[dataset.task]):
        known = ", ".join(METRICS[dataset.task])
        raise ValueError(f"metric is one of {known}, not {config.metric!r}")
    root = jax.random.key(config.seed)
    split_key, fold_key, study_key, interval_key = jax.random.split(root, 4)
    classify = dataset.task == "classify"
    split = splits.train_validation_test(
        len(dataset.y),
        (1 - config.test_fraction, 0.0, config.test_fraction),
        key=split_key,
        stratify=dataset.y if classify else False,
    )
    x, y = dataset.x[split.train], dataset.y[split.train]
    held_out = guards.TestSetGuard((dataset.x[split.test], dataset.y[split.test]))
    problem = tabular.describe(dataset, y)
    print(report.heading(dataset, split))
    clock.lap("load")

    # The test part is drawn at random, so the folds are too: files are often sorted.
    folds = splits.as_folds(config.folds, len(y), y if classify else None, key=fold_key)
    epochs, batch_size = schedule(config, len(y) - len(y) // config.folds)
    study = cross_validate(
        tabular.make_learner(problem),
        settings,
        (x, y),
        key=study_key,
        folds=folds,
        seeds=config.seeds,
        epochs=epochs,
        batch_size=batch_size,
        transform=tabular.transform(problem),
        metric=config.metric or METRICS[dataset.task][0],
        stratify=False,
        strategy=config.strategy,
        train_scores=True,
        progress=config.progress,
    )
    clock.lap("study")
    print(study)
    choices = {rule: study.best(rule=rule) for rule in ("mean", "one_standard_error")}
    print(report.chosen(choices))

    fitted = refit(study, (x, y), settings=config.ensemble, rule=config.rule)
    if fitted.diverged.any():
        raise ValueError("training on all folds together diverged; try smaller learning rates")
    clock.lap("refit")
    rivals = baselines.train(
        dataset.task, x, y, missing=dataset.missing, seed=config.seed,
        num_classes=len(problem.target_names) if classify else 0,
    )  # fmt: skip
    clock.lap("baselines")

    # The only look at the test part: everything that is compared is trained by now.
    test_x, test_y = held_out.look()
    tests = report.test_scores(
        problem, {report.OURS: fitted.predict, **rivals}, test_x, test_y, key=interval_key
    )
    print(report.tested(tests, len(test_y)))
    warnings = report.warnings(problem, study, choices[config.rule], tests[report.OURS])
    for line in warnings:
        print(f"warning: {line}")

    tabular.save_model(folder / "model.npz", fitted, problem)
    report.write_tables(folder, study)
    report.draw(folder, study, problem, tests[report.OURS])
    clock.lap("write")
    summary = report.summary(
        config, dataset, split, study, choices, fitted, tests, warnings, clock.seconds()
    )
    report.write_json(folder / "report.json", summary)
    return report.figures(study, choices[config.rule], tests)


class Clock:
    """Wall-clock seconds between laps, by name."""

    def __init__(self):
        self.began = self.last = time.perf_counter()
        self.laps = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self.last = now - self.last, now

    def seconds(self) -> dict[str, float]:
        return {**self.laps, "total": time.perf_counter() - self.began}


def run(config: Config) -> None:
    """``main`` on all cores."""
    check(config)
    from jaxdl import parallel

    parallel.use_all_cores()
    main(config)


if __name__ == "__main__":
    command("model_selection", Config, run)
