"""Search by ask and tell: each round's settings are proposed together and train as one program."""

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdl.base import Key, Learner, Transform
from jaxdl.checks import one_of, positive_int, typed_key
from jaxdl.metrics import Metric
from jaxdl.model_selection.folds import Folds
from jaxdl.model_selection.grid import expand
from jaxdl.model_selection.joining import join
from jaxdl.model_selection.keywords import check_keep, refuse
from jaxdl.model_selection.planning import plan_study
from jaxdl.model_selection.population.halving import Halving, Rung, rungs
from jaxdl.model_selection.population.keys import search_key
from jaxdl.model_selection.population.plan import AUTO, Execution, check_execution
from jaxdl.model_selection.searches.optuna_proposals import SAMPLERS, from_optuna
from jaxdl.model_selection.searches.proposals import Outcome, Proposals, at_random, halton
from jaxdl.model_selection.searches.record import Record
from jaxdl.model_selection.searches.rounds import Rounds
from jaxdl.model_selection.spaces import Suggestions, as_space
from jaxdl.model_selection.study import Study
from jaxdl.model_selection.words import in_words, plain
from jaxdl.training.host import checkpoints, runlog
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.stretches import Bar
from jaxdl.training.stopping import EarlyStopping

OWN = {"random": at_random, "halton": halton}


class Search(NamedTuple):
    """What a search tried, T proposals in R rounds.

    study: the Study of all different settings, in the order in which they were first proposed.
    proposals: [T], the row of the study of each. rounds: [T], in which it was proposed.
    numbers: [T], their numbers, those of an Optuna study's trials.
    """

    study: Study
    proposals: np.ndarray
    rounds: np.ndarray
    numbers: np.ndarray

    def best_so_far(self) -> np.ndarray:
        """[T], the best mean score among the first t proposals; NaN while all have diverged.

        Settings that halving dropped do not count.
        """
        study = self.study
        scores = np.where(study.dropped < 0, _scores(study), np.nan)[self.proposals]
        best = np.fmax if study.maximize else np.fmin
        return best.accumulate(scores)

    def __repr__(self) -> str:
        study, best = self.study, self.best_so_far()[-1]
        first = study.ranking()[0]
        found = (
            f"best {study.metric} {best:.4f} with {in_words(study.hparams[first])}"
            if np.isfinite(best)
            else "none of them came to the end"
        )
        return (
            f"{len(self.proposals)} proposals in {self.rounds[-1] + 1} rounds, "
            f"{len(study.hparams)} of them different; {found}"
        )


class Turn(NamedTuple):
    """A round to come: how many proposals, and the Rungs of their race, if there is one."""

    count: int
    levels: Sequence[Rung] = ()


