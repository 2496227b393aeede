"""What was predicted of rows whose response is known."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxdl.model_selection import grid as grids
from jaxdl.model_selection.population.settings import responses_of

if TYPE_CHECKING:
    from jaxdl.model_selection.study import Study


class Predicted(NamedTuple):
    """Rows with their responses and predictions.

    y: [n], labels 0..K-1 or numbers. outputs: probabilities [n, K], or means [n]. rows: names [n].
    columns: {name: values [n]} to be shown with a row. classes: K names, None of numbers. said:
    whose predictions these are, in words.
    """

    y: np.ndarray
    outputs: np.ndarray
    rows: np.ndarray
    columns: dict[str, np.ndarray]
    classes: list[str] | None
    said: str

    def losses(self) -> np.ndarray:
        """How wrong each row is, [n]: ``-log`` of its class's probability, or ``|y - mean|``."""
        if self.classes is None:
            return np.abs(self.y - self.outputs)
        of_truth = self.outputs[np.arange(len(self.y)), self.y]
        return -np.log(np.maximum(of_truth.astype(float), np.finfo(np.float32).tiny))


def predicted(
    y: Any,
    outputs: Any,
    *,
    said: str,
    labels: bool,
    rows: Any = None,
    classes: Sequence[str] | None = None,
    columns: Mapping[str, Any] | None = None,
) -> Predicted:
    """A Predicted of rows [n] whose prediction is finite.

    ``labels`` says that y are classes; means [n] of two are then the probability of class 1.

    Raises a ValueError where shapes do not fit.
    """
    y, outputs = np.asarray(y), np.asarray(outputs)
    columns = {str(k): np.asarray(v) for k, v in (columns or {}).items()}
    rows = np.arange(len(y)) if rows is None else np.asarray(rows)
    for name, values in {"outputs": outputs, "rows": rows, **columns}.items():
        if len(values) != len(y):
            raise ValueError(f"{name} has {len(values)} rows, y has {len(y)}")
    if labels and outputs.ndim == 1:
        outputs = np.stack([1 - outputs, outputs], 1)
    if outputs.ndim != 1 + labels or y.ndim != 1:
        raise ValueError(
            f"predictions {list(outputs.shape)} of y {list(y.shape)} are none of classes or numbers"
        )
    names = None
    if labels:
        names = [str(c) for c in (range(outputs.shape[1]) if classes is None else classes)]
        y = y.astype(np.int64)
        if len(names) != outputs.shape[1] or y.min(initial=0) < 0 or y.max(initial=0) >= len(names):
            raise ValueError(
                f"{len(names)} classes, labels from {y.min()} to {y.max()} and "
                f"{outputs.shape[1]} probabilities a row do not fit"
            )
    some = np.isfinite(outputs).reshape(len(y), -1).all(1)
    columns = {k: v[some] for k, v in columns.items()}
    return Predicted(y[some], outputs[some], rows[some], columns, names, said)


def has_labels(study: "Study", y: np.ndarray) -> bool:
    """Whether the responses y are classes: as the learner says, else whole numbers of one axis.

    A study that was loaded without its ``make_learner`` does not say.
    """
    try:
        responses = responses_of(study.recipe.make_learner, grids.signatures(study.hparams)[0])
    except ValueError:
        responses = None
    if responses is not None:
        return responses.kind == "labels"
    several = study.predictions is not None and study.predictions.ndim == 4
    return y.ndim == 1 and several and np.issubdtype(y.dtype, np.integer)


def out_of_fold(
    study: "Study",
    setting: int,
    y: np.ndarray,
    classes: Sequence[str] | None,
    columns: Mapping[str, Any] | None,
) -> Predicted | str:
    """What the folds' models predicted of the rows that they held out, averaged over seeds.

    A text says why there is nothing: no predictions kept, or other shapes than of classes and
    numbers.
    """
    if study.predictions is None:
        return 'The study keeps no predictions: cross_validate(..., keep="predictions") does.'
    outputs = study.predictions[setting].mean(0)
    seeds = len(study.seeds)
    said = "each row predicted by the model that did not see it" + (
        f", averaged over {seeds} seeds" if seeds > 1 else ""
    )
    labels = has_labels(study, y)
    shaped = outputs.ndim == 1 + labels or (labels and outputs.ndim == 1)
    if y.ndim != 1 or not shaped or (labels and y.min(initial=0) < 0):
        return (
            f"Predictions {list(outputs.shape)} of responses {list(y.shape)} are neither of "
            "classes nor of single numbers; there is no picture of them."
        )
    return predicted(y, outputs, said=said, labels=labels, classes=classes, columns=columns)
