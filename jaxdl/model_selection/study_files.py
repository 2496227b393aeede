"""A Study as arrays and plain values, and back; its shapes are checked before arrays are read."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import files
from jaxdl.base import Transform, identity_transform
from jaxdl.checks import is_key, typed_key
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection import importing, saved, values
from jaxdl.model_selection.saved import NotHereError
from jaxdl.model_selection.splits import Fold
from jaxdl.model_selection.study import Recipe, Study
from jaxdl.training import run_state
from jaxdl.training.batching import Lengths
from jaxdl.training.stopping import EarlyStopping

BY_METRIC = ("scores", "train_scores", "curves", "train_curves")
ARRAYS = ("curve_epochs", "train_loss", "diverged", "unfit", "epochs", "dropped", "num_params")
PERHAPS = ("best_epochs", "predictions", "held_out")
PLAIN = ("metric", "maximize", "strategy", "num_programs", "num_traces", "compile_seconds", "run_seconds")  # fmt: skip


def study_values(study: Study) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a Study is but for its settings and recipe: JSON's values, and arrays by name."""
    arrays = {name: getattr(study, name) for name in (*ARRAYS, *PERHAPS)}
    arrays = {name: np.asarray(value) for name, value in arrays.items() if value is not None}
    for name in BY_METRIC:
        arrays |= {f"{name}/{m}": np.asarray(v) for m, v in getattr(study, name).items()}
    parts = [np.asarray(part) for fold in study.folds for part in fold]
    arrays["folds/rows"] = np.concatenate(parts).astype(np.int64)
    arrays["folds/sizes"] = np.array(list(map(len, parts)), np.int64).reshape(-1, 2)
    if study.recipe.groups is not None:
        arrays["groups"] = np.asarray(study.recipe.groups, np.int64)
    if study.states is not None:
        arrays |= {f"states{name}": leaf for name, leaf in saved.by_path(study.states).items()}
    about = {
        **{name: getattr(study, name) for name in PLAIN},
        "seeds": [int(seed) for seed in study.seeds],
        "directions": study.directions,
        "metrics": {name: list(getattr(study, name)) for name in BY_METRIC},
        "has_states": study.states is not None,
    }
    return about, arrays


