"""Studies of ever other settings over the same folds: what one has compiled the next ones use."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxdl.metrics import directions
from jaxdl.model_selection import held_out_scores
from jaxdl.model_selection.assemble import study_metric
from jaxdl.model_selection.grid import Signature, signatures
from jaxdl.model_selection.planning import StudyPlan, check_reading, populate
from jaxdl.model_selection.population.halving import Rung
from jaxdl.model_selection.population.plan import Execution
from jaxdl.model_selection.population.run import Population
from jaxdl.model_selection.study import Study
from jaxdl.model_selection.validation import run
from jaxdl.training.host.checkpoints import Checkpoint


class Rounds:
    """Trains rounds of settings, each a study with the data, folds, seeds and recipe of a plan.

    Settings of a signature train in a population with room for one of a few numbers of them, so a
    space without static settings makes one program, and each combination of static ones a handful.
    All else is traced and compiled once for all rounds.

    Args:
      plan: its own settings are an example, by which the metric is found.
      most: the settings of a round at most.
      metrics, metric, maximize: as for ``cross_validate``.
      keep: what the studies are to have besides.
      levels: all Rungs that there will be; where members move in runs that are to be resumed.
      resumable: whether there are checkpoints.
    """

    def __init__(
        self,
        plan: StudyPlan,
        most: int,
        metrics: Any,
        metric: str | None,
        maximize: bool | None,
        *,
        keep: frozenset[str],
        execution: Execution,
        levels: Sequence[Rung] = (),
        resumable: bool = False,
    ):
        self.plan, self.most, self.keep, self.execution = plan, most, keep, execution
        self.predicts = "predictions" in keep or bool(metrics)
        self.milestones = plan._replace(levels=levels).milestones if resumable else None
        self.populations: dict[Any, Population] = {}
        (first,) = self._populations(plan, lambda count: most)
        check_reading(plan.settings, [first])
        reported = list(first.store.run.curves)
        self.asked = held_out_scores.asked(metrics, plan, reported)
        own = {one.name: one.maximize for one in self.asked}
        self.metric = study_metric([*reported, *own], metric)
        maximize = own.get(self.metric) if maximize is None else maximize
        self.maximize = directions.resolve(self.metric, maximize)
        if self.metric in own and levels:
            raise ValueError(
                f"halving goes by what is measured while training, {', '.join(reported)}, "
                f"not {self.metric!r}"
            )

    def train(
        self,
        settings: list[dict[str, Any]],
        levels: Sequence[Rung] = (),
        checkpoint: Checkpoint | None = None,
    ) -> Study:
        """The Study of some settings, which ``cross_validate`` would have given."""
        plan = self.plan._replace(settings=settings, signatures=signatures(settings), levels=levels)
        populations = self._populations(plan, self._capacity)
        check_reading(settings, populations)
        study = run(
            plan, populations, self.metric, self.maximize, states="states" in self.keep,
            checkpoint=checkpoint,
        )  # fmt: skip
        keeps = "predictions" in self.keep
        return held_out_scores.scored(study, self.asked, plan.data, keeps=keeps)

    def _capacity(self, count: int) -> int:
        return min(self.most, 1 << (count - 1).bit_length())

    def _populations(self, plan: StudyPlan, capacity: Callable[[int], int]) -> list[Population]:
        """A population for each signature of a plan, before its first epoch."""
        found = []
        for signature in plan.signatures:
            name = name_of(signature), capacity(len(signature.members))
            if name not in self.populations:
                (self.populations[name],) = populate(
                    plan._replace(signatures=[signature]), self.execution,
                    predictions=self.predicts, milestones=self.milestones,
                    capacity=capacity,
                )  # fmt: skip
            else:
                self.populations[name].restart(signature)
            found.append(self.populations[name])
        return found


def name_of(signature: Signature) -> tuple:
    """What makes a signature the same in two rounds."""
    static = sorted((k, type(v).__name__, v) for k, v in signature.static.items())
    return tuple(static), tuple(sorted((k, v.shape[1:]) for k, v in signature.traced.items()))
