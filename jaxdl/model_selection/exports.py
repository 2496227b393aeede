"""A study's numbers in long format and in JSON's types, and as files."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxdl.model_selection.study import Study
from jaxdl.model_selection.words import plain

ARRAYS = (
    "scores", "train_scores", "curves", "curve_epochs", "train_loss", "diverged", "epochs",
    "best_epochs", "dropped", "num_params",
)  # fmt: skip
AS_THEY_ARE = (
    "metric", "maximize", "strategy", "num_programs", "num_traces", "compile_seconds", "run_seconds",
)  # fmt: skip


def rows(study: Study) -> list[dict[str, Any]]:
    """Scores in long format: a dict for each setting x fold x seed x part x metric."""
    parts = {"validation": study.scores, "train": study.train_scores}
    return [
        {
            "setting": s,
            **study.hparams[s],
            "fold": f,
            "seed": study.seeds[k],
            "diverged": bool(study.diverged[s, f, k]),
            "trained_epochs": int(study.epochs[s, f, k]),
            "part": part,
            "metric": metric,
            "value": float(values[s, f, k]),
        }
        for part, scores in parts.items()
        for metric, values in scores.items()
        for s, f, k in np.ndindex(*values.shape)
    ]


def curve_rows(study: Study) -> list[dict[str, Any]]:
    """Learning curves in long format: a dict for each point."""
    parts = {"validation": study.curves, "train": study.train_curves}
    points = [
        (part, metric, curve, study.curve_epochs)
        for part, curves in parts.items()
        for metric, curve in curves.items()
    ]
    every = np.arange(1, study.train_loss.shape[-1] + 1)
    points.append(("train", "loss", study.train_loss, every))
    return [
        {
            "setting": s,
            "fold": f,
            "seed": study.seeds[k],
            "epoch": int(epochs[v]),
            "part": part,
            "metric": metric,
            "value": float(curve[s, f, k, v]),
        }
        for part, metric, curve, epochs in points
        for s, f, k, v in np.ndindex(*curve.shape)
    ]


def as_dict(study: Study) -> dict[str, Any]:
    """All numbers as plain lists, for JSON; not-a-numbers are None."""
    mean, error = study.summary()

    def listed(value):
        return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else plain(value)

    return {
        "hparams": [listed(h) for h in study.hparams],
        "mean": plain(mean),
        "standard_error": plain(error),
        "seeds": [int(seed) for seed in study.seeds],
        **{name: listed(getattr(study, name)) for name in ARRAYS},
        **{name: getattr(study, name) for name in AS_THEY_ARE},
    }


def write_csv(rows: list[dict[str, Any]], path: str | Path) -> None:
    """Write what ``rows`` or ``curve_rows`` gave as a CSV file."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({k: plain(v) for k, v in row.items()} for row in rows)


def write_json(study: Study, path: str | Path) -> None:
    """Write ``as_dict`` as a JSON file; not-a-numbers become null."""
    text = json.dumps(as_dict(study), indent=1, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")
