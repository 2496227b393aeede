"""Studies of different settings over the same folds and seeds, as one."""

import dataclasses
import json
from collections.abc import Sequence

import jax
import numpy as np

from jaxdl.model_selection.study import Study
from jaxdl.model_selection.words import in_words, plain

BY_SETTING = ("train_loss", "diverged", "epochs", "dropped", "num_params")
BY_METRIC = ("scores", "train_scores", "curves", "train_curves")


def join(studies: Sequence[Study]) -> Study:
    """One Study of the settings of all, in their order.

    The draws of a member depend on the key, the seed and the fold, not on the other settings, so
    this is the study that would have tried them all at once. Programs and seconds are added up;
    predictions and states are kept where all studies have them.

    Raises a ValueError where there are none, where folds, seeds, metric, key or lengths of training
    differ, and for a setting that is there twice.
    """
    if not studies:
        raise ValueError("there are no studies to join")
    first = studies[0]
    for other in studies[1:]:
        if different := _difference(first, other):
            raise ValueError(f"studies of other {different} cannot be joined")
    settings = [h for study in studies for h in study.hparams]
    seen = set()
    for h in settings:
        text = json.dumps({name: plain(h[name]) for name in sorted(h)})
        if text in seen:
            raise ValueError(f"the setting {in_words(h)} is there twice")
        seen.add(text)
    of_all = lambda name: [getattr(study, name) for study in studies]
    whole = lambda name: all(value is not None for value in of_all(name))
    by_setting = {name: np.concatenate(of_all(name)) for name in BY_SETTING}
    by_metric = {
        name: {m: np.concatenate([v[m] for v in of_all(name)]) for m in getattr(first, name)}
        for name in BY_METRIC
    }
    kept = {
        name: np.concatenate(of_all(name)) if whole(name) else None
        for name in ("best_epochs", "predictions", "held_out")
    }
    added = {
        name: sum(of_all(name))
        for name in ("num_programs", "num_traces", "compile_seconds", "run_seconds")
    }
    return dataclasses.replace(
        first,
        hparams=settings,
        **by_setting,
        **by_metric,
        **kept,
        states=[s for states in of_all("states") for s in states] if whole("states") else None,
        unfit=np.any(of_all("unfit"), axis=0),
        strategy="; ".join(dict.fromkeys(of_all("strategy"))),
        **added,
    )


def _difference(one: Study, other: Study) -> str | None:
    """What two studies do not share that all members of one must share, in a word, or None."""
    rows = lambda study: [np.asarray(part) for fold in study.folds for part in fold]
    key = lambda study: jax.random.key_data(study.recipe.key)
    pairs = {
        "folds": (rows(one), rows(other)),
        "seeds": (one.seeds, other.seeds),
        "metrics": (sorted(one.scores), sorted(other.scores)),
        "metric": (one.metric, other.metric),
        "keys": (key(one), key(other)),
        "lengths": (one.recipe.lengths, other.recipe.lengths),
        "batch sizes": (one.recipe.batch_size, other.recipe.batch_size),
    }
    for name, (a, b) in pairs.items():
        parts = zip(a, b, strict=True) if name == "folds" and len(a) == len(b) else [(a, b)]
        if not all(np.array_equal(*part) for part in parts):
            return name
    return None