def read_study(arrays: files.Arrays, about: dict, hparams: list[dict], recipe: Recipe) -> Study:
    """The Study of ``study_values``. Raises a ValueError where its parts do not fit each other."""
    s, k = len(hparams), len(about["seeds"])
    sizes = _read(arrays, "folds/sizes", (None, 2), "i")
    rows = _read(arrays, "folds/rows", (None,), "i")
    if sizes.min(initial=0) < 0 or sizes.sum() != len(rows) or not len(sizes):
        raise ValueError("its folds make no sense")
    parts = np.split(rows, np.cumsum(sizes.ravel())[:-1])
    folds = [Fold(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
    grid = (s, len(folds), k)
    points = arrays.described["curve_epochs"].shape
    epochs = arrays.described["train_loss"].shape[3:]
    shapes = {
        "curve_epochs": (points, "iu"), "train_loss": ((*grid, *epochs), "f"),
        "diverged": (grid, "b"), "unfit": (grid[1:2], "b"), "epochs": (grid, "iu"),
        "best_epochs": (grid, "iu"), "dropped": ((s,), "iu"), "num_params": ((s,), "iu"),
        "predictions": ((s, k, ...), "fiu"), "held_out": ((*grid, ...), "fiub"),
    }  # fmt: skip
    found: dict[str, Any] = {
        name: _read(arrays, name, *shapes[name])
        for name in (*ARRAYS, *PERHAPS)
        if name in ARRAYS or name in arrays.described
    }
    curve = {"scores": (), "train_scores": (), "curves": points, "train_curves": points}
    for name, more in curve.items():
        listed = about["metrics"][name]
        found[name] = {m: _read(arrays, f"{name}/{m}", (*grid, *more), "f") for m in listed}
    if about["metric"] not in found["scores"]:
        raise ValueError("it has no scores of its metric")
    if not all(type(about[name]) in (int, float, str, bool) for name in PLAIN):
        raise ValueError("its header makes no sense")
    states = None
    if about["has_states"] and recipe.make_learner is not _gone:
        states = _states(arrays, hparams, recipe, grid)
    if "groups" in arrays.described:
        recipe = recipe._replace(groups=_read(arrays, "groups", (None,), "i"))
    return Study(
        hparams=hparams, folds=folds, seeds=[int(seed) for seed in about["seeds"]], states=states,
        directions={str(m): bool(more) for m, more in about["directions"].items()}, recipe=recipe,
        **{name: about[name] for name in PLAIN}, **dict.fromkeys(set(PERHAPS) - set(found)), **found,
    )  # fmt: skip


def recipe_values(recipe: Recipe, make_transform: Callable | None) -> dict[str, Any]:
    """A Recipe but for its groups, in JSON's types; functions by their paths, if they have any."""
    early = recipe.early_stopping
    early = None if early is None or not isinstance(early, EarlyStopping) else tuple(early)
    is_identity = recipe.transform == identity_transform()
    if make_transform is not None and importing.path_of(make_transform) is None:
        raise ValueError("make_transform must be a function that can be imported by its name")
    return {
        "make_learner": importing.path_of(recipe.make_learner),
        "transform": not is_identity,
        "make_transform": None if is_identity else importing.path_of(make_transform),
        "lengths": values.encoded(tuple(recipe.lengths), "the lengths"),
        "batch_size": recipe.batch_size,
        "key": [str(jax.random.key_impl(recipe.key)), jax.random.key_data(recipe.key).tolist()],
        "early_stopping": values.encoded(early, "the early stopping"),
        "same_draws": bool(recipe.same_draws),
    }


def recipe_of(
    about: dict[str, Any],
    make_learner: Callable | None,
    transform: Transform | None,
    trusted: Sequence[str],
    needed: bool,
) -> Recipe:
    """The Recipe of ``recipe_values``, with the functions given or trusted.

    Raises a ValueError where one is ``needed`` and there is none.
    """
    if make_learner is None and (needed or _is_trusted(about["make_learner"], trusted)):
        make_learner = importing.trusted_function(about["make_learner"], trusted, "make_learner")
        if make_learner is None:
            raise NotHereError("its make_learner cannot be imported: pass make_learner=")
    if transform is None and about["transform"] and make_learner is not None:
        make = importing.trusted_function(about["make_transform"], trusted, "transform")
        if make is None:
            raise NotHereError("it was trained with a transform: pass transform=")
        transform = make()
        if not isinstance(transform, Transform):
            raise ValueError("its make_transform gives no Transform")
    impl, words = about["key"]
    if impl not in ("fry", "threefry2x32", "rbg", "unsafe_rbg", "urbg"):
        raise ValueError("its key is of an unknown kind")
    early = values.decoded(about["early_stopping"])
    return Recipe(
        make_learner or _gone,
        transform or identity_transform(),
        Lengths(*values.decoded(about["lengths"])),
        about["batch_size"],
        typed_key(jax.random.wrap_key_data(jnp.array(words, jnp.uint32), impl=impl)),
        None if early is None else EarlyStopping(*early),
        None,
        bool(about["same_draws"]),
    )


def _is_trusted(path: Any, trusted: Sequence[str]) -> bool:
    module = str(path).split(":")[0]
    return any(module == name or module.startswith(f"{name}.") for name in trusted)


def _gone(h: dict[str, Any]) -> Any:
    """The make_learner of a study that was read without one."""
    raise ValueError(
        "the study was read from a file without its make_learner: load(path, make_learner=...)"
    )


def _read(arrays: files.Arrays, name: str, shape: tuple, kinds: str) -> np.ndarray:
    """An array of a shape, in which None is any length and a last ``...`` are any axes."""
    described = arrays.described.get(name)
    if described is None:
        raise ValueError(f"it has no array {name!r}")
    some, wanted = described.shape, shape
    if shape and shape[-1] is ...:
        some, wanted = some[: len(shape) - 1], shape[:-1]
    fits = len(some) == len(wanted) and all(
        w in (None, n) for n, w in zip(some, wanted, strict=True)
    )
    if not fits or described.dtype.kind not in kinds:
        raise ValueError(f"its array {name!r} is {described.dtype}{list(described.shape)}")
    return arrays.read(name)


def _states(arrays: files.Arrays, hparams: list[dict], recipe: Recipe, grid: tuple) -> list[Any]:
    def template(h):
        h = {k: jnp.asarray(v) if grids.is_traced(v) else v for k, v in h.items()}
        return run_state.without_clock(recipe.make_learner(h).init(jax.random.key(0)))

    signatures = grids.signatures(hparams)
    shapes = [jax.eval_shape(lambda h=hparams[s.members[0]]: template(h)) for s in signatures]
    shapes = [
        jax.tree.map(
            lambda leaf, s=s: jax.ShapeDtypeStruct(
                (len(s.members), *grid[1:], *leaf.shape), leaf.dtype
            ),
            tree,
        )
        for s, tree in zip(signatures, shapes, strict=True)
    ]
    if any(is_key(leaf) for leaf in jax.tree.leaves(shapes)):
        raise ValueError("its states hold keys, which are not saved")
    leaves = []
    for name, leaf in saved.by_path(shapes, read=False).items():
        if arrays.described.get(f"states{name}") != files.Described(
            leaf.shape, np.dtype(leaf.dtype)
        ):
            raise NotHereError(
                f"it holds another model: {name} is not {leaf.dtype}{list(leaf.shape)}"
            )
        leaves.append(jnp.asarray(arrays.read(f"states{name}")))
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)
