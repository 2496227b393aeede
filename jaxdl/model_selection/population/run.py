"""The members of one static signature as one program that the host runs stretch by stretch."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import programs
from jaxdl.base import Batch, Learner, features
from jaxdl.checks import is_whole
from jaxdl.model_selection.grid import Signature
from jaxdl.model_selection.population import execute, places, transforms
from jaxdl.model_selection.population.members import (
    SETTINGS,
    Explained,
    Group,
    Result,
    Setting,
    Shared,
    arrange,
    built,
    member_key,
    pack,
)
from jaxdl.model_selection.population.plan import balance, choose_plan, work_of
from jaxdl.model_selection.study import Recipe, final_scores
from jaxdl.training import loop, run_state, stopping
from jaxdl.training.batching import Rows, padding_of, steps_per_epoch, take
from jaxdl.training.run_state import RunState

COMPACT = ("auto", "always", "never")


class Population:
    """Every setting [S] of a signature in every group [G], from epoch to epoch.

    Members lie in rows [R, s]: those of a row belong to one group and share its batches. Members
    that have finished (they diverged, were stopped or dropped) cost nothing once their whole row
    has; ``compact`` brings those that go on together in fewer rows. What a member has done is in
    ``store``, leaves [S * G, ...], whenever it is in no row.

    ``compact``: ``"auto"`` compiles a smaller program only where that takes less time than it
    saves, ``"always"`` whenever half of the places are empty, ``"never"`` moves nobody. Programs of
    different sizes may round differently; so that a run which is to be resumed exactly does not
    depend on the clock, it moves members at ``milestones`` alone (epochs; None: at any look).
    """

    def __init__(
        self,
        recipe: Recipe,
        signature: Signature,
        data: Batch,
        train: Rows,
        valid: Rows | None,
        groups: Group,
        *,
        strategy: str = "auto",
        chunk: int | None = None,
        devices: Sequence | None = None,
        predictions: bool = False,
        compact: str = "auto",
        milestones: Sequence[int] | None = None,
    ):
        self.recipe, self.signature, self.groups = recipe, signature, groups
        self.padding = padding_of(train.mask.sum(axis=1), recipe.lengths)
        self.per_epoch = int(steps_per_epoch(train.mask.shape[1], recipe.lengths))
        self.predicts, self.compact, self.strategy = predictions, compact, strategy
        self.milestones, self.layout_before = milestones, None
        self.epoch = self.traces = self.programs = 0
        self.compile_seconds = self.run_seconds = self.pace = 0.0
        self.dropped = np.full(len(signature.members), -1, np.int32)
        self.settings = {k: jnp.asarray(v) for k, v in signature.traced.items()}
        self.seen: set[str] = set()  # the settings' names that something has read
        data = transforms.numbered(data, recipe.transform)
        self.one = take(data, np.zeros(2, np.int32))
        self.shared = Shared(
            data, train, valid, self.settings, None, recipe.key, np.int32(0), np.int32(0)
        )
        first = {k: v[0] for k, v in self.settings.items()}
        any_key = jax.random.key(0)
        with self._explained():
            fitted = jax.eval_shape(self._fit, self.one, np.ones(2, bool))
            start, _ = jax.eval_shape(self._peek, first, fitted, any_key, self.one)
            size = min(recipe.lengths.batch_size, train.mask.shape[1])
            work = work_of(self._peek, first, fitted, any_key, take(data, np.zeros(size, np.int32)))
            held = () if not predictions else jax.eval_shape(self._predict, first, fitted, any_key)
        if self.unread:  # perhaps predict alone reads them
            with contextlib.suppress(Exception):
                jax.eval_shape(self._predict, first, fitted, any_key)
        if predictions and not hasattr(held, "shape"):
            raise ValueError(f"predict must give one array, not {type(held).__name__}")
        self.num_params = run_state.num_params(start.state)
        self.wanted = choose_plan(
            self.size,
            strategy,
            chunk=chunk,
            devices=devices,
            member_bytes=sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(start.state)),
            work=work,
        )
        steps = self.size * recipe.lengths.epochs * self.per_epoch / len(self.wanted.devices)
        # Known before the first epoch, so that a study which goes on compiles the same program.
        self.short = work.in_lockstep and steps * work.numbers <= programs.SHORT
        self.store = places.empty(self.size, (start, held))
        none = np.full(self.size, -1, np.int32)
        self.store = (self.store[0]._replace(stopped=none, diverged=none.copy()), self.store[1])
        self.program = self.slots = self.rows = None

    # -- what the host may ask

    @property
    def size(self) -> int:
        """The number of members, S * G."""
        return len(self.signature.members) * len(self.groups.fold)

    @property
    def active(self) -> np.ndarray:
        """[S, G] bool: the members that go on."""
        diverged, stopped = (
            self.peek(lambda p, n=n: getattr(p, n)) for n in ("diverged", "stopped")
        )
        return self._by_setting((diverged < 0) & (stopped < 0))

    @property
    def unread(self) -> set[str]:
        """The names of settings that nothing has read."""
        return {*self.signature.static, *self.signature.traced} - self.seen

    def peek(self, pick) -> np.ndarray:
        """``pick(run_state)`` of all members, [S * G, ...], wherever they lie."""
        stored = np.array(pick(self.store[0]))
        if self.rows is not None:
            here = self.slots.ravel() >= 0
            now = np.asarray(pick(self.rows))
            stored[self.slots.ravel()[here]] = now.reshape(-1, *now.shape[2:])[here]
        return stored

    def scores(self, metric: str, slot: int) -> np.ndarray:
        """A metric, [S, G], of the states that members would end with after evaluation ``slot``."""
        curve = self._by_setting(self.peek(lambda p: p.curves[metric]))[..., : slot + 1]
        every = self.recipe.lengths.evaluation_epochs[: slot + 1]
        best = np.zeros(curve.shape[:2], int)
        if run_state.keeps_best(self.store[0]):
            best = self._by_setting(self.peek(lambda p: p.best.epoch))
        return final_scores(curve, every, best)

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
        if self.program is None:
            self._place()
        if self.epoch and (self.milestones is None or self.epoch in self.milestones):
            self._compact(self.pace * (self.recipe.lengths.epochs - self.epoch))
        shared = self.shared._replace(
            key=jax.random.clone(self.recipe.key),
            start=np.int32(self.epoch * self.per_epoch),
            stop=np.int32(stop * self.per_epoch),
        )
        which = np.maximum(self.slots, 0)
        group = which.max(1) // len(self.signature.members)
        rows = (
            Group(*(np.asarray(part)[group] for part in self.groups)),
            (which % len(self.signature.members)).astype(np.int32),
        )
        began = time.perf_counter()
        self.rows, self.held = jax.block_until_ready(self.program.call(shared, rows, self.rows))
        seconds = time.perf_counter() - began
        self.run_seconds += seconds
        self.pace, self.epoch = seconds / max(stop - self.epoch, 1), stop

    def drop(self, settings: np.ndarray) -> None:
        """End the members of some settings, [S] bool, where they are."""
        self._gather()
        active = self.active & settings[:, None]
        stopped = self._by_setting(self.peek(lambda p: p.stopped))
        self._set_stopped(np.where(active, self.epoch, stopped).T.ravel())
        self.dropped[settings & (self.dropped < 0)] = self.epoch
        if self.rows is not None:
            self._scatter()

    def snapshot(self) -> Any:
        """All that a population has to know to go on, as a pytree of arrays."""
        self._gather()
        slots = np.zeros(0, np.int32) if self.slots is None else self.slots.ravel()
        return {"store": self.store, "dropped": self.dropped, "slots": slots}

    def layout(self) -> list[int] | None:
        """How the members lie in rows, in JSON's types; None where they do not yet."""
        if self.program is None:
            return None
        plan, wanted = self.program.plan, self.wanted
        return [*self.slots.shape, len(plan.devices), plan.chunk, len(wanted.devices), wanted.chunk]

    def restore(self, tree: Any, epoch: int, layout: list[int] | None) -> None:
        """Go on from a snapshot that was taken after ``epoch`` epochs in that layout.

        Raises a ValueError where they make no sense.
        """
        whole = lambda value, least: is_whole(value) and value >= least
        slots = np.array(tree["slots"])
        laid = layout is None or (
            isinstance(layout, list)
            and len(layout) == 6
            and all(whole(value, 1) for value in layout)
            and layout[0] * layout[1] == len(slots)
            and layout[2] <= layout[4]
            and layout[0] % layout[2] == 0
        )
        known = np.all((slots >= -1) & (slots < self.size))
        if not (laid and known and whole(epoch, 0) and epoch <= self.recipe.lengths.epochs):
            raise ValueError("its epochs or its layout make no sense")
        self.store, self.dropped = tree["store"], np.array(tree["dropped"])
        self.epoch, self.rows = epoch, None
        if layout and layout[4:] == [len(self.wanted.devices), self.wanted.chunk]:
            slots = slots.reshape(layout[:2])
            devices = self.wanted.devices[: layout[2]]
            self.layout_before = self.wanted._replace(devices=devices, chunk=layout[3]), slots

    def result(self, states: bool) -> Result:
        """The Result of all members, with their trained states or without."""
        self._gather()
        run, held = self.store
        kept = jax.vmap(run_state.kept_state)(run) if states else ()
        best = run.best._replace(state=()) if self.recipe.early_stopping else ()
        return Result(
            run=jax.tree.map(self._by_setting, run._replace(state=(), best=best)),
            predictions=jax.tree.map(self._by_setting, held),
            states=jax.tree.map(self._by_setting, kept),
            dropped=self.dropped,
            keeps_best=run_state.keeps_best(run),
            num_params=self.num_params,
            plan=self.program.plan._replace(chunk=self.program.plan.chunk * self.slots.shape[1])
            if self.program
            else self.wanted,
            num_programs=self.programs,
            num_traces=self.traces,
            compile_seconds=self.compile_seconds,
            run_seconds=self.run_seconds,
        )

    # -- what a member is

    def _learner(self, setting, fitted) -> Learner:
        setting = Setting({**self.signature.static, **setting}, self.seen)
        learner = built(self.recipe.make_learner, setting)
        self.responses = learner.responses
        return transforms.with_transform(learner, self.recipe.transform, fitted)

    def _besides(self, setting, metrics=None) -> run_state.StopAndRecord:
        early = self.recipe.early_stopping
        if early is not None:
            if callable(early):
                early = early(Setting({**self.signature.static, **setting}, self.seen))
            early = stopping.check(early, metrics, True)
        return run_state.StopAndRecord(early_stopping=early, axis=SETTINGS)

    def _metrics(self, learner) -> list[str]:
        state = jax.eval_shape(learner.init, jax.random.key(0))
        return list(jax.eval_shape(learner.evaluate, state, self.one))

    def _peek(self, setting, fitted, key, batch):
        """One member before and after its first step, for shapes and for the kind of work."""
        learner = self._learner(setting, fitted)
        init_key, step_key = jax.random.split(key)
        besides = self._besides(setting, self._metrics(learner))
        start = run_state.init_run(
            learner, self.shared.data, init_key, self.recipe.lengths, besides
        )
        return start, learner.step(learner.init(step_key), batch)[1]

    def _predict(self, setting, fitted, key):
        learner = self._learner(setting, fitted)
        rows = self.shared.train if self.shared.valid is None else self.shared.valid
        held = take(features(self.shared.data), jnp.asarray(rows.index)[0])
        return learner.predict(learner.init(key), held)

    def _block(self, shared: Shared, row, run: RunState):
        """Train the settings of a row, all of one group."""
        self.traces += 1
        group, which = row
        of_fold = lambda tree: jax.tree.map(lambda leaf: jnp.asarray(leaf)[group.fold], tree)
        rows, held, fitted = map(of_fold, (shared.train, shared.valid, shared.transforms))
        data = transforms.of_training_part(shared.data, self.recipe.transform, rows)
        own_key = member_key(shared.key, group.seed, group.fold)

        def member(which, run):
            setting = {k: v[which] for k, v in shared.settings.items()}
            learner = self._learner(setting, fitted)
            run = loop.run_stretch(
                learner, data, rows, held, own_key, run, shared.start, shared.stop,
                self.recipe.lengths, self.padding, self._besides(setting, self._metrics(learner)),
            )  # fmt: skip
            if not self.predicts:
                return run, ()
            state = run_state.final_state(learner, run, own_key, 0)
            return run, learner.predict(state, take(features(shared.data), held.index))

        return jax.vmap(member, axis_name=SETTINGS)(which, run)

    def _fit(self, batch, mask):
        return transforms.fit(self.recipe.transform, batch, mask)

    # -- where members lie

    def _place(self) -> None:
        """Lay all active members, or those of a restored layout, out in rows, and compile."""
        if self.layout_before is not None:
            self._compile(*self.layout_before)
            return
        active = self.active
        blocks, plan = arrange(len(active), active.shape[1], self.wanted)
        total, plan = balance(len(blocks) * active.shape[1], plan)
        self._compile(plan, pack(active, blocks.shape[1], total, len(plan.devices)))

    def _compile(self, plan, slots) -> None:
        self.fit_transforms()
        self.slots = slots
        self._scatter()
        shape = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype)
        rows = (Group(*(jax.ShapeDtypeStruct((len(slots),), np.int32),) * 2), shape(slots))
        with self._explained():
            self.program = execute.compile(
                self._block,
                plan,
                self.shared,
                rows,
                self.rows,
                auto=self.strategy == "auto",
                donate=True,
                short=self.short,
            )
        self.compile_seconds += self.program.compile_seconds
        self.programs += self.program.num_programs

    def _compact(self, seconds_left: float) -> None:
        """Bring the active members together where that saves something."""
        plan, active = self.program.plan, self.active
        devices, (num_rows, size) = len(plan.devices), self.slots.shape
        if self.compact == "never" or not active.any():
            return
        most = lambda busy: busy.reshape(devices, -1).sum(1).max() * devices
        places, slots = self.slots.size, None
        if plan.chunk == 1:
            # Rows run one after the other: the same program, with the work dealt out evenly.
            slots = pack(active, size, num_rows, devices)
            busy = np.any((self.slots >= 0) & active.T.ravel()[self.slots], axis=1)
            places = most(np.any(slots >= 0, axis=1)) * size
            slots = slots if places < most(busy) * size else None
        while size > 1 and active.sum(0).max() <= size // 2:
            size = -(-size // 2)
        needed = int(np.sum(-(-active.sum(0) // size)))
        total, smaller = balance(
            needed, plan._replace(devices=plan.devices[:needed], chunk=min(plan.chunk, needed))
        )
        share = total * size / places
        worth = seconds_left * (1 - share) > self.compile_seconds / max(self.programs, 1)
        if share <= 0.5 and (worth or self.compact == "always" or self.milestones is not None):
            self._gather()
            self._compile(smaller, pack(active, size, total, len(smaller.devices)))
        elif slots is not None:
            self._gather()
            self.slots = slots
            self._scatter()

    def _gather(self) -> None:
        """Write what the rows hold back to the store."""
        if self.rows is not None:
            self.store = places.put_back(self.store, (self.rows, self.held), self.slots)

    def _scatter(self) -> None:
        """Lay members out in rows by slot; an empty place is a member that has finished."""
        rows, self.held = places.lay_out(self.store, self.slots)
        stopped = np.where(self.slots >= 0, rows.stopped, 0).astype(np.int32)
        self.rows = rows._replace(stopped=stopped)

    def _set_stopped(self, stopped: np.ndarray) -> None:
        run, held = self.store
        self.store = (run._replace(stopped=stopped.astype(np.int32)), held)

    def _by_setting(self, leaf):
        """[S * G, ...] as [S, G, ...]."""
        return leaf.reshape(len(self.groups.fold), -1, *leaf.shape[1:]).swapaxes(0, 1)

    def _explained(self):
        return Explained(self.signature.traced)
