"""What a model-selection run says of itself: scores, lines, tables, pictures, a JSON summary."""

import csv
import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

import jaxdl
from experiments.tabular import Problem
from jaxdl import metrics, plotting
from jaxdl.data import Dataset
from jaxdl.metrics import intervals
from jaxdl.model_selection import Choice, Study, guards
from jaxdl.model_selection.refit import Fitted
from jaxdl.model_selection.splits import Split
from jaxdl.model_selection.study import plain

OURS = "this study"


class Test(NamedTuple):
    """A model on the test part.

    scores: by metric; the first is what counts. low, high: its 95 % interval.
    counts: confusion matrix [K, K] of classes, else None.
    """

    scores: dict[str, float]
    low: float
    high: float
    counts: np.ndarray | None


def test_scores(
    problem: Problem, models: dict[str, Callable], x: np.ndarray, y: np.ndarray, *, key
) -> dict[str, Test]:
    """Score models, ``(x [N, D]) -> probabilities [N, K] or means [N]``, on one test part.

    The interval is Wilson's for an accuracy and the bootstrap's, over the same resamples for every
    model, for a root mean squared error.
    """
    tests = {}
    for name, predict in models.items():
        out = np.asarray(predict(x), np.float64)
        if problem.task == "classify":
            tests[name] = _test_classes(out, y)
            continue
        error = np.square(out - y)
        root = lambda e: jnp.sqrt(jnp.mean(e))
        low, high = intervals.bootstrap(jax.random.clone(key), error, root)
        scores = {"rmse": float(np.sqrt(error.mean()))}
        if problem.task == "count":
            rate = np.maximum(out, 1e-12)
            scores["nll"] = float(np.mean(rate - y * np.log(rate) + np.asarray(gammaln(y + 1.0))))
        else:
            scores["r2"] = float(1 - error.sum() / np.square(y - y.mean()).sum())
        tests[name] = Test(scores, float(low), float(high), None)
    return tests


def _test_classes(probabilities: np.ndarray, y: np.ndarray) -> Test:
    predicted = probabilities.argmax(-1)
    right = int(np.sum(predicted == y))
    low, high = intervals.wilson(right, len(y))
    of_truth = probabilities[np.arange(len(y)), y]
    nll = float(-np.mean(np.log(np.maximum(of_truth, np.finfo(np.float32).eps))))
    counts = metrics.confusion_matrix(y, predicted, num_classes=probabilities.shape[1])
    return Test(
        {"accuracy": right / len(y), "nll": nll}, float(low), float(high), np.asarray(counts)
    )


def heading(dataset: Dataset, split: Split) -> str:
    """A line on what is studied, and on how many rows are held out."""
    kind = {"classify": "classes", "regress": "real responses", "count": "counts"}[dataset.task]
    kind = f"{len(dataset.target_names)} {kind}" if dataset.target_names else kind
    return (
        f"{dataset.name}: {len(dataset.y)} rows, {dataset.x.shape[1]} features, {kind} of "
        f"{dataset.target!r}; {len(split.train)} rows to choose by, {len(split.test)} held out"
    )


def chosen(choices: dict[str, Choice]) -> str:
    """A line for each rule's choice."""
    lines = []
    for rule, choice in choices.items():
        setting = ", ".join(f"{k}={plain(v)}" for k, v in choice.hparams.items())
        score = f"{choice.metric} {choice.mean:.4f} ± {choice.standard_error:.4f}"
        lines.append(f"choice by {rule.replace('_', ' ')}: {setting} ({score})")
    return "\n".join(lines)


def tested(tests: dict[str, Test], rows: int) -> str:
    """A line for each model: what counts with its interval, and the rest."""
    lines = [f"on the {rows} held-out rows, with 95 % intervals:"]
    width = max(map(len, tests))
    for name, test in tests.items():
        (first, value), *others = test.scores.items()
        rest = "".join(f"  {k} {v:.4g}" for k, v in others)
        lines.append(
            f"  {name.ljust(width)}  {first} {value:.4g} [{test.low:.4g}, {test.high:.4g}]{rest}"
        )
    return "\n".join(lines)


