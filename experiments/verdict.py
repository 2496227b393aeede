"""Whether a chosen model is worth using: one sentence, and what a careful reader would ask about."""

from collections.abc import Sequence

import numpy as np

from experiments.grids import MOVED, at_edge
from experiments.scores import MAXIMIZED, Scored, better_by
from experiments.tabular import Problem
from jaxdl.model_selection import Choice, Study, guards

OURS = "this study"
CONSTANT = {"classify": "the class frequencies", "regress": "the mean", "count": "the mean count"}
# Of so few pieces to test on the interval is named again.
FEW = {"chance": (30, "rows"), "groups": (30, "whole groups"), "time": (5, "blocks of time")}
SAME_CLASS = 0.8  # from this share of one class on, accuracy says little


def verdict(task: str, tests: dict[str, Scored], absent: Sequence[str] = ()) -> str:
    """One sentence on the chosen model against the constant and the best of the rivals.

    ``absent`` are rivals that were asked for and not fitted: it says that it knows nothing of them.
    """
    sentence = _judgement(task, tests)
    return f"{sentence}; {' and '.join(absent)} could not be compared" if absent else sentence


def _judgement(task: str, tests: dict[str, Scored]) -> str:
    ours, constant = tests[OURS], tests[CONSTANT[task]]
    metric, value = next(iter(ours.scores.items()))
    by, low, high = better_by(ours, constant)
    base = f"that of predicting {CONSTANT[task]} ({constant.scores[metric]:.4g})"
    if not low > 0:
        return (
            f"not worth using: {metric} {value:.4g} is not surely better than {base}; the "
            f"difference is {_words(by, low, high)}"
        )
    known = f"{metric} {value:.4g} is better than {base} by {_words(by, low, high)}"
    rivals = {name: t for name, t in tests.items() if name not in (OURS, CONSTANT[task])}
    if not rivals:
        return f"worth using: {known}"
    sign = 1 if metric in MAXIMIZED else -1
    name = max(rivals, key=lambda n: sign * rivals[n].scores[metric])
    by, low, high = better_by(ours, rivals[name])
    rival = f"{name} ({rivals[name].scores[metric]:.4g}), the best rival"
    if high < 0:
        return f"use {rival}, instead: it is better by {_words(-by, -high, -low)}; ours: {known}"
    if low > 0:
        return f"worth using: {known}, and better than {rival}, by {_words(by, low, high)}"
    return f"worth using: {known}, level with {rival}: the difference is {_words(by, low, high)}"


def _words(by: float, low: float, high: float) -> str:
    return f"{by:.3g} (95 %: {low:.3g} to {high:.3g})"


def warnings(
    problem: Problem,
    study: Study,
    choice: Choice,
    test: Scored,
    y: np.ndarray,
    *,
    task_given: bool,
    by: str,
    absent: Sequence[str] = (),
) -> list[str]:
    """A line each. y [n] are the responses that the choice was made by.

    ``by`` says how the test part was divided off: ``"chance"``, ``"groups"`` or ``"time"``;
    ``absent`` is as in ``verdict``.
    """
    lines = []
    failed = int(study.diverged.sum())
    if failed:
        lines.append(f"{failed} of {study.diverged.size} members diverged; none was chosen")
    for name, end in at_edge(study.hparams, choice.hparams).items():
        advice = "--extend goes on from there" if name in MOVED else "widen the grid"
        lines.append(f"{name}={choice.hparams[name]:g} is the {end} that was tried; {advice}")
    if problem.task == "classify":
        suspicion = guards.suspicious_accuracy(test.scores["accuracy"])
        if suspicion:
            lines.append(str(suspicion))
        share = np.bincount(y).max() / len(y)
        if share >= SAME_CLASS:
            most = problem.target_names[int(np.bincount(y).argmax())]
            lines.append(
                f"{share:.1%} of the rows are {most!r}, so accuracy says little: look at balanced "
                "accuracy; --metric balanced_accuracy and --class-weight balanced go by it"
            )
    if test.scores.get("r2", 0) < 0:
        lines.append("r2 is below zero: the mean of the responses predicts better")
    few, pieces = FEW[by]
    if test.units == 1:
        lines.append(f"the test part is one of the {pieces}: nothing says how sure its score is")
    elif test.units < few:
        first, (low, high) = next(iter(test.scores)), test.interval()
        lines.append(
            f"the test part has {test.units} {pieces} only: {first} may as well be anything from "
            f"{low:.3g} to {high:.3g}"
        )
    if absent:
        lines.append(
            f"left out: {', '.join(absent)}; the verdict knows nothing of them "
            "(--baseline-seconds gives them longer)"
        )
    if problem.task == "regress" and not task_given and not np.any(y % 1) and y.min() >= 0:
        lines.append(
            f"the target holds whole numbers from {y.min():g} to {y.max():g}; if they are counts, "
            "--task count models them as such"
        )
    return lines
