"""A study's report: one HTML page to share."""

import dataclasses
import datetime
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxdl.metrics import directions
from jaxdl.model_selection.report import settings
from jaxdl.model_selection.report.compared import Compared, comparison, on_folds
from jaxdl.model_selection.report.curves import learning_curves
from jaxdl.model_selection.report.failures import failures
from jaxdl.model_selection.report.glance import at_a_glance, how_it_ran
from jaxdl.model_selection.report.markup import section, tag
from jaxdl.model_selection.report.page import page
from jaxdl.model_selection.report.pictures import against_score
from jaxdl.model_selection.report.predicted import Predicted, out_of_fold

if TYPE_CHECKING:
    from jaxdl.model_selection.study import Choice, Study


class Tested(NamedTuple):
    """What rows that were set aside tell of a choice that was trained on all others.

    verdict: a sentence. metric: of the scores; maximize: whether more of it is better. how: what
    they are and their intervals, in words. models: the choice first, then what it is compared
    with. predicted: by the choice.
    """

    verdict: str
    metric: str
    maximize: bool
    how: str
    models: Sequence[Compared]
    predicted: Predicted


def write(
    study: "Study",
    path: str | Path,
    y: Any = None,
    *,
    classes: Sequence[str] | None = None,
    columns: Mapping[str, Any] | None = None,
    baselines: Mapping[str, Any] | None = None,
    choice: "Choice | None" = None,
    tested: Tested | None = None,
    title: str = "Model selection",
    about: str = "",
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    seconds: Mapping[str, float] | None = None,
) -> None:
    """Write the report of a study as one HTML page, see ``Study.report``.

    Args:
      choice: default ``study.best()``.
      tested: what a test part tells; it then stands for the folds in what is compared and predicted.
      about: a line below the title. warnings, notes: a line each. seconds: of stages, by name.
    """
    y = None if y is None else _rows(study, y)
    without = ""
    if choice is not None and choice.metric != study.metric:
        maximize = directions.resolve(choice.metric, study.directions.get(choice.metric))
        study = dataclasses.replace(study, metric=choice.metric, maximize=maximize)
    if choice is None:
        try:
            choice = study.best()
        except ValueError as error:
            without = f"Nothing can be chosen: {error}."
    if tested is not None:
        metric, maximize, how, models = tested[1:5]
        found = tested.predicted
    else:
        metric, maximize = study.metric, study.maximize
        how = "on the held-out parts of the folds; intervals are one standard error to either side"
        models = [] if choice is None else on_folds(study, choice, y, baselines)
        found = _out_of_fold(study, choice, y, classes, columns)
    rows = settings.rows_of(study, choice)
    shown = settings.columns(study, rows)
    sections = [
        at_a_glance(
            study, choice, models, metric=metric, maximize=maximize,
            verdict=None if tested is None else tested.verdict, warnings=warnings, without=without,
        ),
        comparison(metric, models, how),
        settings.table(study, choice, rows, shown),
        against_score(study, choice),
        learning_curves(study, choice),
        *([section("predictions", "Predictions", tag("p", found))] if isinstance(found, str)
          else failures(found)),
        how_it_ran(study, seconds or {}, notes),
    ]  # fmt: skip
    s, f, k = study.diverged.shape
    versions = " and ".join(f"{n} {importlib.metadata.version(n)}" for n in ("jaxdl", "jax"))
    text = page(
        title,
        about or f"{s} settings x {f} folds x {k} seeds",
        [part for part in sections if part is not None],
        settings.data(shown),
        f"Written by {versions} on {datetime.date.today().isoformat()}.",
    )
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(text.encode("utf-8", "replace"))
        partial.replace(path)
    except BaseException:  # a full disk, or Ctrl-C
        partial.unlink(missing_ok=True)
        raise


def _rows(study: "Study", y: Any) -> np.ndarray:
    """The responses as an array. Raises a ValueError where they are not those of the study's rows."""
    y = np.asarray(y)
    n = 1 + max(int(np.max(part)) for fold in study.folds for part in fold)
    if (
        y.ndim == 0
        or len(y) < n
        or (study.predictions is not None and len(y) != study.predictions.shape[2])
    ):
        raise ValueError(f"y {list(y.shape)} is not of the study's {n} rows")
    return y


def _out_of_fold(study, choice, y, classes, columns) -> Predicted | str:
    if y is None:
        return "Given the responses, report(path, y), this page shows where predictions fail."
    if choice is None:
        return "Without a choice there are no predictions to look at."
    return out_of_fold(study, choice.index, y, classes, columns)