def search(
    make_learner: Callable[[dict[str, Any]], Learner],
    space: Any,
    data: Any,
    *,
    key: Key,
    sampler: Any = "tpe",
    rounds: int | Sequence[Turn],
    per_round: int | None = None,
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
) -> Search:
    """Search a space by rounds of proposals, each trained on all folds and seeds as one program.

    The settings of a round are ``cross_validate``'s of one grid: the same folds, draws and scores.
    The program is traced and compiled in the first round and kept; whole numbers and names are
    static, and make a handful of programs for each combination. A setting that comes again is not
    trained again.

    Args:
      make_learner, data: as for ``cross_validate``.
      space: a dict with ``uniform``, ``log_uniform``, ``whole_numbers`` or a list for each name; or
        a function of an Optuna trial, or of what suggests as one does, that gives a setting: some
        of its names may depend on the values of others.
      key: a typed key, consumed: of the study and of the proposals.
      sampler: ``"random"``; ``"halton"``, points that fill the space evenly; with the extra
        ``search`` Optuna's ``"tpe"``, ``"gp"`` (needs torch), ``"cmaes"``, any sampler of its, or an
        Optuna study, which goes on from its trials and keeps the new ones in its storage.
      rounds, per_round: the proposals of a round are made before any of them is trained; they are
        spread by the sampler. Rounds of different sizes are a list of ``Turn``s.
      folds, ..., halving: as for ``cross_validate``; settings that halving drops are told as pruned.
      keep, execution: as for ``cross_validate``.
      checkpoint: a folder, or a ``Checkpoint`` of one: the same call again goes on, within a round
        too, and ends with the same numbers; so does one of more rounds. A sampler object of yours
        must be as it was at first.
      log: as for ``cross_validate``, with a row for each proposal, after each round.
      progress: show a bar, of proposals.

    Raises a ValueError as ``cross_validate``, for a space or a sampler that is none, where Optuna
    is needed and missing, and for an Optuna study of the other direction.
    Source: Bergstra et al., Algorithms for Hyper-Parameter Optimization (2011).

    >>> import jax, numpy as np, optax
    >>> from jaxdl import families, models, training
    >>> from jaxdl.model_selection import log_uniform, search
    >>> def make_learner(h):
    ...     net = models.mlp((1, 1))
    ...     loss = training.negative_log_likelihood(net, families.normal())
    ...     return training.gradient_learner(net, loss, optax.sgd(h["rate"]))
    >>> x = np.linspace(-1, 1, 12, dtype=np.float32)[:, None]
    >>> found = search(make_learner, {"rate": log_uniform(1e-3, 1.0)}, (x, 3 * x[:, 0]), folds=2,
    ...                key=jax.random.key(0), sampler="halton", rounds=2, per_round=3, epochs=5)
    >>> found.study.best().hparams["rate"] > 0.1
    True
    """
    if gone:
        refuse("search", gone)
    turns = _turns(rounds, per_round, halving, epochs)
    suggest, keep, key = as_space(space), check_keep(keep), typed_key(key)
    execution, record = check_execution(execution), Record(checkpoints.as_checkpoint(checkpoint))
    firsts = [turn.levels[0].epochs for turn in turns if turn.levels]
    every = evaluate_every or (min(firsts) if firsts else None)
    if every and any(first % every for first in firsts):
        raise ValueError(f"evaluate_every={every} must divide the first rungs, {firsts}")
    most = max(turn.count for turn in turns)
    middle = Suggestions(lambda name: 0.5)
    plan = plan_study(
        make_learner, [suggest(middle)], data, key=key, folds=folds, seeds=seeds, epochs=epochs,
        batch_size=batch_size, remainder=remainder, evaluate_every=every,
        evaluate_train="train_scores" in keep, transform=transform, early_stopping=early_stopping,
        halving=None,
    )  # fmt: skip
    trained = Rounds(
        plan, most, metrics, metric, maximize, keep=keep, execution=execution,
        levels=[rung for turn in turns for rung in turn.levels],
        resumable=record.checkpoint is not None,
    )  # fmt: skip
    ask, tell = _proposals(sampler, suggest, search_key(key), trained.maximize)
    studies, rows, where, outcomes, log = [], [], [], {}, runlog.as_log(log)
    if log is not None:
        log.start([])
    with Bar(sum(turn.count for turn in turns), 0, "settings", progress) as bar:
        for number, turn in enumerate(turns):
            numbers, asked = ask(number, len(rows), turn.count, record.numbers(number))
            settings = expand(asked)
            record.note(number, numbers, settings)
            names = [_name(setting) for setting in settings]
            new = {n: s for n, s in zip(names, settings, strict=True) if n not in outcomes}
            if new:
                study = trained.train(list(new.values()), turn.levels, record.of_round(number))
                outcomes |= dict(zip(new, _outcomes(study), strict=True))
                studies.append(study)
            rows += [list(outcomes).index(name) for name in names]
            where += [(number, n) for n in numbers]
            tell(numbers, [outcomes[name] for name in names])
            if log is not None:
                log.add(
                    {"setting": row, "settings": {k: plain(v) for k, v in setting.items()},
                     "step": step, "part": "validation", "metric": trained.metric,
                     "value": outcomes[name].score}
                    for step, row, setting, name in zip(
                        range(len(rows) - turn.count, len(rows)), rows[-turn.count :], settings,
                        names, strict=True,
                    )
                )  # fmt: skip
            bar.update(len(rows), {"rounds": number + 1, "different": len(outcomes)})
    return Search(join(studies), np.array(rows), *np.array(where).T)


def _turns(
    rounds: int | Sequence[Turn], per_round: int | None, halving: Halving | None, epochs: int
) -> list[Turn]:
    if isinstance(rounds, Sequence):
        if per_round is not None or halving is not None or not rounds:
            raise ValueError("rounds as a list are some, with their own sizes and races")
        return list(rounds)
    count = positive_int("per_round", per_round)
    levels = [] if halving is None else rungs(halving, count, positive_int("epochs", epochs))
    return [Turn(count, levels)] * positive_int("rounds", rounds)


def _proposals(sampler: Any, space: Callable, key: Key, maximize: bool) -> Proposals:
    if isinstance(sampler, str):
        one_of("sampler", sampler, (*OWN, *SAMPLERS))
    if isinstance(sampler, str) and sampler in OWN:
        return OWN[sampler](space, key)
    return from_optuna(space, sampler, key, maximize)


def _name(setting: dict[str, Any]) -> str:
    """What makes a setting the same as another, as ``join`` sees it."""
    return json.dumps({name: plain(setting[name]) for name in sorted(setting)})


def _scores(study: Study) -> np.ndarray:
    """The mean of the study's metric [S], NaN where a member diverged."""
    with np.errstate(invalid="ignore"):  # of what is not finite
        mean = study.scores[study.metric].astype(float).mean((1, 2))
    return np.where(study.diverged.any((1, 2)), np.nan, mean)


def _outcomes(study: Study) -> list[Outcome]:
    dropped = [int(epochs) if epochs >= 0 else None for epochs in study.dropped]
    return [Outcome(float(s), e) for s, e in zip(_scores(study), dropped, strict=True)]
