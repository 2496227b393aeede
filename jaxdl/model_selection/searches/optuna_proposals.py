"""Proposals of Optuna's samplers, each round's at once: it is asked, then told what became of them."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxdl import parallel
from jaxdl.base import Key
from jaxdl.model_selection.searches.proposals import Outcome, Proposals

SAMPLERS = ("tpe", "gp", "cmaes")


def from_optuna(space: Callable, sampler: Any, key: Key, maximize: bool) -> Proposals:
    """Proposals by an Optuna sampler, or of an Optuna study, which goes on with what it knows.

    Args:
      space: a function of a trial.
      sampler: one of ``SAMPLERS``, an Optuna sampler, or an Optuna study, with its own sampler,
        storage and earlier trials.
      key: of the samplers by name. They are made anew for each round, so that a search which goes
        on from files or a storage draws as one that was never interrupted.
      maximize: whether more of a score is better.

    The proposals of a round are spread: TPE takes unfinished trials for bad ones (a constant liar),
    the Gaussian process integrates over them, CMA-ES draws a population.
    Diverged settings are told as infinitely bad, dropped ones as pruned with the score that they
    had. Raises a ValueError without Optuna, for what is no sampler, and for a study of another
    direction.
    Source: Akiba et al., Optuna (2019); Ginsbourger et al., Kriging Is Well-Suited to Parallelize
    Optimization (2010).
    """
    optuna = _import()
    direction = "maximize" if maximize else "minimize"
    study, owned = sampler, isinstance(sampler, optuna.Study)
    if owned and parallel.processes().count > 1:
        raise ValueError("an Optuna study goes on in one process; several take a sampler")
    if not owned:
        is_named = isinstance(sampler, str)
        if not (is_named or isinstance(sampler, optuna.samplers.BaseSampler)):
            raise ValueError(f"sampler takes a name, an Optuna sampler or study, not {sampler!r}")
        with _quiet(optuna):
            study = optuna.create_study(direction=direction, sampler=None if is_named else sampler)
    directions = [d.name.lower() for d in study.directions]
    if directions != [direction]:
        raise ValueError(
            f"the Optuna study would {' and '.join(directions)}, but the metric is to "
            f"{direction}: create it with direction={direction!r}"
        )

    def ask(turn: int, first: int, count: int, known: Sequence[int] | None):
        if known is not None and (settings := _earlier(optuna, study, space, known)):
            return list(known), settings
        if isinstance(sampler, str):
            seed = int(jax.random.bits(jax.random.fold_in(key, turn), (), np.uint32))
            study.sampler = _made(optuna, sampler, seed, count)
        with _quiet(optuna):
            trials = [study.ask() for _ in range(count)]
            # All of them are suggested before any is told: so they know of one another.
            settings = [space(trial) for trial in trials]
        return [trial.number for trial in trials], settings

    def tell(numbers: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        worst = -np.inf if maximize else np.inf
        with _quiet(optuna):
            for number, outcome in zip(numbers, outcomes, strict=True):
                _tell(optuna, study, number, outcome, worst)

    return Proposals(ask, tell)


def _tell(optuna: Any, study: Any, number: int, outcome: Outcome, worst: float) -> None:
    score = float(outcome.score) if np.isfinite(outcome.score) else worst
    frozen = study.trials[number]
    if frozen.state.is_finished():
        return
    if outcome.epochs is None:
        study.tell(number, score)
        return
    optuna.trial.Trial(study, frozen._trial_id).report(score, step=outcome.epochs)
    study.tell(number, state=optuna.trial.TrialState.PRUNED)


def _earlier(optuna: Any, study: Any, space: Callable, numbers: Sequence[int]) -> list[dict] | None:
    """The settings of trials that a study has from an earlier call, or None."""
    trials = study.get_trials(deepcopy=False)
    if not all(number < len(trials) and trials[number].params for number in numbers):
        return None
    return [space(optuna.trial.FixedTrial(trials[number].params)) for number in numbers]


def _made(optuna: Any, name: str, seed: int, count: int) -> Any:
    with _quiet(optuna):
        if name == "tpe":
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        try:
            if name == "gp":
                return optuna.samplers.GPSampler(seed=seed)
            return optuna.samplers.CmaEsSampler(seed=seed, popsize=max(count, 5))
        except ImportError as error:
            needs = {"gp": "torch and scipy", "cmaes": "cmaes"}[name]
            raise ValueError(f'the sampler "{name}" needs {needs}: pip install {needs}') from error


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Nothing of Optuna's on the screen: it warns of what is experimental, and logs each trial."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _import() -> Any:
    try:
        import optuna
    except ImportError:
        raise ValueError(
            'this sampler is Optuna\'s: pip install "jaxdl[search]"; "random" and "halton" need '
            "nothing more"
        ) from None
    return optuna
