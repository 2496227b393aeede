"""A study as a table, best setting first: as text and as HTML."""

import html
from typing import TYPE_CHECKING

from jaxdl.model_selection.words import shown

if TYPE_CHECKING:
    from jaxdl.model_selection.study import Study


def table(study: "Study", limit: int | None = 20) -> tuple[list[str], list[list[str]]]:
    """A header and the rows of the ``limit`` best settings as text, best first."""
    names = list(dict.fromkeys(name for h in study.hparams for name in h))
    metrics = sorted(study.scores, key=lambda m: m != study.metric)
    failed, trained = study.diverged.sum((1, 2)), study.epochs.mean((1, 2))
    some_failed = bool(failed.any())
    some_ended = bool((study.epochs != study.epochs.max()).any())
    members = study.diverged[0].size
    summaries = [study.summary(metric) for metric in metrics]
    header = ["rank", *names, "params", *metrics]
    header += ["diverged"] * some_failed + ["trained epochs"] * some_ended
    body = []
    for rank, s in enumerate(study.ranking()[:limit], 1):
        cells = [shown(study.hparams[s].get(name, "")) for name in names]
        scores = [f"{mean[s]:.4f} ± {error[s]:.4f}" for mean, error in summaries]
        ends = [f"{failed[s]}/{members}"] * some_failed + [f"{trained[s]:.0f}"] * some_ended
        body.append([str(rank), *cells, str(study.num_params[s]), *scores, *ends])
    return header, body


def caption(study: "Study") -> str:
    """One line that counts settings, folds, seeds, programs and seconds."""
    s, f, k = study.diverged.shape
    programs = f"{study.num_programs} program{'s' if study.num_programs != 1 else ''}"
    return (
        f"{s} settings x {f} folds x {k} seeds = {s * f * k} members in {programs}; compiled in "
        f"{study.compile_seconds:.1f} s, ran in {study.run_seconds:.1f} s ({study.strategy})"
    )


def as_text(study: "Study") -> str:
    """The table of the best settings, what diverged, and the caption, a line each."""
    header, body = table(study)
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    line = lambda cells: "  ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))
    more = len(study.hparams) - len(body)
    tail = [f"... and {more} more settings"] if more > 0 else []
    tail += [study.divergence()] if study.diverged.any() else []
    return "\n".join([line(header), *map(line, body), *tail, caption(study)])


def as_html(study: "Study") -> str:
    """The table of the best settings, as notebooks show it."""
    header, body = table(study)
    cells = lambda row, tag: "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in row)
    rows = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in body)
    return (
        f"<table><caption>{html.escape(caption(study))}</caption>"
        f"<thead><tr>{cells(header, 'th')}</tr></thead><tbody>{rows}</tbody></table>"
    )
