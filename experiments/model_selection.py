"""Which model, with which settings? A study over a grid, a choice, one look at held-out data.

``python -m experiments.model_selection --help`` lists the options. The default compares softmax
regression and multi-layer perceptrons on scikit-learn's digits: about 0.98 of the 449 held-out
digits are right; under a minute on two cores, compilation included.
"""

import dataclasses
import math
import time
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from experiments.command import command, written_whole

RULES = ("mean", "one_standard_error")
MOVES = 3  # of the grid
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


def main(config: Config) -> dict[str, float]:
    """Run the study, write ``config.out``, and return the figures that matter."""
    check(config)
    clock = Clock()
    # The study is written as soon as it is there, so that a run that is stopped keeps it.
    with written_whole(config.out) as folder:
        config, task, study = _study(config, clock, folder)
    with written_whole(config.out) as folder:
        figures = _judge(config, clock, folder, task, study)
        names = sorted(file.name for file in folder.iterdir())
    print(f"wrote {config.out}: {', '.join(names)} in {clock.seconds()['total']:.1f} s")
    return figures


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


class Task(NamedTuple):
    """What is studied: the data set, how it is divided, the parts to choose by and to test on.

    metric: to judge by. chosen_by: to choose by. notes: what was decided of the study, a line each.
    """

    dataset: Any
    problem: Any
    partition: Any
    x: Any
    y: Any
    held_out: Any
    positive: int
    metric: str
    chosen_by: str
    baselines: tuple[str, ...]
    log_targets: tuple[float, ...]
    notes: list[str]


def _task(config: Config, split_key) -> Task:
    import numpy as np

    from experiments import baselines, partition, responses, scores, suspicions, tabular
    from jaxdl.model_selection import guards

    words = {} if config.missing_words is None else {"missing_words": config.missing_words}
    roles = {c: role for c, role in ((config.groups, "groups"), (config.time, "time")) if c}
    rows = tabular.load_rows(
        config.data, config.target, config.task, missing=config.missing, kinds=kinds(config),
        roles=roles, header={"yes": True, "no": False}.get(config.header), **words,
    )  # fmt: skip
    divided = partition.divide(rows, config.test_fraction, split_key)
    split = divided.split
    # Nothing of the test part goes into what is learned of the columns.
    dataset = tabular.encoded(rows, split.train)
    told = [*suspicions.found(rows, divided), *suspicions.of_size(dataset, divided)]
    divided = divided._replace(warnings=tuple(told))
    known = scores.available(dataset.task, len(dataset.target_names or ()))
    metric = config.metric or known[0]
    if metric not in known:
        raise ValueError(f"metric is one of {', '.join(known)} here, not {metric!r}")
    classify = dataset.task == "classify"
    if config.class_weight and not classify:
        raise ValueError(f"class_weight is for classes; this is a task to {dataset.task}")
    x, y = dataset.x[split.train], dataset.y[split.train]
    held_out = guards.TestSetGuard((dataset.x[split.test], dataset.y[split.test]))
    # Average precision is of the rarer class.
    positive = int(np.mean(y == 1) <= 0.5) if classify else 0
    # Many settings are level in accuracy on a few rows; the likelihood tells them apart.
    chosen_by = "nll" if classify and config.metric is None else metric
    rivals = baselines.chosen(dataset.task, config.baselines)
    log_targets, notes = responses.log_targets(dataset.task, y, config.log_target)
    problem = tabular.describe(dataset, y, config.numbers)
    return Task(
        dataset, problem, divided, x, y, held_out, positive, metric, chosen_by, rivals, log_targets,
        notes,
    )  # fmt: skip


