"""Trained models with what was fitted to their data: what they predict."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import programs
from jaxdl.arrays import num_rows
from jaxdl.base import Array, Transform
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
    """

    hparams: list[dict[str, Any]]
    diverged: np.ndarray
    transform: Any
    states: list[Any]
    train_loss: np.ndarray
    recipe: Recipe
    row: Any
    causes: tuple[str, ...]

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
        return self._predicted(x, average=False)

    def predict(self, x: Any) -> Array:
        """The members' mean prediction E[y|x], [B, ...], for raw features x [B, ...].

        Probabilities are averaged, not parameters. Programs are kept as those of ``members``.
        Notes: §3.3.
        """
        return self._predicted(x, average=True)

    def _predicted(self, x: Any, average: bool) -> Array:
        x = jax.tree.map(lambda a: a if isinstance(a, jax.Array) else np.asarray(a), x)
        inputs.check_features(x, self.row)
        signatures = grids.signatures(self.hparams)
        spec = _Spec(
            self.recipe.make_learner,
            self.recipe.transform,
            tuple((tuple(s.static.items()), tuple(s.members)) for s in signatures),
            average,
        )
        arrays = (self.transform, [signature.traced for signature in signatures], self.states)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(x)):
            return _predictions(spec, *arrays, x)  # part of a program of the caller's
        out = programs.compiled(_predictions)(spec, *arrays, _filled_up(x))
        n, axis = num_rows(x), 0 if average else 1
        if out.shape[axis] == n:
            return out
        return jax.device_put(np.asarray(out)[(slice(None),) * axis + (slice(n),)])


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
    every = [None] * len(states)
    for (static, members), traced in zip(spec.signatures, settings, strict=True):

        def one(member, static=static):
            setting, state = member
            learner = spec.make_learner({**dict(static), **setting})
            return learner.predict(state, spec.transform.apply(fitted, x))

        stacked = jax.tree.map(lambda *s: jnp.stack(s), *(states[m] for m in members))
        outputs = jax.lax.map(one, (traced, stacked))
        if not hasattr(outputs, "shape"):
            raise ValueError(f"predict must give one array, not {type(outputs).__name__}")
        for m, output in zip(members, outputs, strict=True):
            every[m] = output
    every = jnp.stack(every)
    return jnp.mean(every, axis=0) if spec.average else every


def padded_size(n: int) -> int:
    """The least power of two from n on; beyond 1024, that or 5/4, 6/4 or 7/4 of one.

    >>> [padded_size(n) for n in (1, 3, 64, 65, 1025, 1281)]
    [1, 4, 64, 128, 1280, 1536]
    """
    power = 1 << max(n - 1, 0).bit_length()
    step = power if power <= 1024 else power // 8
    return -(-n // step) * step


def _filled_up(x: Any) -> Any:
    """x [B, ...] with its last row repeated up to ``padded_size``."""
    n = num_rows(x)
    if n in (0, padded_size(n)):
        return x
    # On the host: a selection of rows on the device would compile for each n.
    index = np.minimum(np.arange(padded_size(n)), n - 1)
    return jax.tree.map(lambda a: np.asarray(a)[index], x)
