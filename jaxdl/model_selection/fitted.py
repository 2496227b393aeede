"""Trained models with what was fitted to their data: what they predict."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl import programs
from jaxdl.arrays import filled_up, num_rows
from jaxdl.base import Array, Responses, Transform
from jaxdl.data import frames
from jaxdl.data.frames import Names
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection.study import Recipe
from jaxdl.model_selection.words import in_words
from jaxdl.training import run_state
from jaxdl.training.host import inputs

MOST_SHOWN = 5


class Fitted(NamedTuple):
    """Trained models with the transform that was fitted to the same data.

    hparams: [J] settings, one a member. diverged: [J] bool.
    transform: parameters of the fitted transform.
    states: [J] trained states, without clocks.
    train_loss: [J, epochs].
    recipe: how they were trained.
    row: the shapes of a row of features [...], of each of its arrays.
    causes: [J], what diverged of each member and where, in words; "" where nothing did.
    responses: what the learner says of y, or None. names: of features, classes and target, as far as
    the data had some.
    """

    hparams: list[dict[str, Any]]
    diverged: np.ndarray
    transform: Any
    states: list[Any]
    train_loss: np.ndarray
    recipe: Recipe
    row: Any
    causes: tuple[str, ...]
    responses: Responses | None = None
    names: Names = Names()

    def __repr__(self) -> str:
        of_setting = {}
        for m, h in enumerate(self.hparams):
            of_setting.setdefault(in_words(h), []).append(m)
        lines = [
            f"trained members: {len(self.hparams)}, settings: {len(of_setting)}, "
            f"epochs: {self.train_loss.shape[1]}"
        ]
        for setting, members in list(of_setting.items())[:MOST_SHOWN]:
            size = run_state.num_params(self.states[members[0]])
            loss = self.train_loss[members, -1:].mean() if self.train_loss.size else np.nan
            lines.append(
                f"{setting}: {len(members)} of {size} parameters, training loss {loss:.4g}"
            )
        more = len(of_setting) - MOST_SHOWN
        lines += [f"... and {more} more settings"] if more > 0 else []
        failed = [cause for cause in self.causes if cause]
        lines += [f"{len(failed)} diverged, the first {failed[0]}"] if failed else []
        return "\n".join(lines)

    def members(self, x: Any) -> Array:
        """Each member's predictions, stacked along an axis [J], for raw features x [B, ...].

        Members that share a static signature share a program, which is kept for the next call: it
        is that of ``recipe.make_learner`` as it was when it was first asked. Rows are filled up to
        one of a few numbers, so that batches of any lengths make do with a handful of programs.
        Raises a ValueError for features of another width than those that the members were trained
        on.
        """
        return self._predicted(frames.values_of(x, self.names), average=False)

    def predict(self, x: Any) -> Array:
        """The members' mean prediction E[y|x], [B, ...], for raw features x [B, ...].

        Probabilities are averaged, not parameters. Programs are kept as those of ``members``. Of a
        DataFrame the columns are taken by the names that the training data had, whatever their order,
        and predictions are a Series or DataFrame with its index. Notes: §3.3.
        """
        out = self._predicted(frames.values_of(x, self.names), average=True)
        return frames.like(x, out, self._columns(out), self.names.target)

    def predict_proba(self, x: Any) -> Any:
        """Probabilities [B, K] of the classes, of x [B, ...] or of a DataFrame as in ``predict``.

        Raises a ValueError for a model of other responses.
        """
        p = self._of_classes(x)
        return frames.like(x, frames.as_probabilities(p), self.names.classes)

    def labels(self, x: Any) -> Any:
        """The likeliest class [B] of each row, by its name where the training data named classes.

        Of x and errors as ``predict_proba``.
        """
        codes = frames.as_labels(self._of_classes(x), self.names)
        return frames.like(x, codes, name=self.names.target)

    def _of_classes(self, x: Any) -> Array:
        p = self._predicted(frames.values_of(x, self.names), average=True)
        frames.check_classes(p, self.responses, self.names)
        return p

    def _columns(self, out: Array) -> tuple[str, ...] | None:
        classes = self.names.classes
        return classes if classes and out.shape[1:] == (len(classes),) else None

    def _predicted(self, x: Any, average: bool) -> Array:
        x = jax.tree.map(lambda a: a if isinstance(a, jax.Array) else np.asarray(a), x)
        inputs.check_features(x, self.row)
        spec, arrays = self._program(average)
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(x)):
            return _predictions(spec, *arrays, x)  # part of a program of the caller's
        out = programs.compiled(_predictions)(spec, *arrays, filled_up(x))
        n, axis = num_rows(x), 0 if average else 1
        if out.shape[axis] == n:
            return out
        return jax.device_put(np.asarray(out)[(slice(None),) * axis + (slice(n),)])

    def _program(self, average: bool) -> tuple["_Spec", tuple[Any, list[dict], list]]:
        """What ``_predictions`` takes before x."""
        signatures = grids.signatures(self.hparams)
        spec = _Spec(
            self.recipe.make_learner,
            self.recipe.transform,
            tuple((tuple(s.static.items()), tuple(s.members)) for s in signatures),
            average,
        )
        return spec, (self.transform, [s.traced for s in signatures], self.states)

    def as_function(self) -> Callable[[Any], Array]:
        """``predict`` as a pure function of an array x [B, ...], to be traced: no names, no checks."""
        spec, arrays = self._program(average=True)
        return lambda x: _predictions(spec, *arrays, x)


class _Spec(NamedTuple):
    """What is static of a Fitted's predictions; signatures are static settings and members."""

    make_learner: Callable
    transform: Transform
    signatures: tuple[tuple[tuple[tuple[str, Any], ...], tuple[int, ...]], ...]
    average: bool


def _predictions(spec: _Spec, fitted: Any, settings: list[dict], states: list, x: Any) -> Array:
    """Predictions [J, B, ...], or their mean [B, ...]; members of a signature one after another.

    ``settings`` of each signature are {name: [m, ...]}.
    """
    every: list[Any] = [None] * len(states)
    for (static, members), traced in zip(spec.signatures, settings, strict=True):

        def one(member, static=static):
            setting, state = member
            learner = spec.make_learner({**dict(static), **setting})
            return learner.predict(state, spec.transform.apply(fitted, x))

        together = jax.tree.map(lambda *s: jnp.stack(s), *(states[m] for m in members))
        outputs = jax.lax.map(one, (traced, together))
        if not hasattr(outputs, "shape"):
            raise ValueError(f"predict must give one array, not {type(outputs).__name__}")
        for m, output in zip(members, outputs, strict=True):
            every[m] = output
    stacked = jnp.stack(every)
    return jnp.mean(stacked, axis=0) if spec.average else stacked