def _study(config: Config, clock: "Clock", folder: Path):
    import jax

    from experiments import grids, partition, report, scores, tabular
    from jaxdl.model_selection import cross_validate, join

    for hidden in config.hidden or ():
        tabular.widths(hidden)
    split_key, fold_key, study_key, _ = jax.random.split(jax.random.key(config.seed), 4)
    task = _task(config, split_key)
    dataset, x, y = task.dataset, task.x, task.y
    folds, said = partition.make_folds(task.partition, y, dataset.task, config.folds, fold_key)
    scores.check_folds(task.chosen_by, y, folds)
    task = task._replace(partition=task.partition._replace(notes=(*task.partition.notes, *said)))
    rows = max(len(fold.train) for fold in folds)
    config = grids.fitted(config, rows)
    settings = grids.grid(config, task.log_targets)
    if config.ensemble > len(settings):
        raise ValueError(f"an ensemble of {config.ensemble} needs as many settings in the grid")
    if dataset.columns:
        print(report.columns(dataset), end="\n\n")
    print(report.heading(dataset, task.partition))
    for line in task.partition.warnings:
        print(f"warning: {line}")
    task.notes.append(grids.in_words(config, rows))
    print(*task.notes, sep="\n")
    clock.begin(f"study of {len(settings)} settings")

    stepwise = {"rmse": "squared_error", "accuracy": "accuracy", "nll": "nll"}
    make_learner = tabular.make_learner(
        task.problem,
        tabular.class_weights(y, config.class_weight),
        steps=grids.steps(config.epochs, config.batch_size, rows),
    )
    train = lambda settings: cross_validate(
        make_learner,
        settings,
        (x, y),
        key=study_key,
        folds=folds,
        seeds=config.seeds,
        epochs=config.epochs,
        batch_size=config.batch_size,
        transform=tabular.transform(task.problem),
        metric=stepwise.get(task.chosen_by, "nll"),
        stratify=False,
        strategy=config.strategy,
        train_scores=True,
        predictions=task.chosen_by not in stepwise,
        progress=config.progress,
    )
    scored = lambda study: scores.choose_by(
        study, task.chosen_by, y, task=dataset.task, positive=task.positive
    )
    trained = train(settings)
    for _ in range(MOVES if config.extend else 0):
        chosen = scored(trained).best(rule=config.rule)
        new, said = grids.moved(trained.hparams, chosen.hparams)
        if not new:
            break
        print(*said, sep="\n")
        task.notes.extend(said)
        clock.begin(f"study of {len(new)} more settings")
        trained = join([trained, train(new)])
    study = scored(trained)
    print(study)
    choices = {rule: study.best(rule=rule) for rule in RULES}
    print(report.chosen(choices))
    clock.begin("tables and pictures of the study")
    report.write_tables(folder, study)
    report.draw_study(folder, study)
    summary = report.summary(
        config, dataset, task.partition, study, choices, clock.seconds(), task.notes
    )  # fmt: skip
    report.write_json(folder / "report.json", summary)
    return config, task, study


def _judge(config: Config, clock: "Clock", folder: Path, task: Task, study) -> dict[str, float]:
    import numpy as np

    from experiments import baselines, report, scores, tabular
    from experiments.verdict import CONSTANT, OURS, verdict, warnings
    from jaxdl.data import target_columns
    from jaxdl.model_selection import refit

    dataset, problem, x, y = task.dataset, task.problem, task.x, task.y
    classes = len(problem.target_names) if dataset.task == "classify" else 0
    choices = {rule: study.best(rule=rule) for rule in RULES}
    clock.begin("the choice is trained on all folds together")
    fitted = refit(
        study, (x, y), settings=config.ensemble, seeds=config.networks, rule=config.rule
    )  # fmt: skip
    if fitted.diverged.any():
        cause = next(cause for cause in fitted.causes if cause)
        raise ValueError(f"training on all folds together diverged: {cause}")
    models = {
        OURS: fitted.predict,
        CONSTANT[dataset.task]: baselines.constant(dataset.task, y, classes),
    }
    if task.baselines:
        clock.begin("baselines")
        models |= baselines.train(
            dataset.task, x, y, names=task.baselines, missing=dataset.missing,
            coded=target_columns(problem.encoding)[0], seed=config.seed, num_classes=classes,
            seconds=config.baseline_seconds, say=lambda line: print(f"  {line}", flush=True),
        )  # fmt: skip

    # The only look at the test part: everything that is compared is trained by now.
    clock.begin("test")
    test_x, test_y = task.held_out.look()
    tests = {
        name: scores.scored(
            task.metric, test_y, np.asarray(predict(test_x)), task=dataset.task,
            seed=config.seed, positive=task.positive, units=task.partition.units(),
        )
        for name, predict in models.items()
    }  # fmt: skip
    choice = choices[config.rule]
    positive = problem.target_names[task.positive] if classes == 2 else None
    given, by = config.task is not None, task.partition.by
    print(report.tested(tests, len(test_y), choice, positive, by))
    told = warnings(problem, study, choice, tests[OURS], y, task_given=given, by=by)
    for line in told:
        print(f"warning: {line}")
    sentence = verdict(dataset.task, tests)
    print(f"verdict: {sentence}")

    tabular.save_model(folder / "model.npz", fitted, problem, x)
    if classes:
        report.draw_confusion(folder, tests[OURS].counts, problem.target_names)
    known = report.judged(fitted, tests, sentence, [*task.partition.warnings, *told])
    summary = report.summary(
        config, dataset, task.partition, study, choices, clock.seconds(), task.notes, known
    )  # fmt: skip
    report.write_json(folder / "report.json", summary)
    return report.figures(choice, tests)


class Clock:
    """Tells when each stage begins, and keeps the seconds that it took."""

    def __init__(self):
        self.began = self.last = time.perf_counter()
        self.stage, self.laps = "load", {}

    def begin(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[self.stage], self.last, self.stage = now - self.last, now, stage
        print(f"[{now - self.began:.1f} s] {stage}", flush=True)

    def seconds(self) -> dict[str, float]:
        now = time.perf_counter()
        return {**self.laps, self.stage: now - self.last, "total": now - self.began}


def run(config: Config) -> None:
    """``main`` on all cores."""
    check(config)
    from jaxdl import parallel

    parallel.use_all_cores()
    main(config)


if __name__ == "__main__":
    command("model_selection", Config, run)
