"""Studies whose numbers are written down, for tests of what is made of them; nothing trains."""

import numpy as np

from jaxdl.base import Learner, Responses
from jaxdl.model_selection.splits import Fold
from jaxdl.model_selection.study import Recipe, Study

LABELS = Responses("labels", 0, np.inf)
NUMBERS = Responses("numbers")


def made(
    hparams,
    scores,
    predictions=None,
    *,
    metric="nll",
    maximize=False,
    rows=60,
    responses=LABELS,
    **parts,
):
    """A study of settings [S] with scores [S, F] of one seed, on neighbouring folds of the rows.

    Its curves fall, or rise, to the scores; ``parts`` are other fields of the Study.
    """
    scores = np.asarray(scores, float)[:, :, None]
    s, f, k = scores.shape
    every = np.arange(rows)
    folds = [Fold(np.setdiff1d(every, part), part) for part in np.array_split(every, f)]
    epochs = np.array([2, 4, 6, 8, 10])
    curve = scores[..., None] + (-1 if maximize else 1) * np.exp(-epochs / 2.0)
    fields = {
        "hparams": hparams, "scores": {metric: scores}, "train_scores": {},
        "curves": {metric: curve}, "train_curves": {}, "curve_epochs": epochs,
        "train_loss": np.repeat(np.abs(curve), 2, axis=-1), "diverged": np.zeros((s, f, k), bool),
        "unfit": np.zeros(f, bool), "epochs": np.full((s, f, k), 10), "best_epochs": None,
        "dropped": np.full(s, -1), "folds": folds, "seeds": [0],
        "predictions": predictions, "held_out": None, "states": None,
        "metric": metric, "maximize": maximize, "num_params": np.arange(1, s + 1) * 100,
        "strategy": "vmap: made by hand", "num_programs": 1, "num_traces": 1, "compile_seconds": 1.5,
        "run_seconds": 2.5,
        "recipe": Recipe(lambda h: Learner(*4 * [None], responses), None, None, None, None),
    }  # fmt: skip
    return Study(**{**fields, **parts})
