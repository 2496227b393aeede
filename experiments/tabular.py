"""From a data set to learners, and from a saved model back to them."""

import base64
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import jaxdl
from experiments import responses
from jaxdl import data, families, features, models, training
from jaxdl.base import Array, Family, Learner, Transform
from jaxdl.data import Dataset
from jaxdl.data.dataset import NAMES, TASKS
from jaxdl.data.tables import encoders
from jaxdl.data.tables.encoding import check_encoding
from jaxdl.data.tables.number_formats import PLAIN
from jaxdl.data.tables.table import MISSING
from jaxdl.files import reason
from jaxdl.model_selection.fitted import Fitted
from jaxdl.model_selection.saved import load, read_header, save
from jaxdl.model_selection.study import Recipe
from jaxdl.optim import schedules
from jaxdl.training.batching import Lengths

NUMBERS = ("standard", "robust")
MAX_LAYERS = 64
MAX_KNOWN_ROWS = 1_000_000


class Problem(NamedTuple):
    """What a model knows of its data, as plain JSON values; it is saved with the model.

    name, task, target: of the data set.
    feature_names: D names. target_names: K names of classes, None where there are none.
    missing: whether features may be NaN.
    encoding: how a file becomes x [N, D] and y [N]; see ``data.encode_table``.
    offset, scale: of responses, see ``describe``. log: the same of their logarithms, or None.
    numbers: how features are scaled, one of NUMBERS.
    """

    name: str
    task: str
    target: str
    feature_names: list[str]
    target_names: list[str] | None
    missing: bool
    encoding: dict[str, Any]
    offset: float
    scale: float
    log: list[float] | None = None
    numbers: str = "standard"


def load_rows(
    name: str,
    target: str | None = None,
    task: str | None = None,
    *,
    roles: Mapping[str, str] | None = None,
    **options: Any,
) -> data.Rows | Dataset:
    """An embedded data set, or the rows of a file before anything is learned from them.

    ``roles`` and ``options`` as for ``data.read_rows``. Raises a ValueError for what does not exist
    or does not fit.
    """
    if name in NAMES:
        dataset = data.load(name)
        if target not in (None, dataset.target):
            raise ValueError(f"the target of {name} is {dataset.target!r}, not {target!r}")
        if task not in (None, dataset.task):
            raise ValueError(f"the task of {name} is {dataset.task}, not {task}")
        if options.get("kinds"):
            raise ValueError(f"the columns of {name} are numbers; say what columns of a file are")
        if roles:
            raise ValueError(f"{name} has no column for {next(iter(roles.values()))}; a file may")
        return dataset
    if not os.path.lexists(name):
        raise ValueError(f"{name}: no such file, and none of the data sets {', '.join(NAMES)}")
    return data.read_rows(name, target=target, task=task, roles=roles, **options)


def encoded(loaded: data.Rows | Dataset, rows: np.ndarray | None = None) -> Dataset:
    """What ``load_rows`` gave as a Dataset, with columns that are learned from ``rows`` [n]."""
    return loaded if isinstance(loaded, Dataset) else data.encode_rows(loaded, rows)


def load_dataset(
    name: str, target: str | None = None, task: str | None = None, **options: Any
) -> Dataset:
    """An embedded data set, or a file as a Dataset; arguments as for ``load_rows``."""
    return encoded(load_rows(name, target, task, **options))


def describe(dataset: Dataset, y: np.ndarray, numbers: str = "standard") -> Problem:
    """The Problem that a data set poses to models trained on responses y [n].

    Responses differ in scale by orders of magnitude, initial networks do not; so a network for
    real responses predicts ``(y - mean) / std``, or that of log y, and one for counts the log rate
    relative to that of the mean. These numbers are of all of y, once: in cross-validation a fold's
    validation part has a share in them (not in what is fitted to features). The test part has none.
    """
    offset, scale, log = 0.0, 1.0, None
    if dataset.task == "regress":
        offset, scale = float(np.mean(y, dtype=float)), float(np.std(y, dtype=float)) or 1.0
        if y.min() >= np.finfo(np.float32).tiny:
            log_y = np.log(y.astype(np.float64))
            log = [float(np.mean(log_y)), float(np.std(log_y)) or 1.0]
    elif dataset.task == "count":
        offset = float(np.log((np.sum(y) + 0.5) / len(y)))
    names = dataset.target_names
    return Problem(
        name=dataset.name,
        task=dataset.task,
        target=dataset.target,
        feature_names=list(dataset.feature_names),
        target_names=None if names is None else list(names),
        missing=dataset.missing,
        encoding=dataset.encoding or _plain_encoding(dataset),
        offset=offset,
        scale=scale,
        log=log,
        numbers=numbers,
    )


