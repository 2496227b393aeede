"""What a model-selection run says of itself: scores, lines, tables, pictures, a JSON summary."""

import dataclasses
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

import jaxdl
from experiments.partition import Partition
from experiments.scores import Scored, better_by
from experiments.verdict import FEW, OURS
from jaxdl import plotting
from jaxdl.data import Dataset
from jaxdl.data.tables.table import printable
from jaxdl.model_selection import Choice, Study, exports
from jaxdl.model_selection.fitted import Fitted
from jaxdl.model_selection.words import plain


def heading(dataset: Dataset, partition: Partition) -> str:
    """A line on what is studied and how many rows are held out; how the rows were divided; and
    what speaks against that.
    """
    split = partition.split
    kind = {"classify": "classes", "regress": "real responses", "count": "counts"}[dataset.task]
    kind = f"{len(dataset.target_names)} {kind}" if dataset.target_names else kind
    line = (
        f"{dataset.name}: {len(dataset.y)} rows, {dataset.x.shape[1]} features, {kind} of "
        f"{dataset.target!r}; {len(split.train)} rows to choose by, {len(split.test)} held out"
    )
    doubts = [f"warning: {line}" for line in partition.warnings]
    return "\n".join([line, *map(printable, (*partition.notes, *doubts))])


def columns(dataset: Dataset, most: int = 50) -> str:
    """A table of what each column of a file was taken for, and what becomes of it.

    Of more than ``most`` columns those stand there that are more than a number without a gap.
    """
    rows = list(dataset.columns)
    if len(rows) > most:
        plain = lambda c: c["as"] == "number" and not c["missing"] and not c["said"]
        rows = sorted(rows, key=plain)[:most]
        rows = [c for c in dataset.columns if c in rows]
    lines = [("column", "read as", "values", "missing", "becomes")]
    for c in rows:
        said = f"{c['becomes']} ({c['said']})" if c["said"] not in c["becomes"] else c["becomes"]
        cells = (_cut(c["name"], 28), c["as"], _cut(c["values"], 44), str(c["missing"]), said)
        lines.append(tuple(map(printable, cells)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    if len(dataset.columns) > len(rows):
        text.append(f"and {len(dataset.columns) - len(rows)} more columns, see report.json")
    return "\n".join([*text, *map(printable, dataset.notes)])


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def chosen(choices: dict[str, Choice]) -> str:
    """A line for each rule's choice."""
    lines = []
    for rule, choice in choices.items():
        setting = ", ".join(f"{k}={plain(v)}" for k, v in choice.hparams.items())
        score = f"{choice.metric} {choice.mean:.4f} ± {choice.standard_error:.4f}"
        lines.append(f"choice by {rule.replace('_', ' ')}: {setting} ({score})")
    return "\n".join(lines)


def tested(
    tests: dict[str, Scored], rows: int, choice: Choice, positive: str | None, by: str
) -> str:
    """Which choice was tested; a line for each model: what counts with its interval, and the rest.

    ``positive`` names the class that average_precision is about; ``by`` says how rows were divided.
    """
    pieces = "" if by == "chance" else f" by {tests[OURS].units} {FEW[by][1]}"
    lines = [
        f"the choice by {choice.rule.replace('_', ' ')} on the {rows} held-out rows, "
        f"with 95 % intervals{pieces}"
        + (f" (average_precision is of {positive!r})" if positive is not None else "")
        + ":"
    ]
    width = max(map(len, tests))
    for name, test in tests.items():
        (first, value), *others = test.scores.items()
        rest = "".join(f"  {k} {v:.4g}" for k, v in others)
        low, high = test.interval()
        lines.append(f"  {name.ljust(width)}  {first} {value:.4g} [{low:.4g}, {high:.4g}]{rest}")
    return "\n".join(lines)


def write_tables(folder: Path, study: Study) -> None:
    """Write results.csv, a line for each score, and curves.csv, one for each point."""
    exports.write_csv(exports.rows(study), folder / "results.csv")
    exports.write_csv(exports.curve_rows(study), folder / "curves.csv")


def draw_study(folder: Path, study: Study) -> None:
    """Validation curves of the settings that vary, and learning curves of the best.

    A metric of whole folds has no learning curve: there the negative log-likelihood stands.
    """
    for name in study.hparams[0]:
        if len({h[name] for h in study.hparams}) > 1:
            figure = plotting.validation_curve(study, name)
            figure.savefig(folder / f"validation_curve_{name}.png")
    metric = study.metric if study.metric in study.curves else "nll"
    plotting.learning_curves(study, metric=metric).savefig(folder / "learning_curves.png")


def draw_confusion(folder: Path, counts: np.ndarray, names: list[str]) -> None:
    """A confusion matrix [K, K]."""
    plotting.confusion_matrix(counts, names).savefig(folder / "confusion_matrix.png")


def summary(
    config: Any,
    dataset: Dataset,
    partition: Partition,
    study: Study,
    choices: dict[str, Choice],
    seconds: dict[str, float],
    notes: list[str],
    judged: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that a later reader needs, as plain JSON values.

    ``notes`` are on the study, a line each. ``judged`` is what only the test part tells; until then ``complete`` is false.
    """
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
                "train_rows": len(partition.split.train),
                "test_rows": len(partition.split.test),
                "notes": dataset.notes,
            },
            "split": {
                "by": partition.by,
                "column": partition.column,
                "duplicates": partition.duplicates,
                "notes": partition.notes,
            },
            "warnings": partition.warnings,
            "columns": dataset.columns,
            "seconds": {
                **seconds,
                "compile": study.compile_seconds,
                "run": study.run_seconds,
            },
            "study": {
                "metric": study.metric,
                "settings": len(study.hparams),
                "folds": len(study.folds),
                "seeds": len(study.seeds),
                "programs": study.num_programs,
                "strategy": study.strategy,
                "notes": notes,
            },
            "settings": settings,
            "choice": {rule: c._asdict() for rule, c in choices.items()},
            "complete": judged is not None,
            **(judged or {}),
        }
    )


def judged(
    fitted: Fitted, tests: dict[str, Scored], verdict: str, warnings: list[str]
) -> dict[str, Any]:
    """What only the test part tells, for ``summary``; ``paired``: by how much ours is better."""
    ours = tests[OURS]
    paired = {name: better_by(ours, other) for name, other in tests.items() if name != OURS}
    return {
        "trained": fitted.hparams,
        "test": {
            name: {**t.scores, "interval_95": list(t.interval())} for name, t in tests.items()
        },
        "paired": {
            name: {"better_by": by, "interval_95": [low, high]}
            for name, (by, low, high) in paired.items()
        },
        "verdict": verdict,
        "confusion_matrix": tests[OURS].counts,
        "warnings": warnings,
    }


def write_json(path: Path, value: Any) -> None:
    """Write plain values, strictly JSON."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def figures(choice: Choice, tests: dict[str, Scored]) -> dict[str, float]:
    """The numbers that matter, flat: the choice's score in validation, and all on the test part."""
    flat = {f"validation_{choice.metric}": choice.mean}
    for name, test in tests.items():
        prefix = "test" if name == OURS else name
        flat |= {f"{prefix}_{metric}": value for metric, value in test.scores.items()}
    low, high = tests[OURS].interval()
    return {**flat, "test_low": low, "test_high": high}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return plain(value)
