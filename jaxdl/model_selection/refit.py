"""The chosen setting, or an ensemble of the best, trained on all of the training data."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import files, parallel
from jaxdl.arrays import num_rows
from jaxdl.base import Array, Batch, Key, features
from jaxdl.checks import positive_int, typed_key
from jaxdl.files import Arrays
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection.population.campaign import Campaign
from jaxdl.model_selection.population.members import Group, refit_key, with_transform
from jaxdl.model_selection.population.reporter import Reporter
from jaxdl.model_selection.population.run import Population
from jaxdl.model_selection.study import Recipe, Study, in_words, plain
from jaxdl.model_selection.validation import check_data, make_lengths, unfit_folds
from jaxdl.training import divergence, run_state
from jaxdl.training.batching import pad_rows
from jaxdl.training.host import inputs

MAX_MEMBERS = 256  # of one file
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

        Members that share a static signature share a program. Raises a ValueError for features of
        another width than those that the members were trained on.
        """
        recipe, x = self.recipe, jax.tree.map(jnp.asarray, x)
        inputs.check_features(x, self.row)
        outputs = [None] * len(self.states)
        for signature in grids.signatures(self.hparams):
            stacked = jax.tree.map(
                lambda *s: jnp.stack(s), *(self.states[m] for m in signature.members)
            )

            def one(member, static=signature.static):
                setting, state = member
                learner = recipe.make_learner({**static, **setting})
                return with_transform(learner, recipe.transform, self.transform).predict(state, x)

            every = jax.jit(
                lambda members, one=one: jax.lax.map(one, members),
                compiler_options=parallel.compiler_options(),
            )((signature.traced, stacked))
            if not hasattr(every, "shape"):
                raise ValueError(f"predict must give one array, not {type(every).__name__}")
            for m, output in zip(signature.members, every, strict=True):
                outputs[m] = output
        return jnp.stack(outputs)

    def predict(self, x: Any) -> Array:
        """The members' mean prediction E[y|x], [B, ...], for raw features x [B, ...].

        Probabilities are averaged, not parameters. Notes: §3.3.
        """
        return jnp.mean(self.members(x), axis=0)


def refit(
    study: Study,
    data: Any,
    *,
    key: Key | None = None,
    index: int | Sequence[int] | None = None,
    settings: int = 1,
    seeds: int = 1,
    rule: str = "mean",
    metric: str | None = None,
    maximize: bool | None = None,
    strategy: str = "auto",
    progress: bool = False,
) -> Fitted:
    """Train what a study chose on all N rows of the data, by the same recipe. Notes: §3.1.1.

    After a study with early stopping it trains for the mean number of best epochs of what was
    chosen: no rows are held out to stop by.

    Args:
      study: from ``cross_validate``.
      data: all training data; the transform is fitted anew, to all of it.
      key: a typed key, consumed; default, one derived from the study's.
      index: the setting to train, a row of ``study.hparams``, or several; default
        ``study.best(rule=rule)``.
      settings: an ensemble of this many of the best settings instead of one.
      seeds: members for each setting, from different keys.
      rule, metric, maximize: how to choose, see ``Study.best``.
      strategy: see ``population.choose_plan``.
      progress: show a bar.

    Raises:
      ValueError: where there are fewer usable settings than asked for, and as ``cross_validate``.
    """
    positive_int("seeds", seeds)
    positive_int("settings", settings)
    if index is not None:
        several = [index] if np.ndim(index) == 0 else list(index)
        if not several or not all(-len(study.hparams) <= i < len(study.hparams) for i in several):
            raise ValueError(f"index is of {len(study.hparams)} settings, not {index}")
        chosen = [range(len(study.hparams))[i] for i in several]
    elif settings > 1:
        whole = ~study.diverged.any((1, 2)) & (study.dropped < 0)
        usable = [int(s) for s in study.ranking(metric, maximize=maximize) if whole[s]]
        if settings > len(usable):
            raise ValueError(
                f"{settings} settings asked for, {len(usable)} did not diverge and were not dropped"
            )
        chosen = usable[:settings]
    else:
        chosen = [study.best(metric, rule, maximize=maximize).index]
    old = study.recipe
    data = check_data(data, old.transform)
    n = num_rows(data)
    train = pad_rows([np.arange(n)])
    epochs = old.lengths.epochs
    if study.best_epochs is not None:
        epochs = max(1, round(float(np.mean(study.best_epochs[chosen]))))
    lengths = make_lengths(train, epochs, old.batch_size, old.lengths.remainder)
    key = refit_key(old.key) if key is None else typed_key(key)
    recipe = old._replace(lengths=lengths, key=key, early_stopping=None)
    groups = Group(np.zeros(seeds, np.int32), np.arange(seeds, dtype=np.int32))
    hparams = [study.hparams[s] for s in chosen]
    signatures = grids.signatures(hparams)
    populations = [
        Population(recipe, signature, data, train, None, groups, strategy=strategy)
        for signature in signatures
    ]
    inputs.check_responses(data, populations[0].responses)
    with Reporter(lengths.epochs * len(hparams) * seeds, enabled=progress) as reporter:
        Campaign(
            populations,
            study.metric,
            study.maximize,
            [],
            checkpoint=None,
            log=None,
            reporter=reporter,
            host_watches=False,
            about={},
        ).train()
    results = [population.result(states=True) for population in populations]
    members = [
        (hparams[s], jax.tree.map(lambda leaf, i=i, j=j: leaf[i, j], result.states),
         int(result.run.diverged[i, j]), result.run.loss[i, j])
        for signature, result in zip(signatures, results, strict=True)
        for i, s in enumerate(signature.members)
        for j in range(seeds)
    ]  # fmt: skip
    every, states, diverged, losses = zip(*members, strict=True)
    fit_transform = lambda x: recipe.transform.fit(x, jnp.ones(n, bool))
    fitted = jax.jit(fit_transform, compiler_options=parallel.compiler_options())(features(data))
    unfit = max(diverged) >= 0 and unfit_folds(recipe.transform, features(data), train)[0]
    causes = tuple(
        divergence.explain(epoch + 1, loss, unfit) if epoch >= 0 else ""
        for epoch, loss in zip(diverged, losses, strict=True)
    )
    return Fitted(
        list(every), np.array(diverged) >= 0, fitted, list(states), np.array(losses), recipe,
        inputs.shape_of_a_row(features(data)), causes,
    )  # fmt: skip


