"""Predictions of a saved model: ``python -m experiments.predict RUN FILE [--out FILE]``.

For a model of ``experiments.sentiment`` a text stands for FILE.
"""

import csv
import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

from experiments.command import command, print_whole, write_whole


@dataclasses.dataclass(frozen=True)
class Config:
    """Predict the rows of a table with the model that a model_selection run saved."""

    run: str
    """The run's folder, or its model.npz."""
    file: str
    """A table (CSV, NPZ, Parquet) with the columns of the training data, or an embedded data set's name; for
    a model of ``experiments.sentiment``, a text in quotation marks."""
    out: str | None = None
    """The CSV to write; default, standard output."""
    strict: bool = False
    """Refuse values and columns that the training had not; default, say what they count as."""


def main(config: Config) -> dict[str, Any]:
    """Write a line for each row, or for the text: the class and all probabilities, or the mean.

    Returns the number of rows, and the model's score where the file has the responses too: of all
    rows, and of those that the model was not trained on where there are others.
    """
    import numpy as np

    from experiments import tabular
    from jaxdl.data.tables.table import printable

    path = Path(config.run)
    path = path / "model.npz" if path.is_dir() else path
    if reads_texts(path):
        from experiments import sentiment

        return sentiment.predict(path, config.file, config.out)
    fitted, problem = tabular.load_model(path)
    rows = tabular.rows_to_predict(config.file, problem, config.strict)
    for note in rows.notes:
        print(printable(note), file=sys.stderr)
    out = np.asarray(fitted.predict(rows.x))
    text = table(out, problem.target, problem.target_names)
    if config.out is None:
        print_whole(text)
    else:
        write_whole(config.out, text)
    figures = {"rows": len(out)}
    seen = tabular.in_training(path, rows.x)
    known = None if rows.y is None else _known(rows.y)
    if known is not None:
        figures |= _score(rows.y[known], out[known], problem.target_names)
    if seen is not None and seen.any():
        figures["in_training"] = int(seen.sum())
        print(
            f"{seen.sum()} of the {len(out)} rows were in the model's training: what it says of "
            "those is no test of it",
            file=sys.stderr,
        )
        if known is not None and (known & ~seen).any():
            new = known & ~seen
            unseen = _score(rows.y[new], out[new], problem.target_names)
            figures |= {f"unseen_{k}": v for k, v in unseen.items()}
    print(in_words(figures), file=sys.stderr)
    return figures


def in_words(figures: dict[str, float]) -> str:
    """Figures as text: counts whole, all else with four digits.

    >>> in_words({"rows": 20000, "accuracy": 0.87441})
    'rows 20000, accuracy 0.8744'
    """
    return ", ".join(f"{k} {v}" if type(v) is int else f"{k} {v:.4g}" for k, v in figures.items())


def _known(y):
    """Which responses [N] are known: classes and counts that are not are -1, numbers NaN."""
    import numpy as np

    return ~np.isnan(y) if y.dtype.kind == "f" else y >= 0


def _score(y, out, names):
    """The accuracy of probabilities [N, K], or the root mean squared error of means [N]."""
    from experiments import scores

    metric, task = ("accuracy", "classify") if names else ("rmse", "regress")
    return {metric: scores.score(metric, y, out, task=task)}


def reads_texts(path: Path) -> bool:
    """Whether a saved model is one of ``experiments.sentiment``."""
    from jaxdl.model_selection.saved import read_header

    about = read_header(path).get("about")
    return isinstance(about, dict) and "texts" in about


def table(out, target: str, names: list[str] | None) -> str:
    """Probabilities [N, K] or means [N] as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names is None:
        writer.writerow([target])
        writer.writerows([f"{value:.7g}"] for value in out.tolist())
    else:
        writer.writerow([target, *(f"P({name})" for name in names)])
        best = out.argmax(-1)
        for k, row in zip(best, out.tolist(), strict=True):
            writer.writerow([names[k], *(f"{p:.6f}" for p in row)])
    return text.getvalue()


if __name__ == "__main__":
    command("predict", Config, main)
