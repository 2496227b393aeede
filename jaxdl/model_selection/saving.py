"""``save`` and ``load``: trained models, runs and studies as files, by which nothing is executed.

A file is an NPZ of arrays and a JSON header, ``saved``'s format; what it claims is checked first. It
holds no code: a model comes back with the ``make_learner`` that ``load`` is given, or with the one
whose import path it carries, where the caller says that its package is trusted. To predict without
any of that, ``export`` a model.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxdl
from jaxdl import files
from jaxdl.base import Learner, Responses, Transform
from jaxdl.checks import is_key
from jaxdl.data.frames import Names
from jaxdl.model_selection import importing, saved, values
from jaxdl.model_selection.fitted import Fitted
from jaxdl.model_selection.saved import NotHereError
from jaxdl.model_selection.study import Recipe, Study
from jaxdl.model_selection.study_files import read_study, recipe_of, recipe_values, study_values
from jaxdl.training import FitResult, History

FORMAT = 1
MAX_ROW = 1 << 22  # numbers in a row of features
HISTORY = ("loss", "epochs", "diverged", "stopped", "best_epoch", "converged", "grad_norm")


def save(
    path: str | Path,
    value: Fitted | FitResult | Study,
    *,
    make_transform: Callable[[], Transform] | None = None,
) -> None:
    """Write trained models, a run or a study as one file, whole or not at all.

    A ``make_learner`` that can be imported (a function of a module, no closure) is written down by
    its path, and so is ``make_transform``, a function without arguments that gives the transform of
    the study, as ``features.standardize``. Neither is in the file.

    Args:
      path: the file.
      value: what ``refit``, ``fit`` or ``cross_validate`` gave.
      make_transform: see above; default none, and ``load`` is told ``transform=``.

    Raises a ValueError for a setting that is a function or the like, and for anything else as value;
    an OSError where the file cannot be written.
    """
    hparams: list[dict[str, Any]] = []
    if isinstance(value, Fitted):
        saved.save(path, value, _about("fitted", **_fitted_values(value, make_transform)))
        return
    if isinstance(value, FitResult):
        about, arrays = _run_values(value)
        about = _about("fit", **about)
    elif isinstance(value, Study):
        about, arrays = study_values(value)
        recipe = recipe_values(value.recipe, make_transform)
        about = _about("study", settings=_settings(value.hparams), recipe=recipe, **about)
    else:
        raise ValueError(f"save takes a Fitted, FitResult or Study, not {type(value).__name__}")
    text = json.dumps({"hparams": hparams, "about": about}, allow_nan=False)
    files.write_npz(path, {"__header__": np.array(text), **arrays})


def load(
    path: str | Path,
    *,
    make_learner: Callable[[dict[str, Any]], Learner] | None = None,
    learner: Learner | None = None,
    transform: Transform | None = None,
    trusted: Sequence[str] = (),
) -> Fitted | FitResult | Study:
    """What ``save`` wrote.

    Args:
      path: the file, which need not be trusted.
      make_learner: that of the Fitted or Study; default, the one whose path the file carries. Without
        either a Study has its numbers, and no states; it cannot be refitted.
      learner: that of the FitResult.
      transform: that of the Fitted or Study; default, as ``make_learner``.
      trusted: packages of which functions may be imported and run because a file names them, beside
        ``jaxdl.features``.

    Raises a ValueError in one line for a file that is missing, damaged, of another kind or a newer
    format; where code is needed that is not given; and where the arrays are of another model.
    """
    with saved.opened(path) as arrays:
        about = saved.header(arrays)["about"]
        kind = about.get("kind") if isinstance(about, dict) else None
        if kind not in ("fitted", "fit", "study"):
            raise NotHereError(
                "save did not write it; models of a command are read by that command"
            )
        if about.get("format") != FORMAT:
            raise NotHereError(f"its format is {str(about.get('format'))[:20]}, not {FORMAT}")
        try:
            if kind == "fit":
                if learner is None:
                    raise NotHereError("it is a run of fit: pass learner=")
                return _run(arrays, about, learner)
            trusted = (*importing.OURS, *([trusted] if isinstance(trusted, str) else trusted))
            hparams = [
                {name: values.decoded(v) for name, v in h.items()} for h in about["settings"]
            ]
            recipe = recipe_of(about["recipe"], make_learner, transform, trusted, kind == "fitted")
            if kind == "study":
                return read_study(arrays, about, hparams, recipe)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"its header makes no sense ({files.reason(error)})") from None
    return _fitted(path, about, hparams, recipe)


def _about(kind: str, **rest: Any) -> dict[str, Any]:
    return {"kind": kind, "format": FORMAT, "jaxdl": jaxdl.__version__, **rest}


def _settings(hparams: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: values.encoded(v, f"the setting {name}={v!r}") for name, v in h.items()}
        for h in hparams
    ]


# -- trained models


def _fitted_values(fitted: Fitted, make_transform: Callable | None) -> dict[str, Any]:
    responses = fitted.responses
    return {
        "settings": _settings(fitted.hparams),
        "recipe": recipe_values(fitted.recipe, make_transform),
        "row": values.shapes_encoded(fitted.row),
        "diverged": fitted.diverged.tolist(),
        "causes": list(fitted.causes),
        "train_loss": values.encoded(np.asarray(fitted.train_loss), "the training loss"),
        "responses": None if responses is None else values.encoded(tuple(responses), "responses"),
        "names": {k: v if v is None or isinstance(v, str) else list(v)
                  for k, v in fitted.names._asdict().items()},
    }  # fmt: skip


def _fitted(path: str | Path, about: dict, hparams: list[dict], recipe: Recipe) -> Fitted:
    try:
        row = values.shapes_decoded(about["row"])
        if sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(row)) > MAX_ROW:
            raise ValueError("a row is too long")
        names, responses = about["names"], values.decoded(about["responses"])
        texts = lambda listed: None if listed is None else tuple(map(str, listed))
        names = Names(texts(names["features"]), texts(names["classes"]), names["target"])
        responses = None if responses is None else Responses(*responses)
        diverged = np.array(about["diverged"], bool)
        causes, loss = tuple(map(str, about["causes"])), values.decoded(about["train_loss"])
        if not diverged.shape == np.shape(causes) == loss.shape[:1] == (len(hparams),):
            raise ValueError("its members differ in number")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a saved jaxdl model, or a damaged one ({files.reason(error)})"
        ) from None
    two = jax.tree.map(lambda leaf: np.zeros((2, *leaf.shape), leaf.dtype), row)
    fitted = saved.load(path, recipe, hparams, (two, np.zeros(2, np.int32)))
    return fitted._replace(
        diverged=diverged, train_loss=loss, causes=causes, responses=responses, names=names, row=row
    )


# -- runs


def _run_values(result: FitResult) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    state, impls = _words(result.state)
    history = result.history
    arrays = {f"state{name}": leaf for name, leaf in saved.by_path(state).items()}
    arrays |= {f"history/{name}": np.asarray(getattr(history, name)) for name in HISTORY
               if not isinstance(getattr(history, name), tuple)}  # fmt: skip
    arrays |= {f"validation/{name}": np.asarray(v) for name, v in history.validation.items()}
    arrays |= {f"record{name}": leaf for name, leaf in saved.by_path(history.record).items()}
    nothing = isinstance(history.record, tuple) and not history.record
    record = None if nothing else values.shapes_encoded(history.record)
    about = {"keys": impls, "validation": list(history.validation), "record": record}
    return {**about, "steps": int(result.steps)}, arrays


def _run(arrays: files.Arrays, about: dict, learner: Learner) -> FitResult:
    template = jax.eval_shape(learner.init, jax.eval_shape(jax.random.key, 0))
    words = jax.eval_shape(lambda: _words(jax.tree.map(_zeros, template))[0])
    found = {}
    for name, leaf in saved.by_path(words, read=False).items():
        if arrays.described.get(f"state{name}") != files.Described(
            leaf.shape, np.dtype(leaf.dtype)
        ):
            raise NotHereError(
                f"it holds another model: {name} is not {leaf.dtype}{list(leaf.shape)}"
            )
        found[name] = jnp.asarray(arrays.read(f"state{name}"))
    leaves = list(found.values())
    impls = iter(about["keys"])
    state = jax.tree.unflatten(jax.tree.structure(template), [
        jax.random.wrap_key_data(leaf, impl=_impl(next(impls))) if is_key(like) else leaf
        for leaf, like in zip(leaves, jax.tree.leaves(template), strict=True)
    ])  # fmt: skip
    of = {name: arrays.read(f"history/{name}") for name in HISTORY
          if f"history/{name}" in arrays.described}  # fmt: skip
    record = ()
    if about["record"] is not None:
        shapes = values.shapes_decoded(about["record"])
        leaves = [arrays.read(f"record{name}") for name in saved.by_path(shapes, read=False)]
        record = jax.tree.unflatten(jax.tree.structure(shapes), leaves)
    validation = {
        name: jnp.asarray(arrays.read(f"validation/{name}")) for name in about["validation"]
    }
    history = History(**{**dict.fromkeys(HISTORY, ()), **of}, validation=validation, record=record)
    return FitResult(state, history, jnp.asarray(about["steps"], jnp.int32))


def _zeros(leaf: Any) -> Any:
    if is_key(leaf):
        return jnp.broadcast_to(jax.random.key(0), leaf.shape)
    return jnp.zeros(leaf.shape, leaf.dtype)


def _words(tree: Any) -> tuple[Any, list[str]]:
    """A tree with the words of its typed keys, and their algorithms."""
    impls = [str(jax.random.key_impl(leaf)) for leaf in jax.tree.leaves(tree) if is_key(leaf)]
    return jax.tree.map(lambda a: jax.random.key_data(a) if is_key(a) else a, tree), impls


def _impl(name: Any) -> str:
    if name not in ("fry", "threefry2x32", "rbg", "unsafe_rbg", "urbg"):
        raise ValueError("its keys are of an unknown kind")
    return name
