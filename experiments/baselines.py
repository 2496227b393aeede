"""What scikit-learn makes of the same split: the models a study has to beat.

They are trained in a process of their own, so that one that takes too long can be stopped.
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jaxdl.checks import one_of

NAMES = {
    "classify": ("LogisticRegression", "MLPClassifier", "HistGradientBoosting"),
    "regress": ("RidgeCV", "HistGradientBoosting"),
    "count": ("PoissonRegressor", "HistGradientBoosting"),
}


def chosen(task: str, names: Sequence[str]) -> tuple[str, ...]:
    """The baselines of a task that are asked for by their names, or by all or none alone.

    Raises a ValueError for others.
    """
    if tuple(names) in (("all",), ("none",)):
        return NAMES[task] if names[0] == "all" else ()
    for name in names:
        one_of("baselines", name, (*NAMES[task], *(("all", "none") if len(names) == 1 else ())))
    return tuple(name for name in NAMES[task] if name in names)


def constant(task: str, y: np.ndarray, num_classes: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """The frequencies of classes [K], or the mean of responses y [n], whatever the features."""
    if task == "classify":
        value = np.bincount(y, minlength=num_classes) / len(y)
    else:
        value = np.float64(np.mean(y, dtype=np.float64))
    return lambda x: np.broadcast_to(value, (len(x), *value.shape))


def train(
    task: str,
    x: np.ndarray,
    y: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    num_classes: int = 0,
    missing: bool,
    coded: Sequence[int] = (),
    seed: int,
    seconds: float,
    say: Callable[[str], None] = print,
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Baselines by name, each a function from features [N, D] to probabilities [N, K] or means [N].

    Features are standardised, missing ones filled with means, and ``coded`` ones, categories, become
    mean targets by scikit-learn's TargetEncoder, which cross-fits too. ``classify``: logistic regression,
    scikit-learn's own perceptron with one hidden layer; ``regress``: ridge regression with its
    penalty chosen by cross-validation; ``count``: Poisson regression; and gradient-boosted trees
    for all. Those that are not there after ``seconds`` in all, or that fail, are left out; each
    is told of by ``say``. ``names`` are some of those, in this order.
    """
    names = NAMES[task] if names is None else names
    began, fitted = time.monotonic(), {}
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "OMP_WAIT_POLICY": "passive",
    }
    # In a session of its own: Ctrl-C is for us, who then stop it.
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.baselines"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    arrived = queue.SimpleQueue()
    exchange = threading.Thread(
        target=_exchange,
        args=(process, (names, task, x, y, missing, coded, seed), arrived),
        daemon=True,
    )
    exchange.start()
    try:
        for name in names:
            since = time.monotonic()
            try:
                model = arrived.get(timeout=max(0.0, seconds - (since - began)))
            except queue.Empty:
                say(f"left out: {name} and what follows, not done in {seconds:g} s")
                break
            if isinstance(model, Exception):
                say(f"left out: {name} ({' '.join(str(model).split())[:200]})")
                continue
            say(f"{name}: {time.monotonic() - since:.1f} s")
            fitted[name] = _predictor(model, num_classes)
    finally:
        process.kill()
        process.wait()
        exchange.join()
        process.stdout.close()
    return fitted


def _exchange(process, problem, arrived) -> None:
    """Hand the problem to the process and take what it fits, in order; its end as an error."""
    try:
        with process.stdin:
            pickle.dump(problem, process.stdin)
        while True:
            arrived.put(pickle.load(process.stdout))
    except (EOFError, OSError, pickle.UnpicklingError):
        for _ in problem[0]:
            arrived.put(ValueError("its process ended"))


def _fit_all() -> None:
    """In the process of its own: read a problem, write a fitted pipeline, or an error, for each."""
    names, task, x, y, missing, coded, seed = pickle.load(sys.stdin.buffer)
    for name in names:
        try:
            result = _fit(name, task, x, y, missing, coded, seed)
        except Exception as error:  # whatever it is, the study goes on without this baseline
            result = ValueError(str(error))
        pickle.dump(result, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _fit(name: str, task: str, x, y, missing: bool, coded: Sequence[int], seed: int):
    from scipy.optimize import OptimizeWarning
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, PoissonRegressor, RidgeCV
    from sklearn.model_selection import KFold
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler, TargetEncoder

    loss = {"regress": "squared_error", "count": "poisson"}
    model = {
        "LogisticRegression": lambda: LogisticRegression(max_iter=1000),
        "MLPClassifier": lambda: MLPClassifier(random_state=seed),
        "RidgeCV": lambda: RidgeCV(np.logspace(-3, 3, 13)),
        "PoissonRegressor": lambda: PoissonRegressor(max_iter=1000),
        "HistGradientBoosting": lambda: (
            HistGradientBoostingClassifier(random_state=seed)
            if task == "classify"
            else HistGradientBoostingRegressor(loss=loss[task], random_state=seed)
        ),
    }[name]()
    fill = [SimpleImputer(keep_empty_features=True)] if missing else []
    kind = "continuous" if task != "classify" else "binary" if y.max() < 2 else "multiclass"
    encoder = TargetEncoder(target_type=kind)
    # From 1.11 on scikit-learn takes the seed of the folds with the folds alone.
    by_seed = {"random_state": seed}
    if "random_state" not in encoder.get_params():
        by_seed = {"cv": KFold(5, shuffle=True, random_state=seed)}
    encoder.set_params(**by_seed)
    means = ColumnTransformer([("means", encoder, list(coded))], remainder="passthrough")
    steps = [*([means] if coded else []), *fill, StandardScaler(), model]
    pipeline = make_pipeline(*steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The least populated class")
        warnings.filterwarnings("ignore", "`TargetEncoder.shuffle`", FutureWarning)
        # Older scikit-learn passes an option that newer SciPy no longer knows.
        warnings.filterwarnings("ignore", "Unknown solver options", OptimizeWarning)
        return pipeline.fit(x.astype(np.float64), y)


def _predictor(pipeline, num_classes: int):
    def probabilities(x):
        out = np.zeros((len(x), num_classes))  # a class without training examples gets none
        out[:, pipeline.classes_] = pipeline.predict_proba(x.astype(np.float64))
        return out

    return probabilities if num_classes else lambda x: pipeline.predict(x.astype(np.float64))


if __name__ == "__main__":
    _fit_all()