def _plain_encoding(dataset: Dataset) -> dict[str, Any]:
    """The encoding of a file with an embedded data set's columns, which are numbers."""
    names = None if dataset.target_names is None else list(dataset.target_names)
    numeric = names is None or names == [str(k) for k in range(len(names))]
    plain = list(PLAIN)
    return {
        "columns": [
            {"name": name, "as": "number", "format": plain, "missing": False}
            for name in dataset.feature_names
        ],
        "target": {
            "name": dataset.target,
            "task": dataset.task,
            "format": plain if numeric else None,
            "classes": names,
            "names": names,
        },
        "missing": "error",
        "left_out": [],
        "missing_words": list(MISSING),
    }


def family(problem: Problem, log_target: float | Array = 0.0) -> Family:
    """The response distribution. Notes: §1.3, §2.3.

    eta is [..., K] for classes, [...] for counts, [..., 2] for real responses: `standardised`.
    """
    if problem.task == "classify":
        return families.categorical(len(problem.target_names))
    if problem.task == "count":
        return families.poisson()
    return responses.standardised(problem, log_target)


def transform(problem: Problem) -> Transform:
    """What is fitted to the features [n, D] of each training part."""
    scaled = features.robust_scale() if problem.numbers == "robust" else features.standardize()
    steps = [features.impute_mean(), scaled] if problem.missing else [scaled]
    columns, sizes = data.target_columns(problem.encoding)
    if columns:
        classes = len(problem.target_names) if problem.task == "classify" else None
        log = problem.task == "count"
        steps.insert(0, features.target_encode(columns, sizes, num_classes=classes, log=log))
    return features.chain(*steps) if len(steps) > 1 else scaled


def num_inputs(problem: Problem) -> int:
    """How many features the ``transform`` gives."""
    coded, _ = data.target_columns(problem.encoding)
    means = len(problem.target_names) - 1 if problem.task == "classify" else 1
    return len(problem.feature_names) + len(coded) * (means - 1)


def widths(hidden: str) -> tuple[int, ...]:
    """``"64-32"`` as (64, 32), and ``"none"``, the linear model, as ().

    >>> widths("64-32"), widths("none")
    ((64, 32), ())
    """
    if hidden == "none":
        return ()
    parts = hidden.split("-")
    narrow = all(p.isascii() and p.isdecimal() and len(p) < 7 and 0 < int(p) for p in parts)
    if not narrow or len(parts) > MAX_LAYERS:
        raise ValueError(
            f"hidden layers are widths such as 64 or 64-32, or none, not {hidden[:40]!r}"
        )
    return tuple(int(p) for p in parts)


def make_learner(
    problem: Problem, weights: np.ndarray | None = None, steps: int = 1
) -> Callable[[dict[str, Any]], Learner]:
    """``(setting) -> Learner`` with the settings hidden, learning_rate and weight_decay, and, where
    there are any, dropout and log_target.

    Adam on the mean negative log-likelihood plus ``weight_decay * sum w^2``; its rate falls to 0 in
    ``steps``, as a cosine. With ``hidden`` none the network is [D] -> [K] alone: softmax, linear or
    Poisson regression. ``weights`` [K] are of classes.
    """
    outputs = len(problem.target_names) if problem.task == "classify" else 1
    inputs = num_inputs(problem)

    def make(h: dict[str, Any]) -> Learner:
        sizes = (inputs, *widths(h["hidden"]), outputs)
        net = models.mlp(sizes, dropout=h["dropout"] if "dropout" in h else 0.0)
        if problem.task == "regress":
            net = responses.with_spread(net)
        elif problem.task == "count":
            net = responses.shifted(net, problem.offset)
        objective = training.negative_log_likelihood(
            net,
            family(problem, h["log_target"] if "log_target" in h else 0.0),
            penalty=h["weight_decay"],
            class_weights=weights,
        )
        rate = schedules.cosine(h["learning_rate"], steps)
        return training.gradient_learner(net, objective, optax.adam(rate))

    return make


def save_model(
    path: str | os.PathLike, fitted: Fitted, problem: Problem, x: np.ndarray | None = None
) -> None:
    """Write trained models [J] with the Problem, so that ``load_model`` needs nothing else.

    Of the training rows x [N, D] eight bytes each are kept, by which ``in_training`` knows them;
    of more than a million rows, none.
    """
    about = {"format": 3, "jaxdl": jaxdl.__version__, "problem": problem._asdict()}
    if x is not None and len(x) <= MAX_KNOWN_ROWS:
        about["training_rows"] = base64.b64encode(_digests(x).tobytes()).decode()
    save(path, fitted, about)


