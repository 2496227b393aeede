"""From a linear to a deep network on digits, one ingredient at a time, as one program.

``python -m experiments.deep_digits --help`` lists the options. Depth, initialisation,
normalisation, skips, dropout, decay, shifted images and an ensemble are switched on in turn; each
row is cross-validated and compared with the one above it. The best row's ensemble is then tested
on the 450 digits that nothing has looked at: about 0.99 of them are right.
"""

import csv
import dataclasses
import json
import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.command import command, written_whole

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Config:
    """Cross-validate a table of ingredients in one compiled program, choose a row, train its
    ensemble on all but the test part, test it once, and write the table and a picture.
    """

    width: int = 128
    """Units of each hidden layer, 64 or more."""
    depth: int = 3
    """Hidden layers of the deep rows, 2 or more."""
    epochs: int = 80
    """Passes over the training part."""
    batch_size: int = 64
    """Examples a step."""
    learning_rate: float = 0.003
    """Of Adam at the start; it falls to zero as a cosine."""
    folds: int = 5
    """Of the cross-validation, stratified by class."""
    members: int = 10
    """Networks in the ensemble that is tested."""
    folded_members: int = 4
    """Networks in the ensemble that is cross-validated."""
    out: str = "runs/deep_digits"
    """The folder to write to."""
    checkpoint: str | None = None
    """A folder for checkpoints of the table's study: the same command goes on from there."""
    seed: int = 0
    """Of all training; the test part is always the same."""
    progress: bool = True
    """Show a bar."""


class Row(NamedTuple):
    """A row of the table, over all rows of the training part, each predicted when held out.

    accuracy, low, high: with Wilson's 95 % interval. nll: mean negative log-likelihood. gained,
    lost: digits that are right now and were wrong in the row above, and the reverse. p: of the
    exact McNemar test between the two, NaN in the first row.
    """

    name: str
    accuracy: float
    low: float
    high: float
    nll: float
    gained: int
    lost: int
    p: float


