"""Which model, with which settings? A study over a grid, a choice, one look at held-out data.

``python -m experiments.model_selection --help`` lists the options. The default compares softmax
regression and multi-layer perceptrons on scikit-learn's digits: about 0.98 of the 449 held-out
digits are right; under a minute on two cores, compilation included.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command import command, written_whole
from experiments.model_selection_options import Config, check, kinds

RULES = ("mean", "one_standard_error")
MOVES = 3  # of the grid


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
    print(f"to read and to share: {Path(config.out) / 'report.html'}")
    return figures


class Task(NamedTuple):
    """What is studied: the data set, how it is divided, the parts to choose by and to test on.

    rows: the data set as read. metric: to judge by. chosen_by: to choose by. notes: what was decided
    of the study, a line each.
    """

    rows: Any
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
        rows, dataset, problem, divided, x, y, held_out, positive, metric, chosen_by, rivals, log_targets,
        notes,
    )  # fmt: skip


def _study(config: Config, clock: "Clock", folder: Path):
    import jax

    from experiments import grids, partition, report, scores, study_page, tabular
    from jaxdl.model_selection import Execution, Folds, cross_validate, join
    from jaxdl.training import class_weights

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
    task.notes.append(grids.in_words(config, rows))
    if (together := config.ensemble * config.networks) > 1:
        task.notes.append(
            f"the folds score networks one by one; what is tested and saved averages {together} of them"
        )
    print(*task.notes, sep="\n")
    clock.begin(f"study of {len(settings)} settings")

    stepwise = {"rmse": "squared_error", "accuracy": "accuracy", "nll": "nll"}
    make_learner = tabular.make_learner(
        task.problem,
        class_weights(y, config.class_weight) if config.class_weight else None,
        steps=grids.steps(config.epochs, config.batch_size, rows),
    )
    train = lambda settings: cross_validate(
        make_learner,
        settings,
        (x, y),
        key=study_key,
        folds=Folds(folds, groups=task.partition.groups_to_choose_by()),
        seeds=config.seeds,
        epochs=config.epochs,
        batch_size=config.batch_size,
        transform=tabular.transform(task.problem),
        metric=stepwise.get(task.chosen_by, "nll"),
        keep=("train_scores", *(() if task.chosen_by in stepwise else ("predictions",))),
        execution=Execution(config.strategy),
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
    study_page.write(
        folder / "report.html", study, choices[config.rule], dataset, task.partition,
        seconds=clock.seconds(), notes=task.notes, warnings=task.partition.warnings,
    )  # fmt: skip
    return config, task, study


def _judge(config: Config, clock: "Clock", folder: Path, task: Task, study) -> dict[str, float]:
    import numpy as np

    from experiments import baselines, report, scores, study_page, tabular
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
    outputs = {name: np.asarray(predict(test_x)) for name, predict in models.items()}
    tests = {
        name: scores.scored(
            task.metric, test_y, out, task=dataset.task, seed=config.seed, positive=task.positive,
            units=task.partition.units(),
        )
        for name, out in outputs.items()
    }  # fmt: skip
    choice = choices[config.rule]
    positive = problem.target_names[task.positive] if classes == 2 else None
    given, by = config.task is not None, task.partition.by
    print(report.tested(tests, len(test_y), choice, positive, by))
    absent = [name for name in task.baselines if name not in models]
    told = warnings(
        problem, study, choice, tests[OURS], y, task_given=given, by=by, absent=absent
    )  # fmt: skip
    for line in told:
        print(f"warning: {line}")
    sentence = verdict(dataset.task, tests, absent)
    print(f"verdict: {sentence}")

    tabular.save_model(folder / "model.npz", fitted, problem, x)
    if classes:
        report.draw_confusion(folder, tests[OURS].counts, problem.target_names)
    doubts = [*task.partition.warnings, *told]
    known = report.judged(fitted, tests, sentence, doubts)
    summary = report.summary(
        config, dataset, task.partition, study, choices, clock.seconds(), task.notes, known
    )  # fmt: skip
    report.write_json(folder / "report.json", summary)
    study_page.write(
        folder / "report.html", study, choice, dataset, task.partition, seconds=clock.seconds(),
        notes=task.notes, warnings=doubts,
        tested=study_page.tested(
            tests, sentence, dataset, task.partition, task.rows, test_y, outputs[OURS]
        ),
    )  # fmt: skip
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
