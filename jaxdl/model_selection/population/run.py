"""The members of one static signature as one program that the host runs stretch by stretch."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxdl import parallel, programs
from jaxdl.checks import is_whole
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
    """

    def __init__(
        self,
        program: Program,
        shared: Shared,
        groups: Group,
        execution: Execution = AUTO,
        milestones: Sequence[int] | None = None,
    ):
        self.program, self.shared, self.groups = program, shared, groups
        self.recipe, self.signature = program.recipe, program.signature
        self.execution, self.milestones = execution, milestones
        self.per_epoch = int(steps_per_epoch(shared.train.mask.shape[1], self.recipe.lengths))
        self.epoch = self.traces = self.programs = 0
        self.compile_seconds = self.run_seconds = self.pace = 0.0
        self.dropped = np.full(len(self.signature.members), -1, np.int32)
        self.compiled = self.placed = self.rows = None
        start, held, work = probe(program, shared)
        self.store = store.empty(self.size, start, held)
        self.num_params = run_state.num_params(start.state)
        carried = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(start.state))
        if execution.devices is None:
            execution = execution._replace(devices=parallel.devices())
        self.wanted = choose_plan(self.size, execution, member_bytes=carried, work=work)
        steps = self.size * self.recipe.lengths.epochs * self.per_epoch / len(self.wanted.devices)
        # Known before the first epoch, so that a study which goes on compiles the same program.
        self.short = work.in_lockstep and steps * work.numbers <= programs.SHORT

    @property
    def size(self) -> int:
        """The number of members, S * G."""
        return len(self.signature.members) * len(self.groups.fold)

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
            results = self.compiled.call(shared, self._members(), self.rows.run)
            self.rows = store.Store(*jax.block_until_ready(results))
        if parallel.processes().count > 1:
            self.store = store.gather_histories(self.store, self.rows, self._own[0])
        seconds = time.perf_counter() - began
        self.run_seconds += seconds
        self.pace, self.epoch = seconds / max(stop - self.epoch, 1), stop

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
        kept = jax.vmap(run_state.kept_state)(run) if states else ()
        best = run.best._replace(state=()) if self.recipe.early_stopping else ()
        plan = self.wanted
        if self.placed:  # a row of a chunk is as many members as it is wide
            plan = self.placed.plan
            plan = plan._replace(chunk=plan.chunk * self._slots.shape[1])
        took = self.programs, self.traces, self.compile_seconds, self.run_seconds
        num_programs, num_traces, compile_seconds, run_seconds = parallel.agree("took", took)
        return Result(
            run=jax.tree.map(self.by_setting, run._replace(state=(), best=best)),
            predictions=jax.tree.map(self.by_setting, held),
            states=jax.tree.map(self.by_setting, kept),
            dropped=self.dropped,
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
        which, settings = np.maximum(self._own[0], 0), len(self.signature.members)
        groups = Group(*(np.asarray(part)[which.max(1) // settings] for part in self.groups))
        return groups, (which % settings).astype(np.int32)

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
        compile_seconds = self.compile_seconds / max(self.programs, 1)
        clock = parallel.agree("clock", [seconds_left, compile_seconds])
        to = placement.moved(self.active, self.placed, *clock)
        if to is not self.placed:
            self._move(to)

    def _move(self, to: placement.Placement) -> None:
        """Lay the members out so; where that is another program, compile it."""
        self._gather()
        before = self.placed if self.compiled else None
        self.placed = to
        slots, plan = self._own
        self.rows = store.lay_out(self.store, slots) if plan else None
        if before and (before.plan, before.slots.shape) == (to.plan, to.slots.shape):
            return
        self.fit_transforms()

        def row(*args):
            self.traces += 1  # as often as it is traced
            return train_row(self.program, *args)

        auto = self.execution.strategy == "auto"
        self.compiled = execute.NOTHING
        if plan is not None and self.rows is not None:
            with Explained(self.signature.traced):
                self.compiled = execute.compile(
                    row, plan, self.shared, self._members(), self.rows.run,
                    auto=auto, donate=True, short=self.short, resident=self._resident(slots),
                )  # fmt: skip
        # Where memory is short it is another plan: that of the process where it is shortest.
        ran = self.compiled.plan or to.plan
        told = parallel.tell("plan", [ran.chunk, ran.strategy, ran.reason])
        chunk, strategy, reason = min(told, key=lambda plan: plan[0])
        self.placed = to._replace(plan=ExecutionPlan(strategy, chunk, to.plan.devices, reason))
        self.compile_seconds += self.compiled.compile_seconds
        self.programs += self.compiled.num_programs

    def _gather(self) -> None:
        """Write what the rows of all processes hold back to the store."""
        if self.compiled is not None:
            self.store = store.gather(self.store, self.rows, self._own[0])
