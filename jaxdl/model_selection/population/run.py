"""The members of one static signature as one program that the host runs stretch by stretch."""

import functools
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import parallel, programs
from jaxdl.checks import filled_in, is_whole
from jaxdl.metrics.directions import as_loss
from jaxdl.model_selection.grid import Signature
from jaxdl.model_selection.population import execute, placement, store, transforms
from jaxdl.model_selection.population.plan import AUTO, Execution, ExecutionPlan, choose_plan
from jaxdl.model_selection.population.program import (
    Group,
    Program,
    Shared,
    checksum,
    probe,
    train_row,
)
from jaxdl.model_selection.population.result import Result
from jaxdl.model_selection.population.settings import Explained
from jaxdl.model_selection.study import final_scores
from jaxdl.training import run_state
from jaxdl.training.batching import steps_per_epoch


class Population:
    """Every setting [S] of a signature in every group [G], from epoch to epoch.

    What a member has done is in ``store``, leaves [S * G, ...], whenever it is in none of the rows
    of ``placed``; members that go on are brought together there as ``execution.compact`` says.
    Of several processes each has the rows of its own devices; their histories are in all stores
    after each stretch, and what they have learned where it is asked for.
    Programs of different sizes may round differently; so that a run which is to be resumed exactly
    does not depend on the clock, it moves members at ``milestones`` alone (epochs; None: at any
    look), and then whether or not that takes less time than it saves.

    There is room for ``capacity`` settings; where there are fewer, the places behind them are of
    members that have ended before their first epoch. ``restart`` trains others in the same program.
    """

    def __init__(
        self,
        program: Program,
        shared: Shared,
        groups: Group,
        execution: Execution = AUTO,
        milestones: Sequence[int] | None = None,
        capacity: int | None = None,
    ):
        self.program, self.shared, self.groups = program, shared, groups
        self.recipe, self.execution, self.milestones = program.recipe, execution, milestones
        self.capacity = capacity or len(program.signature.members)
        self.per_epoch = int(steps_per_epoch(shared.train.mask.shape[1], self.recipe.lengths))
        self.kept = {}  # programs, by plan and shape of the rows
        self.compile_cost = 0.0  # of the last one, in seconds
        start, held, work = probe(program, shared)
        self.like = start, held
        self.restart(program.signature)
        self.num_params = run_state.num_params(start.state)
        carried = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(start.state))
        if execution.devices is None:
            execution = execution._replace(devices=parallel.devices())
        self.wanted = choose_plan(self.size, execution, member_bytes=carried, work=work)
        steps = self.size * self.recipe.lengths.epochs * self.per_epoch / len(self.wanted.devices)
        # Known before the first epoch, so that a study which goes on compiles the same program.
        self.short = programs.is_short(steps * work.numbers, work.axes) and work.in_lockstep

    def restart(self, signature: Signature) -> None:
        """Begin anew with the settings of a signature of the same static ones; programs are kept."""
        count = len(signature.members)
        self.signature = signature
        index = np.minimum(np.arange(self.capacity), count - 1)
        settings = {name: jnp.asarray(np.asarray(v)[index]) for name, v in signature.traced.items()}
        self.shared = self.shared._replace(settings=settings)
        self.epoch = self.traces = self.programs = 0
        self.compile_seconds = self.run_seconds = self.pace = 0.0
        self.dropped = np.where(np.arange(self.capacity) < count, -1, 0).astype(np.int32)
        self.compiled = self.placed = self.rows = None
        self.store = store.empty(self.size, *self.like)
        if count < self.capacity:
            stopped = np.tile(self.dropped, len(self.groups.fold))
            self.store = self.store._replace(run=self.store.run._replace(stopped=stopped))

    @property
    def size(self) -> int:
        """The number of places for members, S * G."""
        return self.capacity * len(self.groups.fold)

    @property
    def active(self) -> np.ndarray:
        """[S, G] bool: the members that go on."""
        return self.by_setting(self.peek(lambda run: run.active))

    def peek(self, pick) -> np.ndarray:
        """``pick(run_state)`` of all members, [S * G, ...], wherever they lie."""
        return store.peek(self.store, self.rows, self._own[0], pick)

    def scores(self, metric: str, slot: int) -> np.ndarray:
        """A metric, [S, G], of the states that members would end with after evaluation ``slot``."""
        curve = self.by_setting(self.peek(lambda run: run.curves[metric]))
        every = self.recipe.lengths.evaluation_epochs[: slot + 1]
        best = np.zeros(curve.shape[:2], int)
        if run_state.keeps_best(self.store.run):
            best = self.by_setting(self.peek(lambda run: run.best.epoch))
        return final_scores(curve, every, best)

    def losses(self, metric: str, maximize: bool, epoch: int) -> np.ndarray:
        """The mean of a metric as a loss, [S], at the evaluation after an epoch.

        NaN for a setting with a member that diverged.
        """
        slot = int(np.searchsorted(self.recipe.lengths.evaluation_epochs, epoch))
        failed = self.by_setting(self.peek(lambda run: run.diverged)) >= 0
        mean = np.where(failed.any(1), np.nan, self.scores(metric, slot).mean(1))
        return as_loss(mean, maximize)

    @functools.cached_property
    def checksum(self) -> int:
        """A checksum of what its members do."""
        return checksum(self.program, self.shared)

    def fit_transforms(self) -> None:
        """Fit the transform to each training part, unless that is done."""
        if self.shared.transforms is None:
            fitted, compiled, ran = transforms.fit_folds(
                self.recipe.transform, self.shared.data, self.shared.train
            )
            self.shared = self.shared._replace(transforms=fitted)
            self.compile_seconds += compiled
            self.run_seconds += ran

    def advance(self, stop: int) -> None:
        """Train to the end of epoch ``stop``; members that have finished stay as they are."""
        if self.compiled is None:
            self._move(self.placed or placement.first(self.active, self.wanted))
        if self.epoch and (self.milestones is None or self.epoch in self.milestones):
            self._compact()
        shared = self.shared._replace(
            key=jax.random.clone(self.recipe.key),
            start=np.int32(self.epoch * self.per_epoch),
            stop=np.int32(stop * self.per_epoch),
        )
        began = time.perf_counter()
        if self.rows is not None:
            results = filled_in(self.compiled).call(shared, self._members(), self.rows.run)
            self.rows = store.Store(*jax.block_until_ready(results))
        if parallel.processes().count > 1:
            self.store = store.gather_histories(self.store, self.rows, self._own[0])
        seconds = time.perf_counter() - began
        self.run_seconds += seconds
        self.pace, self.epoch = seconds / max(stop - self.epoch, 1), stop

    def train(self, settings: np.ndarray, start: int, stop: int, width: int) -> None:
        """Train some settings alone, [S] bool and ``width`` at most, from the end of one epoch on.

        They have all come to ``start``; the others wait. Members must not be compacted.
        """
        self._move(placement.first(self.active & settings[:, None], self.wanted, width))
        self.epoch = start
        self.advance(stop)

    def drop(self, settings: np.ndarray) -> None:
        """End the members of some settings, [S] bool, where they are."""
        ended = (self.active & settings[:, None]).T.ravel()
        self._gather()
        run = self.store.run
        stopped = np.where(ended, self.epoch, run.stopped).astype(np.int32)
        self.store = self.store._replace(run=run._replace(stopped=stopped))
        self.dropped[settings & (self.dropped < 0)] = self.epoch
        if self.rows is not None:
            self.rows = store.lay_out(self.store, self._own[0])

    def copy(self, source: np.ndarray) -> None:
        """Every setting goes on from where that of ``source`` [S] is, in each group."""
        self._gather()
        groups = np.arange(len(self.groups.fold))[:, None]
        self.store = store.copied(self.store, (groups * self.capacity + source).ravel())
        if self.rows is not None:
            self.rows = store.lay_out(self.store, self._own[0])

    def change(self, settings: dict[str, np.ndarray]) -> None:
        """Go on with other values {name: [S]} of the traced settings."""
        self.signature = self.signature._replace(traced=settings)
        self.shared = self.shared._replace(
            settings={name: jnp.asarray(values) for name, values in settings.items()}
        )

    def snapshot(self) -> Any:
        """All that a population has to know to go on, as a pytree of arrays."""
        self._gather()
        return {"store": tuple(self.store), "dropped": self.dropped, "slots": self._slots.ravel()}

    def layout(self) -> list[int] | None:
        """How the members lie in rows, in JSON's types; None where they do not yet."""
        return placement.as_list(self.placed, self.wanted) if self.placed else None

    def restore(self, tree: Any, epoch: int, layout: list[int] | None) -> None:
        """Go on from a snapshot that was taken after ``epoch`` epochs in that layout.

        Raises a ValueError where they make no sense.
        """
        if not (is_whole(epoch) and 0 <= epoch <= self.recipe.lengths.epochs):
            raise ValueError("its epochs or its layout make no sense")
        slots = np.array(tree["slots"])
        self.placed = placement.from_list(layout, slots, self.size, self.wanted)
        self.store, self.dropped = store.Store(*tree["store"]), np.array(tree["dropped"])
        self.epoch, self.rows, self.compiled = epoch, None, None

    def result(self, states: bool) -> Result:
        """The Result of all members, with their trained states or without."""
        # Several processes have each other's histories, and what was learned need not travel.
        if states or self.program.predicts or parallel.processes().count == 1:
            self._gather()
        run, held = self.store
        real = lambda leaf: self.by_setting(leaf)[: len(self.signature.members)]
        kept = jax.vmap(run_state.kept_state)(run) if states else ()
        best = run.best._replace(state=()) if self.recipe.early_stopping else ()
        plan = self.wanted
        if self.placed:  # a row of a chunk is as many members as it is wide
            plan = self.placed.plan
            plan = plan._replace(chunk=plan.chunk * self._slots.shape[1])
        took = self.programs, self.traces, self.compile_seconds, self.run_seconds
        num_programs, num_traces, compile_seconds, run_seconds = parallel.agree("took", took)
        return Result(
            run=jax.tree.map(real, run._replace(state=(), best=best)),
            predictions=jax.tree.map(real, held),
            states=jax.tree.map(real, kept),
            dropped=self.dropped[: len(self.signature.members)],
            keeps_best=run_state.keeps_best(run),
            num_params=self.num_params,
            plan=plan,
            num_programs=num_programs,
            num_traces=num_traces,
            compile_seconds=compile_seconds,
            run_seconds=run_seconds,
        )

    def by_setting(self, leaf):
        """[S * G, ...] as [S, G, ...]."""
        return leaf.reshape(len(self.groups.fold), -1, *leaf.shape[1:]).swapaxes(0, 1)

    @property
    def _slots(self) -> np.ndarray:
        return self.placed.slots if self.placed else np.zeros((0, 1), np.int32)

    @property
    def _own(self) -> tuple[np.ndarray, ExecutionPlan | None]:
        """The slots of this process's rows, and the plan for them."""
        return placement.of_process(self._slots, self.placed.plan if self.placed else self.wanted)

    def _members(self) -> tuple[Group, np.ndarray]:
        """The groups of this process's rows, [R] each, and the settings in their places, [R, s]."""
        which = np.maximum(self._own[0], 0)
        groups = Group(*(np.asarray(part)[which.max(1) // self.capacity] for part in self.groups))
        return groups, (which % self.capacity).astype(np.int32)

    def _resident(self, slots: np.ndarray) -> int | None:
        """How many rows are to be on the devices at a time."""
        members = self.execution.resident
        return None if members is None else max(1, members // slots.shape[1])

    def _compact(self) -> None:
        """Bring the active members together where that saves something."""
        if self.execution.compact == "never":
            return
        seconds_left = self.pace * (self.recipe.lengths.epochs - self.epoch)
        if self.execution.compact == "always" or self.milestones is not None:
            seconds_left = np.inf
        clock = parallel.agree("clock", [seconds_left, self.compile_cost])
        to = placement.moved(self.active, filled_in(self.placed), *clock)
        if to is not self.placed:
            self._move(to)

    def _move(self, to: placement.Placement) -> None:
        """Lay the members out so; where that is another program, compile it."""
        self._gather()
        self.placed = to
        slots, plan = self._own
        self.rows = store.lay_out(self.store, slots) if plan else None
        if (to.plan, to.slots.shape) not in self.kept:
            self.fit_transforms()
            compiled, ran = self._compile(to.plan, slots, plan)
            for known in (to.plan, ran):  # where memory is short, they differ
                self.kept[known, to.slots.shape] = compiled, ran
        self.compiled, ran = self.kept[to.plan, to.slots.shape]
        self.placed = to._replace(plan=ran)

    def _compile(
        self, plan: ExecutionPlan, slots: np.ndarray, own: ExecutionPlan | None
    ) -> tuple[execute.Compiled, ExecutionPlan]:
        """This process's program for its slots by its ``own`` plan, and the plan that all ran by."""

        def row(*args):
            self.traces += 1  # as often as it is traced
            return train_row(self.program, *args)

        auto = self.execution.strategy == "auto"
        compiled = execute.NOTHING
        if own is not None and self.rows is not None:
            with Explained(self.signature.traced):
                compiled = execute.compile(
                    row, own, self.shared, self._members(), self.rows.run,
                    auto=auto, donate=True, short=self.short, resident=self._resident(slots),
                )  # fmt: skip
        # Where memory is short it is another plan: that of the process where it is shortest.
        ran = compiled.plan or plan
        told = parallel.tell("plan", [ran.chunk, ran.strategy, ran.reason])
        chunk, strategy, reason = min(told, key=lambda plan: plan[0])
        self.compile_seconds += compiled.compile_seconds
        self.programs += compiled.num_programs
        self.compile_cost = compiled.compile_seconds / max(compiled.num_programs, 1)
        return compiled, ExecutionPlan(strategy, chunk, plan.devices, reason)

    def _gather(self) -> None:
        """Write what the rows of all processes hold back to the store."""
        if self.compiled is not None:
            self.store = store.gather(self.store, self.rows, self._own[0])
