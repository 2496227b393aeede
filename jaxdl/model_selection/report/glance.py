"""What a reader wants to know first: which model, how sure, better than what; and how it ran."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxdl.metrics import directions
from jaxdl.model_selection.report.compared import Compared
from jaxdl.model_selection.report.markup import Html, number, section, tag, with_error
from jaxdl.model_selection.words import in_words

if TYPE_CHECKING:
    from jaxdl.model_selection.study import Choice, Study


def at_a_glance(
    study: "Study",
    choice: "Choice | None",
    models: Sequence[Compared],
    *,
    metric: str,
    maximize: bool,
    verdict: str | None,
    warnings: Sequence[str],
    without: str,
) -> Html:
    """The first section. ``metric``, ``maximize`` are of the ``models``, the choice being the first.

    ``without`` says why nothing was chosen.
    """
    facts = [] if choice is None else _facts(study, choice, named=verdict is None)
    if len(models) > 1:
        facts.append(("Against baselines", against(models, metric, maximize)))
    headline = verdict or (without if choice is None else f"Use {in_words(choice.hparams)}.")
    doubts = [tag("li", line) for line in warnings]
    return section(
        "glance",
        "At a glance",
        tag("p", headline, class_="headline"),
        tag("dl", [tag("div", tag("dt", name), tag("dd", text)) for name, text in facts],
            class_="facts"),
        tag("div", tag("h3", "Warnings"), tag("ul", doubts), class_="warnings") if doubts else None,
    )  # fmt: skip


def _facts(study: "Study", choice: "Choice", named: bool) -> list[tuple[str, object]]:
    """Terms and what there is to say; ``named`` says that the headline has the setting."""
    s, f, k = study.diverged.shape
    metric = choice.metric.replace("_", " ")
    way = "more" if study.maximize else "less"
    score = [
        tag("strong", with_error(choice.mean, choice.standard_error)), f" {metric} on held-out rows",
        f" ± standard error of {f} folds" if f > 1 else " of one fold",
        f", mean of {k} seeds each" if k > 1 else "", f"; {way} is better",
    ]  # fmt: skip
    rule = f"{choice.rule.replace('_', ' ')}, of {s} setting{'s' * (s != 1)}"
    setting = [tag("strong", in_words(choice.hparams)), f", by the {rule}"]
    facts = [("Chosen by", f"the {rule}") if named else ("Chosen", setting), ("Validation", score)]
    if s > 1 and f > 1:
        facts.append(("How sure", _how_sure(study)))
    return facts


def _how_sure(study: "Study") -> str:
    """How many others are within a standard error of the best, as that rule has it."""
    mean, error = study.summary()
    best = int(study.ranking()[0])
    loss = directions.as_loss(mean, study.maximize)
    usable = ~study.diverged.any((1, 2)) & np.isfinite(loss) & (study.dropped < 0)
    near = int(np.sum(usable & (loss <= loss[best] + error[best])))
    others = (
        "no other setting is" if near == 1 else f"{near - 1} other setting{'s are' if near > 2 else ' is'}"
    )  # fmt: skip
    return (
        f"{others} within one standard error of the best. The best of several looks a little "
        "better on its own folds than it is."
    )


def against(models: Sequence[Compared], metric: str, maximize: bool) -> str:
    """The choice against the best of the others, in words.

    >>> ours, other = Compared("ours", 0.9), Compared("the mean", 0.5, ahead=(0.4, 0.3, 0.5))
    >>> against([ours, other], "accuracy", True)
    'better than the mean by 0.4 (0.3 to 0.5) in accuracy'
    >>> against([ours, other._replace(ahead=(-0.1, -0.3, 0.2))], "accuracy", True)
    'level with the mean, behind by 0.1 (-0.2 to 0.3) in accuracy'
    """
    sign = 1 if maximize else -1
    known = [m for m in models[1:] if np.isfinite(m.score)] or models[1:]
    best = max(known, key=lambda m: sign * m.score)
    by, low, high = best.ahead or (np.nan,) * 3
    short = lambda v: number(v, 3)
    name = metric.replace("_", " ")
    if not (np.isfinite(low) and np.isfinite(high)):
        way = "better" if by > 0 else "not better"
        return f"{way} than {best.name}, by {short(by)} in {name}"
    if low > 0:
        return f"better than {best.name} by {short(by)} ({short(low)} to {short(high)}) in {name}"
    way = f"worse than {best.name} by" if high < 0 else f"level with {best.name}, behind by"
    if by < 0:
        return f"{way} {short(-by)} ({short(-high)} to {short(-low)}) in {name}"
    return f"level with {best.name}, ahead by {short(by)} ({short(low)} to {short(high)}) in {name}"


def how_it_ran(study: "Study", seconds: Mapping[str, float], notes: Sequence[str]) -> Html:
    """The section on members, programs, run time and strategy."""
    s, f, k = study.diverged.shape
    epochs = study.epochs
    trained = (
        f"{int(epochs.max())} a member" if (epochs == epochs.max()).all()
        else f"{int(epochs.min())} to {int(epochs.max())} a member, {epochs.mean():.1f} on average"
    )  # fmt: skip
    dropped = int((study.dropped >= 0).sum())
    facts = [
        ("Members", f"{s} settings x {f} folds x {k} seeds = {s * f * k}"),
        ("Programs", str(study.num_programs)),
        ("Strategy", study.strategy),
        ("Epochs", trained),
        ("Compiled in", f"{study.compile_seconds:.1f} s"),
        ("Ran in", f"{study.run_seconds:.1f} s"),
        ("Diverged", study.divergence()),
        ("Dropped by halving", f"{dropped} of {s} settings" if dropped else ""),
        *((name, f"{value:.1f} s") for name, value in seconds.items()),
    ]
    return section(
        "run",
        "Run time and strategy",
        tag("dl", [tag("div", tag("dt", name), tag("dd", text)) for name, text in facts if text],
            class_="facts"),
        tag("ul", [tag("li", note) for note in notes]) if notes else None,
    )  # fmt: skip