def save(path: str | Path, fitted: Fitted, about: dict[str, Any] | None = None) -> None:
    """Write the arrays of a Fitted, with its settings and ``about`` as JSON.

    One NPZ file without pickles; nothing in it is ever executed. It is written whole or not at
    all.
    """
    path = Path(path)
    arrays = {name: np.asarray(leaf) for name, leaf in _named(fitted).items()}
    header = {"hparams": [{k: plain(v) for k, v in h.items()} for h in fitted.hparams]}
    text = json.dumps({**header, "about": about or {}}, allow_nan=False)
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            np.savez(file, __header__=np.array(text), **arrays)
        partial.replace(path)
    except BaseException:  # a full disk, or Ctrl-C
        partial.unlink(missing_ok=True)
        raise


def read_header(path: str | Path) -> dict[str, Any]:
    """The settings ``hparams`` [J] and the ``about`` of a saved file.

    Raises a ValueError in one line for a file that is missing, truncated or of another kind.
    """
    with _opened(path) as arrays:
        return _header(arrays)


def load(path: str | Path, recipe: Recipe, hparams: list[dict[str, Any]], data: Batch) -> Fitted:
    """The Fitted that ``save`` wrote, built anew from the recipe and the settings.

    Args:
      path: the file.
      recipe: with the same ``make_learner`` and ``transform`` as when it was saved.
      hparams: the settings of the members.
      data: a few rows of data [n, ...], for the transform's shapes only.

    Raises a ValueError in one line where the file is damaged or holds another model.
    """

    if len(hparams) > MAX_MEMBERS:
        raise ValueError(f"{path}: {len(hparams)} models, of which at most {MAX_MEMBERS} are read")

    signatures = grids.signatures(hparams)

    def template(x):
        transform = recipe.transform.fit(x, jnp.ones(num_rows(x), bool))
        arrays = lambda h: {k: jnp.asarray(v) if grids.is_traced(v) else v for k, v in h.items()}
        states = [None] * len(hparams)
        for signature in signatures:  # members of one have one structure
            learner = recipe.make_learner(arrays(hparams[signature.members[0]]))
            state = run_state.without_clock(learner.init(jax.random.key(0)))
            for m in signature.members:
                states[m] = state
        return transform, states

    data = inputs.as_arrays(data, mended=True)
    transform, states = jax.eval_shape(template, features(data))
    count = len(hparams)
    empty = Fitted(
        hparams, np.zeros(count, bool), transform, states, np.zeros((count, 0)), recipe,
        inputs.shape_of_a_row(features(data)), ("",) * count,
    )  # fmt: skip
    wanted = _named(empty)
    with _opened(path) as arrays:
        # All of it is compared before any array is unpacked.
        problem = _mismatch(arrays.described, wanted)
        filled = [] if problem else [jnp.asarray(arrays.read(name)) for name in wanted]
    if problem:
        raise ValueError(f"{path}: holds another model ({problem})")
    leaves, treedef = jax.tree.flatten((transform, states))
    transform, states = jax.tree.unflatten(treedef, filled[: len(leaves)])
    return empty._replace(transform=transform, states=states)


def _named(fitted: Fitted) -> dict[str, Any]:
    tree = (fitted.transform, fitted.states)
    return {
        "array" + jax.tree_util.keystr(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _mismatch(stored: dict[str, files.Described], wanted: dict[str, Any]) -> str | None:
    """The first difference between what a file holds and what a model has, in words, or None."""
    if mismatched := sorted((set(stored) - {"__header__"}) ^ set(wanted))[:3]:
        return f"arrays that do not match: {mismatched}"
    for name, leaf in wanted.items():
        shape, dtype = stored[name]
        if (shape, dtype) != (leaf.shape, leaf.dtype):
            return f"{name} is {dtype}{list(shape)}, not {leaf.dtype}{list(leaf.shape)}"
    return None


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Arrays]:
    """A saved file's arrays; whatever is wrong with it, there or in the block, in one line."""
    try:
        with files.opened_npz(path) as arrays:
            _header(arrays)
            yield arrays
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        why = files.reason(error)
        raise ValueError(f"{path}: not a saved jaxdl model, or a damaged one ({why})") from None


def _header(arrays: Arrays) -> dict[str, Any]:
    header = files.json_of(arrays, "__header__")
    if not isinstance(header.get("hparams"), list):
        raise ValueError("its header is of something else")
    return header
