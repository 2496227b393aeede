"""What a model-selection study found: a plain value and its choice."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdl.base import Key, Transform
from jaxdl.checks import one_of
from jaxdl.metrics import directions
from jaxdl.model_selection import report, tables
from jaxdl.model_selection.words import in_words
from jaxdl.training import divergence
from jaxdl.training.batching import Lengths
from jaxdl.training.stopping import EarlyStopping

RULES = ("mean", "one_standard_error")


class Recipe(NamedTuple):
    """How a study trained, so that it can be done again on all of the data.

    groups: labels [N] of rows that stay together where a transform sees targets, or None.
    """

    make_learner: Callable
    transform: Transform
    lengths: Lengths
    batch_size: int | None
    key: Key
    early_stopping: EarlyStopping | Callable | None = None
    groups: np.ndarray | None = None
    same_draws: bool = False  # of all folds


class Choice(NamedTuple):
    """A chosen setting.

    index: its row in ``Study.hparams``. hparams: the setting. metric, rule: what it was chosen by.
    mean, standard_error: of the metric over the folds (each fold's seeds averaged first).
    """

    index: int
    hparams: dict[str, Any]
    metric: str
    rule: str
    mean: float
    standard_error: float


@dataclasses.dataclass(frozen=True, repr=False)
class Study:
    """Every setting x fold x seed of a study. S settings, F folds, K seeds.

    Attributes:
      hparams: [S] settings.
      scores: {metric: [S, F, K]} on the held-out part of the state that a member ends with: that
        of its last (finite) epoch, with early stopping of its best.
      train_scores: likewise on the training part, or {}.
      curves, train_curves: {metric: [S, F, K, V]} after each of ``curve_epochs`` [V].
      train_loss: [S, F, K, epochs], mean loss of each epoch with its penalty; NaN once diverged.
      diverged: [S, F, K] bool.
      unfit: [F] bool, whether the transform gave a fold features that are not finite; looked at
        only where a member diverged.
      epochs: [S, F, K], how many epochs a member was trained.
      best_epochs: [S, F, K], the epochs after which its score was best, with early stopping.
      dropped: [S], the epochs after which successive halving dropped a setting, -1 if it did not.
      folds: [F] pairs of index arrays; seeds: [K].
      predictions: [S, K, N, ...] by row of the data, of the last fold that held it out: NaN for
        rows that none did; or None.
      held_out: the same by fold, [S, F, K, n, ...], padded behind the rows of its ``valid``.
      states: one pytree [s, F, K, ...] for each signature, or None.
      metric: what ``best`` goes by. maximize: whether more of it is better. directions: the same
        by name of those metrics that the study was given with theirs.
      num_params: [S].
      strategy: how the members ran, for each program.
      num_programs: of members, that ran, compiled or kept. num_traces: functions traced.
      compile_seconds, run_seconds: wall clock, apart.
      recipe: how to train again.
    """

    hparams: list[dict[str, Any]]
    scores: dict[str, np.ndarray]
    train_scores: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]
    train_curves: dict[str, np.ndarray]
    curve_epochs: np.ndarray
    train_loss: np.ndarray
    diverged: np.ndarray
    unfit: np.ndarray
    epochs: np.ndarray
    best_epochs: np.ndarray | None
    dropped: np.ndarray
    folds: list[Any]
    seeds: list[int]
    predictions: np.ndarray | None
    held_out: np.ndarray | None
    states: list[Any] | None
    metric: str
    maximize: bool
    num_params: np.ndarray
    strategy: str
    num_programs: int
    num_traces: int
    compile_seconds: float
    run_seconds: float
    recipe: Recipe
    directions: dict[str, bool] = dataclasses.field(default_factory=dict)

    def summary(self, metric: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean [S] of a metric over folds, and its standard error [S].

        As ``mean_and_error``, but of ``F / r`` folds, where a row is held out r times on average:
        folds that are drawn anew make no more rows.
        """
        rows = np.concatenate([np.asarray(valid) for _, valid in self.folds])
        mean, error = mean_and_error(self._metric(metric))
        return mean, error * np.sqrt(max(1, len(rows)) / max(1, len(np.unique(rows))))

    def ranking(self, metric: str | None = None, *, maximize: bool | None = None) -> np.ndarray:
        """Settings [S] from best to worst: dropped ones by how far they came, diverged ones last.

        ``metric`` and ``maximize`` as for ``best``.
        """
        loss = self._loss(metric, maximize)
        failed = self.diverged.any((1, 2)) | ~np.isfinite(loss)
        came = np.where(self.dropped >= 0, self.dropped, np.iinfo(np.int32).max)
        return np.lexsort((loss, -came, failed))

    def best(
        self,
        metric: str | None = None,
        rule: str = "mean",
        complexity: Callable[[dict[str, Any]], float] | None = None,
        *,
        maximize: bool | None = None,
    ) -> Choice:
        """The chosen setting.

        Args:
          metric: default ``self.metric``.
          maximize: whether more of it is better; default, what the study was told of its own
            metrics, or what the name is known for.
          rule: ``"mean"``; or ``"one_standard_error"``, the simplest setting whose mean is within
            one standard error of the best one's. Source: Breiman et al. (1984), §3.4.3.
          complexity: ``(setting) -> number`` to rank by under the second rule; default the number
            of parameters. The better mean decides between equals.

        Settings with a diverged member, or that halving dropped, are never chosen. Raises a
        ValueError where there are no others, for unknown names, for a metric whose direction is
        not known, and for the second rule with a single fold.
        """
        one_of("rule", rule, RULES)
        metric = metric or self.metric
        mean, error = self.summary(metric)
        loss = self._loss(metric, maximize)
        usable = ~self.diverged.any((1, 2)) & np.isfinite(loss) & (self.dropped < 0)
        if not usable.any():
            raise ValueError(
                f"every setting has a diverged member, or was dropped: {self.divergence()}"
                if self.diverged.any()
                else f"no setting has a finite {metric}"
            )
        index = int(self.ranking(metric, maximize=maximize)[0])
        if rule == "one_standard_error":
            if not np.isfinite(error[index]):
                raise ValueError("the one-standard-error rule needs at least two folds")
            cost = [float(complexity(h)) for h in self.hparams] if complexity else self.num_params
            near = np.flatnonzero(usable & (loss <= loss[index] + error[index]))
            index = int(min(near, key=lambda s: (cost[s], loss[s])))
        return Choice(
            index, self.hparams[index], metric, rule, float(mean[index]), float(error[index])
        )

    def divergence(self) -> str:
        """How many members diverged, where the first of them did, and what of it; ``""`` if none."""
        if not self.diverged.any():
            return ""
        s, f, k = (int(i) for i in np.argwhere(self.diverged)[0])
        why = divergence.explain(
            int(self.epochs[s, f, k]), self.train_loss[s, f, k], bool(self.unfit[f])
        )
        return (
            f"{self.diverged.sum()} of {self.diverged.size} members diverged, the first with "
            f"{in_words(self.hparams[s])} on fold {f} by seed {self.seeds[k]} {why}"
        )

    def only(self, folds: Sequence[int]) -> "Study":
        """The study as if it had had some of its folds alone: scores of shape [S, len(folds), K]."""
        pick = lambda values: {k: v[:, list(folds)] for k, v in values.items()}
        return dataclasses.replace(
            self,
            scores=pick(self.scores),
            train_scores=pick(self.train_scores),
            curves=pick(self.curves),
            train_curves=pick(self.train_curves),
            train_loss=self.train_loss[:, list(folds)],
            diverged=self.diverged[:, list(folds)],
            unfit=self.unfit[list(folds)],
            epochs=self.epochs[:, list(folds)],
            best_epochs=None if self.best_epochs is None else self.best_epochs[:, list(folds)],
            folds=[self.folds[f] for f in folds],
            predictions=None,
            held_out=None,
            states=None,
        )

    def report(
        self,
        path: str | Path,
        y: Any = None,
        *,
        classes: Sequence[str] | None = None,
        columns: Mapping[str, Any] | None = None,
        baselines: Mapping[str, Any] | None = None,
        choice: Choice | None = None,
        title: str = "Model selection",
    ) -> None:
        """Write one HTML page to share: the choice, how sure it is, all settings, curves, failures.

        It needs no network and no other file, and reads without its script, which sorts and filters
        the settings and marks them in the pictures.

        Args:
          path: of the file.
          y: the responses [N] of the study's data: of labels or single numbers, and with
            predictions that the study kept, the page shows confusion and calibration, or
            residuals, and the worst rows; the choice is compared with what needs no features.
            All rows count the same there, whatever weights the study had.
          classes: their names [K]. columns: {name: values [N]} to show with the worst rows.
          baselines: {name: score}, of other models on the same folds in the metric of the choice:
            a number, or one of each fold, [F], which is compared in pairs.
          choice: default ``best()``.
          title: of the page.

        Raises a ValueError for responses, classes, columns or scores that do not fit, before
        anything is written, and an OSError where the file cannot be.
        """
        report.write(
            self, path, y, classes=classes, columns=columns, baselines=baselines, choice=choice,
            title=title,
        )  # fmt: skip

    def _loss(self, metric: str | None, maximize: bool | None) -> np.ndarray:
        """The means [S] of a metric so that less is better."""
        mean, _ = self.summary(metric)
        if maximize is None and metric in (None, self.metric):
            maximize = self.maximize
        elif maximize is None:
            maximize = self.directions.get(metric or self.metric)
        return directions.as_loss(mean, directions.resolve(metric or self.metric, maximize))

    def _metric(self, metric: str | None) -> np.ndarray:
        name = metric or self.metric
        if name not in self.scores:
            raise ValueError(f"metric {name!r} is none of {', '.join(self.scores)}")
        return self.scores[name]

    def __str__(self) -> str:
        return tables.as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return tables.as_html(self)


def mean_and_error(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [...] over folds of scores [..., F, K], and its standard error, NaN for a single fold.

    A fold's score is the mean of its seeds; the error is ``sd(fold scores) / sqrt(F)``.
    """
    by_fold = scores.mean(-1)
    count = by_fold.shape[-1]
    spread = by_fold.std(-1, ddof=1) if count > 1 else np.full(by_fold.shape[:-1], np.nan)
    return by_fold.mean(-1), spread / np.sqrt(count)


def final_scores(curve: np.ndarray, every: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The points of curves [..., V] after epochs ``best`` [...], of those in ``every`` [V].

    The last point where ``best`` is 0.
    """
    slot = np.where(best > 0, np.searchsorted(every, best), len(every) - 1)
    return np.take_along_axis(curve, slot[..., None], -1)[..., 0]
