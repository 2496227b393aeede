"""What can be asked of ``experiments.model_selection``, and what makes no sense."""

import dataclasses
import math
from typing import Annotated, Literal

import tyro

MAX_NETWORKS = 256  # of a saved model


@dataclasses.dataclass(frozen=True)
class Config:
    """Train every setting on every fold with every seed in a few compiled programs; choose one,
    train it on all but the test part, test it once, and write tables, pictures and the model.
    """

    data: str = "digits"
    """A table (CSV and the like, also compressed; Parquet, Feather, NPZ), or digits, iris, wine,
    breast_cancer, diabetes."""
    target: str | None = None
    """The column to predict; default the last."""
    task: Literal["classify", "regress", "count"] | None = None
    """Default: what the target looks like."""
    out: str = "runs/model_selection"
    """The folder to write to."""
    groups: str | None = None
    """A column: rows that share its value stay together in the split and the folds."""
    time: str | None = None
    """A column of dates or numbers: the latest rows are the test part, and folds go forward."""
    metric: str | None = None
    """To choose and judge by: accuracy, balanced_accuracy, macro_f1, nll, and for two classes
    roc_auc, average_precision (default: chosen by nll, judged by accuracy); rmse (default),
    mean_absolute_error, r2; for counts nll (default), deviance_explained, rmse,
    mean_absolute_error."""
    class_weight: Literal["balanced"] | None = None
    """balanced: in training, all classes count the same, however rare."""
    as_: Annotated[tuple[str, ...], tyro.conf.arg(name="as")] = ()
    """What columns are where they look like something else: zip=category, visit=date; or number,
    truth, text (its words are counted), target (a category as the target's mean in it), ignored."""
    ignore: tuple[str, ...] = ()
    """Columns to leave out."""
    columns: str | None = None
    """A JSON file that says the same as --as: {"zip": "category", ...}."""
    missing: Literal["fill", "error", "drop", "mean"] = "fill"
    """Missing values: fill in the training part's mean, with a column that tells where; an error;
    leave out the row; the mean alone."""
    missing_words: tuple[str, ...] | None = None
    """What stands for no value, in any case; default NA, N/A, #N/A, nan, NaT, null, none, ?, -, and
    nothing at all."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first row of a text names the columns; auto: unless it looks like those below."""
    log_target: Literal["auto", "yes", "no"] = "auto"
    """In regression, model the logarithm; auto: as the folds choose, where the target is skewed."""
    numbers: Literal["standard", "robust"] = "standard"
    """How features are scaled: by mean and standard deviation, or by quartiles with a smooth clip,
    for heavy tails."""
    extend: bool = False
    """Where the choice is on the edge of the grid, try what lies beyond, three times at most."""
    hidden: tuple[str, ...] | None = None
    """Widths of hidden layers, as 64 or 128-64; none is linear. Default by rows, to --batch-size."""
    learning_rates: tuple[float, ...] | None = None
    """Of Adam at the start; they fall to 0."""
    weight_decays: tuple[float, ...] | None = None
    """Coefficients of the sum of squared weights."""
    dropouts: tuple[float, ...] | None = None
    """Rates behind hidden layers; default 0."""
    epochs: int | None = None
    """Passes over the training part; default, for 1000 to 3000 steps."""
    batch_size: int | None = None
    """Examples a step; default, a tenth of a training part, from 16 to 100."""
    folds: int | None = None
    """Of the cross-validation, stratified by class; default 5, drawn 5 times of under 50 rows."""
    seeds: int = 2
    """Initialisations of each setting on each fold."""
    networks: int = 5
    """Of each chosen setting, from different initialisations; their predictions are averaged."""
    rule: Literal["mean", "one_standard_error"] = "mean"
    """To choose by: the best mean, or the smallest model within a standard error of it."""
    ensemble: int = 1
    """Average this many of the best settings instead of taking one."""
    test_fraction: float = 0.25
    """Set aside before anything else."""
    baselines: tuple[str, ...] = ("all",)
    """scikit-learn's models to compare with, on the same rows: all, none, or some of
    LogisticRegression, MLPClassifier, RidgeCV, PoissonRegressor, HistGradientBoosting."""
    baseline_seconds: float = 60.0
    """For all of those together; what is not done by then is left out."""
    seed: int = 0
    """Of the split and of all training."""
    strategy: Literal["auto", "vmap", "chunked", "map", "sequential"] = "auto"
    """How members run; it changes the speed alone."""
    progress: bool = True
    """Show a bar."""


def check(config: Config) -> None:
    """Raise a ValueError for numbers that make no sense, before anything heavy is imported."""
    for name in ("hidden", "learning_rates", "weight_decays", "dropouts", "baselines"):
        if getattr(config, name) == ():
            raise ValueError(f"{name} needs at least one value")
    valid = {
        "learning_rates": (lambda v: v > 0, "positive"),
        "weight_decays": (lambda v: v >= 0, "0 or more"),
        "dropouts": (lambda v: 0 <= v < 1, "in [0, 1)"),
    }
    for name, (holds, words) in valid.items():
        for value in getattr(config, name) or ():
            if not (math.isfinite(value) and holds(value)):
                raise ValueError(f"{name} must be {words}, not {value:g}")
    if not 0 < config.test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, not {config.test_fraction:g}")
    for name in ("folds", "seeds", "epochs", "batch_size", "ensemble", "networks"):
        value, least = getattr(config, name), 2 if name == "folds" else 1
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if config.groups and config.time:
        raise ValueError("rows are split by groups or by time, not both: --groups or --time")
    if config.ensemble * config.networks > MAX_NETWORKS:
        raise ValueError(
            f"{config.ensemble} settings of {config.networks} networks each are "
            f"{config.ensemble * config.networks} networks together, of which at most "
            f"{MAX_NETWORKS} are kept"
        )
    if not config.baseline_seconds >= 0:
        raise ValueError(f"baseline_seconds must be 0 or more, not {config.baseline_seconds:g}")
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2^32 - 1, not {config.seed}")


def kinds(config: Config) -> dict[str, str]:
    """What columns are said to be, by ``--columns``, ``--as`` and ``--ignore``, the later first."""
    found = {}
    if config.columns:
        from jaxdl import files

        try:
            found = files.parse_json(files.read_bytes(config.columns))
            if type(found) is not dict or not all(type(v) is str for v in found.values()):
                raise ValueError('must be one object, such as {"zip": "category"}')
        except ValueError as error:
            raise ValueError(f"{config.columns}: {error}") from None
    for text in config.as_:
        name, sign, kind = text.rpartition("=")
        if not sign:
            raise ValueError(f"--as takes column=kind, such as zip=category, not {text!r}")
        found[name] = kind
    return found | dict.fromkeys(config.ignore, "ignored")