def warnings(problem: Problem, study: Study, choice: Choice, test: Test) -> list[str]:
    """What a careful reader would ask about: a line each."""
    lines = []
    failed = int(study.diverged.sum())
    if failed:
        lines.append(f"{failed} of {study.diverged.size} members diverged; none was chosen")
    for name, value in choice.hparams.items():
        tried = sorted({h[name] for h in study.hparams})
        if isinstance(value, float) and len(tried) > 2 and value and value in (tried[0], tried[-1]):
            end = "largest" if value == tried[-1] else "smallest"
            lines.append(f"{name}={value:g} is the {end} that was tried; widen the grid")
    if problem.task == "classify":
        suspicion = guards.suspicious_accuracy(test.scores["accuracy"])
        if suspicion:
            lines.append(str(suspicion))
    return lines


def write_tables(folder: Path, study: Study) -> None:
    """Write results.csv, a line for each score, and curves.csv, one for each point."""
    study.to_csv(folder / "results.csv")
    rows = study.curve_rows()
    with open(folder / "curves.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: plain(v) for k, v in row.items()} for row in rows)


def draw(folder: Path, study: Study, problem: Problem, test: Test) -> None:
    """Validation curves of the settings that vary, learning curves, a confusion matrix [K, K]."""
    for name in study.hparams[0]:
        if len({h[name] for h in study.hparams}) > 1:
            figure = plotting.validation_curve(study, name)
            figure.savefig(folder / f"validation_curve_{name}.png")
    plotting.learning_curves(study).savefig(folder / "learning_curves.png")
    if test.counts is not None:
        figure = plotting.confusion_matrix(test.counts, problem.target_names)
        figure.savefig(folder / "confusion_matrix.png")


def summary(
    config: Any,
    dataset: Dataset,
    split: Split,
    study: Study,
    choices: dict[str, Choice],
    fitted: Fitted,
    tests: dict[str, Test],
    warnings: list[str],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Everything that a later reader needs, as plain JSON values."""
    packages = ("jax", "jaxlib", "optax", "numpy", "scikit-learn")
    by_metric = {m: study.summary(m) for m in study.scores}
    settings = [
        {
            "hparams": h,
            "params": study.num_params[s],
            "diverged": int(study.diverged[s].sum()),
            **{m: {"mean": a[s], "standard_error": e[s]} for m, (a, e) in by_metric.items()},
        }
        for s, h in enumerate(study.hparams)
    ]
    return _plain(
        {
            "versions": {
                "jaxdl": jaxdl.__version__,
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in packages},
            },
            "config": dataclasses.asdict(config),
            "data": {
                "name": dataset.name,
                "task": dataset.task,
                "target": dataset.target,
                "rows": len(dataset.y),
                "features": dataset.x.shape[1],
                "classes": dataset.target_names,
                "train_rows": len(split.train),
                "test_rows": len(split.test),
            },
            "seconds": {
                **seconds, "compile": study.compile_seconds, "run": study.run_seconds,
            },
            "study": {
                "metric": study.metric,
                "settings": len(study.hparams),
                "folds": len(study.folds),
                "seeds": len(study.seeds),
                "programs": study.num_programs,
                "strategy": study.strategy,
            },
            "settings": settings,
            "choice": {rule: c._asdict() for rule, c in choices.items()},
            "trained": fitted.hparams,
            "test": {
                name: {**t.scores, "interval_95": [t.low, t.high]} for name, t in tests.items()
            },
            "confusion_matrix": tests[OURS].counts,
            "warnings": warnings,
        }
    )  # fmt: skip


def write_json(path: Path, value: Any) -> None:
    """Write plain values, strictly JSON."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def figures(study: Study, choice: Choice, tests: dict[str, Test]) -> dict[str, float]:
    """The numbers that matter, flat: the choice's score in validation, and all on the test part."""
    flat = {f"validation_{choice.metric}": choice.mean}
    for name, test in tests.items():
        prefix = "test" if name == OURS else name
        flat |= {f"{prefix}_{metric}": value for metric, value in test.scores.items()}
    return {**flat, "test_low": tests[OURS].low, "test_high": tests[OURS].high}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return plain(value)
