"""Trained models as files: arrays, settings and what is known of them; nothing is executed."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import files
from jaxdl.arrays import num_rows
from jaxdl.base import Batch, features, fit_to
from jaxdl.files import Arrays
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection.fitted import Fitted
from jaxdl.model_selection.study import Recipe
from jaxdl.model_selection.words import plain
from jaxdl.training import run_state
from jaxdl.training.host import inputs

MAX_MEMBERS = 256  # of one file


class NotHereError(ValueError):
    """A file that is whole needs what it was not given, or holds another model."""


def save(path: str | Path, fitted: Fitted, about: dict[str, Any] | None = None) -> None:
    """Write the arrays of a Fitted, with its settings and ``about`` as JSON.

    One NPZ file without pickles; nothing in it is ever executed. It is written whole or not at
    all.
    """
    arrays = {name: np.asarray(leaf) for name, leaf in _named(fitted).items()}
    hparams = [{k: plain(v) for k, v in h.items()} for h in fitted.hparams]
    text = json.dumps({"hparams": hparams, "about": about or {}}, allow_nan=False)
    files.write_npz(path, {"__header__": np.array(text), **arrays})


def read_header(path: str | Path) -> dict[str, Any]:
    """The settings ``hparams`` [J] and the ``about`` of a saved file.

    Raises a ValueError in one line for a file that is missing, truncated or of another kind.
    """
    with opened(path) as arrays:
        return header(arrays)


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

    def template(data):
        transform = fit_to(recipe.transform, data, jnp.ones(num_rows(data), bool))
        arrays = lambda h: {k: jnp.asarray(v) if grids.is_traced(v) else v for k, v in h.items()}
        states = [None] * len(hparams)
        for signature in signatures:  # members of one have one structure
            learner = recipe.make_learner(arrays(hparams[signature.members[0]]))
            state = run_state.without_clock(learner.init(jax.random.key(0)))
            for m in signature.members:
                states[m] = state
        return transform, states

    data = inputs.as_arrays(data, mended=True)
    transform, states = jax.eval_shape(template, data)
    count = len(hparams)
    empty = Fitted(
        hparams=hparams,
        diverged=np.zeros(count, bool),
        transform=transform,
        states=states,
        train_loss=np.zeros((count, 0)),
        recipe=recipe,
        row=inputs.shape_of_a_row(features(data)),
        causes=("",) * count,
    )
    wanted = _named(empty)
    with opened(path) as arrays:
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
    return {"array" + name: leaf for name, leaf in by_path(tree, read=False).items()}


def by_path(tree: Any, read: bool = True) -> dict[str, Any]:
    """The leaves of a tree by their paths, ``[0]['kernel']``; as NumPy's arrays, or as they are.

    >>> by_path({"kernel": [jnp.ones(2)]})
    {"['kernel'][0]": array([1., 1.], dtype=float32)}
    """
    return {
        jax.tree_util.keystr(path): np.asarray(leaf) if read else leaf
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
def opened(path: str | Path) -> Iterator[Arrays]:
    """A saved file's arrays; whatever is wrong with it, there or in the block, in one line."""
    try:
        with files.opened_npz(path) as arrays:
            header(arrays)
            yield arrays
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except NotHereError as error:
        raise ValueError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        why = files.reason(error)
        raise ValueError(f"{path}: not a saved jaxdl model, or a damaged one ({why})") from None


def header(arrays: Arrays) -> dict[str, Any]:
    """The header of an open file. Raises a ValueError for that of something else."""
    value = files.json_of(arrays, "__header__")
    if not isinstance(value.get("hparams"), list):
        raise ValueError("its header is of something else")
    return value