def in_training(path: str | os.PathLike, x: np.ndarray) -> np.ndarray | None:
    """Which rows of x [N, D] a saved model was trained on, by their features; None if unknown."""
    kept = read_header(path)["about"].get("training_rows")
    if not isinstance(kept, str):
        return None
    try:
        known = np.frombuffer(base64.b64decode(kept, validate=True), np.uint64)
    except ValueError:
        raise ValueError(f"{path}: its training rows are damaged") from None
    return np.isin(_digests(x), known)


def _digests(x: np.ndarray) -> np.ndarray:
    """Eight bytes for each row [N]; all not-a-numbers are alike, and so are both zeros."""
    rows = np.where(np.isnan(x), np.float32(np.nan), x + np.float32(0)).astype("<f4")
    digest = lambda row: hashlib.blake2b(row.tobytes(), digest_size=8).digest()
    return np.frombuffer(b"".join(map(digest, rows)), "<u8")


def load_model(path: str | os.PathLike) -> tuple[Fitted, Problem]:
    """What ``save_model`` wrote: trained models [J] and their Problem.

    The file is not trusted. Raises a ValueError in one line where it is damaged or of another kind.
    """
    path = Path(path)
    header = read_header(path)
    try:
        problem = _checked(header["about"]["problem"])
        hparams = [dict(h) for h in header["hparams"]]
        for h in hparams:
            _check_setting(h, problem)
        if sum(len(widths(hidden)) for hidden in {h["hidden"] for h in hparams}) > 2 * MAX_LAYERS:
            raise ValueError("its networks have too many layers")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a model of experiments.model_selection ({reason(error)})"
        ) from None
    lengths = Lengths(1, 1, 1, "keep")
    recipe = Recipe(make_learner(problem), transform(problem), lengths, None, jax.random.key(0))
    rows = np.zeros((2, len(problem.feature_names)), np.float32)
    return load(path, recipe, hparams, (rows, np.zeros(2))), problem


def _check_setting(h: dict[str, Any], problem: Problem) -> None:
    needed, known = {"hidden", "learning_rate", "weight_decay"}, {"dropout"}
    if problem.log is not None:
        known.add("log_target")
    if not needed <= set(h) <= needed | known:
        raise ValueError("its settings are others")
    if not all(isinstance(v, float) for k, v in h.items() if k != "hidden"):
        raise ValueError("a setting is no number")
    if not 0 <= h.get("dropout", 0.0) < 1 or h.get("log_target", 0.0) not in (0.0, 1.0):
        raise ValueError("a setting makes no sense")


def _checked(values: dict[str, Any]) -> Problem:
    problem = Problem(**values)
    if not all(isinstance(v, list) for v in (problem.feature_names, problem.target_names or [])):
        raise ValueError("its names are no lists")
    texts = [problem.name, problem.target, *problem.feature_names, *(problem.target_names or [])]
    if problem.log is not None and (problem.task != "regress" or len(problem.log) != 2):
        raise ValueError("its logarithm makes no sense")
    numbers = [problem.offset, problem.scale, *(problem.log or (0.0, 1.0))]
    if problem.task not in TASKS or (problem.task == "classify") != bool(problem.target_names):
        raise ValueError("its task makes no sense")
    if not all(isinstance(t, str) for t in texts) or not problem.feature_names:
        raise ValueError("its names are no texts")
    if not all(isinstance(v, float) and np.isfinite(v) for v in numbers) or min(numbers[1::2]) <= 0:
        raise ValueError("its scale makes no sense")
    if not isinstance(problem.missing, bool) or problem.numbers not in NUMBERS:
        raise ValueError("its encoding makes no sense")
    check_encoding(problem.encoding)
    columns = [name for spec in problem.encoding["columns"] for name in encoders.names(spec)]
    if columns != problem.feature_names:
        raise ValueError("its encoding is of other features")
    return problem


def rows_to_predict(file: str, problem: Problem, strict: bool = False) -> Dataset:
    """A file or an embedded data set under a Problem: ``y`` [N] is None where it is not known.

    What the training had not is said in ``notes``, or refused if ``strict``. Raises a ValueError
    where columns that the model was trained on are not there.
    """
    if file in NAMES:
        dataset = data.load(file)
    elif not os.path.lexists(file):
        raise ValueError(f"{file}: no such file, and none of the data sets {', '.join(NAMES)}")
    else:
        dataset = data.encode_table(file, problem.encoding, strict=strict)
    if list(dataset.feature_names) != problem.feature_names:
        raise ValueError(f"{file}: not the columns of {problem.name}, which the model is for")
    same = list(dataset.target_names or ()) == list(problem.target_names or ())
    return dataset if same else dataset._replace(y=None)
