"""Cross-validation of a whole grid of settings as one XLA program for each static signature."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxdl import parallel
from jaxdl.base import Key, Learner, Transform
from jaxdl.metrics import Metric, directions
from jaxdl.model_selection import held_out_scores
from jaxdl.model_selection.assemble import assemble, study_metric
from jaxdl.model_selection.folds import Folds
from jaxdl.model_selection.keywords import check_keep, refuse
from jaxdl.model_selection.planning import StudyPlan, check_reading, plan_study, populate
from jaxdl.model_selection.population.halving import Halving
from jaxdl.model_selection.population.job import StudyJob, study_fingerprint
from jaxdl.model_selection.population.plan import AUTO, Execution, check_execution
from jaxdl.model_selection.population.run import Population
from jaxdl.model_selection.study import Study
from jaxdl.training.host import checkpoints, runlog
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.driver import Host, drive
from jaxdl.training.stopping import EarlyStopping


def cross_validate(
    make_learner: Callable[[dict[str, Any]], Learner],
    grid: Mapping[str, Sequence] | Iterable[Mapping[str, Any]],
    data: Any,
    *,
    key: Key,
    folds: int | Folds | Any = 5,
    seeds: int | Sequence[int] = 1,
    epochs: int,
    batch_size: int | None = None,
    remainder: str = "keep",
    transform: Transform | None = None,
    metrics: str | Metric | Sequence[str | Metric] = (),
    metric: str | None = None,
    maximize: bool | None = None,
    evaluate_every: int | None = None,
    early_stopping: EarlyStopping | Callable[[dict[str, Any]], EarlyStopping] | None = None,
    halving: Halving | None = None,
    keep: str | Collection[str] = (),
    execution: Execution = AUTO,
    checkpoint: str | Path | Checkpoint | None = None,
    log: Any = None,
    progress: bool = False,
    **gone: Any,
) -> Study:
    """Train and score every setting on every fold with every seed; K-fold CV, Notes: §3.1.1.

    Settings that are floats or arrays are traced: all of them, with all folds and seeds, train in
    one compiled program. Any other type (a width, a name) is static: one program for each
    combination of those.

    Args:
      make_learner: an ordinary function of a dict with one setting, ``(h) -> Learner``. It is
        called under ``vmap``: a float in ``h`` is an array of shape [], on whose value Python
        must not branch.
      grid: a dict of lists (their product), a list of dicts, or ``random_search(...)``. A name
        that no learner reads is refused.
      data: ``(x [N, ...], y [N, ...])``, a Dataset, or any pytree of arrays [N, ...]; or
        ``(x, y, weight [N])``, of which losses and scores are weighted means, see ``fit``. Transforms
        see each row of a weight above 0 once.
      key: a typed key, consumed; see ``member_key``.
      folds: a number; the rows are then shuffled by ``key``, and stratified where the responses
        are labels. Or a scikit-learn splitter, or ``(train, valid)`` index arrays, as they are:
        ``k_fold(n, 5)`` gives parts of neighbours, for rows in the order of time. Or ``Folds`` of
        one of these, ``Folds(5, groups=labels)`` or ``Folds(5, stratify=False)`` say.
      seeds: a number, or the seeds themselves, 0 to 2^31 - 2; each is another initialisation,
        order of rows and stream of dropout masks.
      epochs: passes over a fold's training part.
      batch_size: rows a step; default all of them.
      remainder: ``"keep"`` or ``"drop"`` the last, smaller batch of an epoch.
      transform: fitted to each fold's training part, applied to all of the data. One that
        sees targets is cross-fitted: what was fitted to other rows changes those of that part.
      metrics: what else to score of each fold's held-out part as a whole, by the predictions for it:
        names (``"roc_auc"``, ``"macro_f1"``, see ``metrics.named``), or a ``Metric`` with a function
        and a direction of your own. They have no learning curve.
      metric: what ``Study.best`` and ``halving`` go by; default accuracy, else squared error, else
        the first whose direction is known.
      maximize: whether more of the metric is better. None where its name says so (``accuracy``,
        ``nll``, see ``metrics.directions``); for any other it must be said.
      evaluate_every: epochs between two points of the learning curves; default, about ten points.
      early_stopping: an ``EarlyStopping`` for each member by its held-out part, or a function of
        a setting that gives one (its numbers may be the setting's). The same part then decides
        when to stop and how good that is, so scores are a little too good: keep a test part.
      halving: a ``Halving``; settings that it drops keep the scores that they had.
      keep: what else a Study has, of ``"train_scores"``, of the training part too;
        ``"predictions"``, out of fold; ``"states"``, trained, [S, F, K, ...] in a list by signature.
      execution: an ``Execution``, how members are run: at once, in chunks, one by one, over
        devices. It never changes a result.
      checkpoint: a folder, or a ``Checkpoint``: the same call again goes on from the last whole
        one; that of another study is refused, of other data, settings, transform or learner, as
        far as their traces differ. SIGTERM and Ctrl-C save first, then exit with 143 or raise.
      log: a ``.csv`` or ``.jsonl`` file, or what has ``start`` and ``add``.
      progress: show a bar; it looks at the program between stretches of epochs only.

    Returns:
      A Study.

    Raises:
      ValueError: for data, folds, settings or numbers that make no sense, before anything runs;
        for a ``make_learner`` that branches on a traced setting, a checkpoint that is damaged or
        of another study, and a keyword that is a part of another by now, which is named.
      OSError: where a checkpoint or a log cannot be written.
    """
    if gone:
        refuse("cross_validate", gone)
    execution, keep = check_execution(execution), check_keep(keep)
    plan = plan_study(
        make_learner, grid, data, key=key, folds=folds, seeds=seeds, epochs=epochs,
        batch_size=batch_size, remainder=remainder, evaluate_every=evaluate_every,
        evaluate_train="train_scores" in keep, transform=transform, early_stopping=early_stopping,
        halving=halving,
    )  # fmt: skip
    checkpoint, log = checkpoints.as_checkpoint(checkpoint), runlog.as_log(log)
    populations = populate(
        plan, execution, predictions="predictions" in keep or bool(metrics),
        milestones=None if checkpoint is None else plan.milestones,
    )  # fmt: skip
    check_reading(plan.settings, populations)
    reported = list(populations[0].store.run.curves)
    asked = held_out_scores.asked(metrics, plan, reported)
    own = {one.name: one.maximize for one in asked}
    metric = study_metric([*reported, *own], metric)
    maximize = directions.resolve(metric, own.get(metric) if maximize is None else maximize)
    if metric in own and halving is not None:
        raise ValueError(
            f"halving goes by what is measured while training, {', '.join(reported)}, not {metric!r}"
        )
    study = run(
        plan, populations, metric, maximize, states="states" in keep,
        checkpoint=checkpoint, log=log, progress=progress,
    )  # fmt: skip
    return held_out_scores.scored(study, asked, plan.data, keeps="predictions" in keep)


def run(
    plan: StudyPlan,
    populations: Sequence[Population],
    metric: str,
    maximize: bool,
    *,
    states: bool,
    checkpoint: Checkpoint | None = None,
    log: Any = None,
    progress: bool = False,
) -> Study:
    """Train the populations of a plan to the end, and assemble what they gave to a Study."""
    fingerprint = {}
    if checkpoint is not None or parallel.processes().count > 1:
        fingerprint = study_fingerprint(
            plan.settings, plan.data, plan.folds, plan.seeds, populations, metric, maximize,
            plan.levels,
        )  # fmt: skip
        parallel.check_same("study", fingerprint)
    always = any(population.execution.compact == "always" for population in populations)
    job = StudyJob(
        populations, metric, maximize, rungs=plan.levels,
        milestones=() if checkpoint is None else plan.milestones,
        compacts=always or plan.recipe.early_stopping is not None, fingerprint=fingerprint,
    )  # fmt: skip
    drive(job, Host(checkpoint, log, progress))
    results = [population.result(states) for population in populations]
    return assemble(plan, results, metric, maximize)