def main(config: Config) -> dict[str, Any]:
    """Run the studies, write ``config.out``, and return the figures that matter."""
    check(config)
    with written_whole(config.out) as folder:
        figures, table = _study(config)
        text = json.dumps(figures, indent=1, allow_nan=False)
        (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
        with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([Row._fields, *table])
        draw(table).savefig(folder / "ingredients.png", dpi=150)
        names = sorted(file.name for file in folder.iterdir())
    print(f"wrote {config.out}: {', '.join(names)}")
    return figures


def check(config: Config) -> None:
    """Raise a ValueError for numbers that make no sense, before anything heavy is imported."""
    least = {
        "width": 64,
        "depth": 2,
        "epochs": 1,
        "batch_size": 2,
        "folds": 2,
        "members": 1,
        "folded_members": 1,
    }
    for name, lowest in least.items():
        if getattr(config, name) < lowest:
            raise ValueError(f"{name} must be at least {lowest}, not {getattr(config, name)}")
    if not (math.isfinite(config.learning_rate) and config.learning_rate > 0):
        raise ValueError(f"learning_rate must be positive, not {config.learning_rate:g}")
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2^32 - 1, not {config.seed}")


def _study(config: Config) -> tuple[dict[str, Any], list[Row]]:
    from jaxdl import parallel

    parallel.use_all_cores()
    import jax
    import numpy as np
    from sklearn.model_selection import train_test_split

    from experiments import ingredients
    from jaxdl.data import load
    from jaxdl.model_selection import cross_validate, refit, stratified_k_fold, tables

    began = time.perf_counter()
    digits = load("digits")
    split = train_test_split(digits.x.astype(np.float32), digits.y.astype(np.int32), random_state=0)
    x, x_test, y, y_test = split
    print(f"digits: {len(x)} rows to choose by, {len(x_test)} held out")
    names = list(ingredients.ROWS)
    settings = ingredients.settings(config.depth, config.learning_rate)
    steps = config.epochs * math.ceil(len(x) * (1 - 1 / config.folds) / config.batch_size)
    make = ingredients.make_learner(config.width, config.depth, steps)
    how = {
        "folds": stratified_k_fold(y, config.folds),
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "keep": "predictions",
        "progress": config.progress,
    }
    key = jax.random.key(config.seed)
    study = cross_validate(
        make, settings, (x, y), key=jax.random.clone(key), checkpoint=config.checkpoint, **how
    )
    best = study.best("nll").index  # accuracies differ by a digit or two
    # The same folds and keys with more seeds: the first of them is the row of the table.
    several = cross_validate(
        make, [settings[best]], (x, y), key=key, seeds=config.folded_members, **how
    )
    held = [study.predictions[s, 0] for s in range(len(names))]
    held.append(several.predictions[0].mean(0))
    names.append(f"{names[best]}, {config.folded_members} averaged")
    table = compare(names, held, y, above=[*range(-1, len(names) - 2), best])
    print(show(table))
    print(f"{tables.caption(study)}\nchosen by its negative log-likelihood: {names[best]!r}")

    fitted = refit(study, (x, y), index=best, seeds=config.members, progress=config.progress)
    members = np.asarray(fitted.members(x_test))
    right = lambda p: float(np.mean(p.argmax(-1) == y_test))
    tested = {
        f"ensemble of {config.members}": right(members.mean(0)),
        "its members": float(np.mean([right(p) for p in members])),
        **{name: float(np.mean(p == y_test)) for name, p in _peers(x, y, x_test, config.seed)},
    }
    print(f"on the {len(y_test)} held-out digits:")
    print("\n".join(f"  {name.ljust(18)} {value:.4f}" for name, value in tested.items()))
    return {
        "table": [{k: None if v != v else v for k, v in row._asdict().items()} for row in table],
        "chosen": names[best],
        "test_accuracy": tested,
        "programs": study.num_programs,
        "compile_seconds": study.compile_seconds,
        "run_seconds": study.run_seconds,
        "seconds": time.perf_counter() - began,
    }, table


def compare(
    names: list[str], held: "list[np.ndarray]", y: "np.ndarray", above: list[int]
) -> list[Row]:
    """The table from probabilities [N, K] of held-out rows; ``above[i]`` is whom row i is set
    against, -1 for nobody."""
    import numpy as np
    from scipy.stats import binomtest

    from jaxdl import metrics
    from jaxdl.metrics import intervals

    right = [p.argmax(-1) == y for p in held]
    rows = []
    for i, (name, p) in enumerate(zip(names, held, strict=True)):
        low, high = intervals.wilson(int(right[i].sum()), len(y))
        accuracy, nll = float(right[i].mean()), float(metrics.log_loss(y, p))
        gained = lost = 0
        test = math.nan
        if above[i] >= 0:
            gained = int(np.sum(right[i] & ~right[above[i]]))
            lost = int(np.sum(~right[i] & right[above[i]]))
            test = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
        rows.append(Row(name, accuracy, float(low), float(high), nll, gained, lost, test))
    return rows


def show(table: list[Row]) -> str:
    """The table as text."""
    width = max(len(row.name) for row in table)
    head = f"{''.ljust(width)}  accuracy  95 % interval       nll   won  lost      p"
    lines = [
        f"{r.name.ljust(width)}  {r.accuracy:8.4f}  [{r.low:.4f}, {r.high:.4f}]  {r.nll:.4f}"
        + ("" if math.isnan(r.p) else f"  {r.gained:4d}  {r.lost:4d}  {r.p:5.2g}")
        for r in table
    ]
    note = "won, lost, p: against the row above (the ensemble: its own row), exact McNemar test"
    return "\n".join([head, *lines, note])


def draw(table: list[Row]) -> "Figure":
    """Error rates with their intervals, a row each, on a log axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    place = range(len(table))[::-1]
    error = [1 - row.accuracy for row in table]
    below = [row.high - row.accuracy for row in table]
    over = [row.accuracy - row.low for row in table]
    axes.errorbar(error, place, xerr=[below, over], fmt="o", capsize=3)
    axes.set_yticks(place, [row.name for row in table])
    axes.set_xscale("log")
    ticks = [t for t in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if min(error) / 3 < t]
    axes.set_xticks(ticks, [f"{t:.1%}" for t in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlim(min(1 - row.high for row in table) * 0.9, max(1 - r.low for r in table) * 1.1)
    axes.set_xlabel("wrong of the digits held out in turn, with 95 % intervals")
    axes.set_title("One ingredient after the other")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _peers(x, y, x_test, seed):
    """scikit-learn's predictions on the same split."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC

    for model in (SVC(), MLPClassifier(random_state=seed)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            yield f"{type(model).__name__}()", model.fit(x, y).predict(x_test)


if __name__ == "__main__":
    command("deep_digits", Config, main)
