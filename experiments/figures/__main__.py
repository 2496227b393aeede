"""Figures of the notes, drawn from the library: ``python -m experiments.figures --help``."""

import dataclasses
import json
import sys

from experiments.command import command, written_whole

PROSE = ("vanishing", "skips", "width", "depth", "batch_norm", "optimizers")
# The order is that of the keys that the figures draw from: what is new stands last.
NAMES = (*map(str, range(1, 16)), *PROSE, "16", "17", "18", "19")
SAME_DATA = {"11": "9"}  # figure 11 is figure 9 with a penalty


@dataclasses.dataclass(frozen=True)
class Config:
    """Draw the figures of the notes' sections 1 to 5, 8 and 9 and measure what each of them claims.

    Writes a PNG for each and claims.json. Exit code 1 where a claim does not hold.
    """

    only: tuple[str, ...] = NAMES
    """Numbers of the notes' figures, 1 to 19, and names of what they say in prose: vanishing,
    skips, width, depth, batch_norm, optimizers."""
    out: str = "runs/figures"
    """The folder to write to."""
    seed: int = 0
    """Of the data."""


def main(config: Config) -> dict[str, list]:
    """Draw, measure and write; the claims by figure. Data are drawn in float64."""
    check(config)
    import jax

    figures = drawers()
    root, claims, report = jax.random.key(config.seed), {}, {}
    with written_whole(config.out) as folder:
        for name in sorted(set(config.only), key=NAMES.index):
            draw = figures[name]
            number = NAMES.index(SAME_DATA.get(name, name)) + 1
            figure, claims[name] = draw(jax.random.fold_in(root, number))
            figure.savefig(folder / f"figure_{name.zfill(2)}.png")
            title = draw.__doc__.splitlines()[0]
            holds = [c.holds for c in claims[name]]
            print(
                f"figure {name:>2}: {sum(holds)} of {len(holds)} claims hold. {title}", flush=True
            )
            report[name] = {
                "title": title, "holds": all(holds), "claims": [c._asdict() for c in claims[name]],
            }  # fmt: skip
        (folder / "claims.json").write_text(json.dumps(report, indent=1))
    print(f"wrote {config.out}: {len(claims)} figures, claims.json")
    return claims


def drawers() -> dict:
    """``(key) -> (Figure, claims)`` of each figure, by name."""
    from experiments.figures import (
        capacity,
        section1,
        section2,
        section3,
        section4,
        section5,
        section8,
        section9,
        signals,
    )

    parts = (
        section1,
        section2,
        section3,
        capacity,
        section4,
        signals,
        section5,
        section8,
        section9,
    )
    return {str(name): draw for part in parts for name, draw in part.FIGURES.items()}


def check(config: Config) -> None:
    """Raise a ValueError for figures that there are not."""
    unknown = sorted(set(config.only) - set(NAMES))
    if unknown or not config.only:
        raise ValueError(
            f"only takes figures 1 to 19, {', '.join(PROSE)}, not {', '.join(unknown) or 'none'}"
        )
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2^32 - 1, not {config.seed}")


def run(config: Config) -> None:
    """``main`` in float64; exits with 1 where a claim does not hold."""
    check(config)
    import jax

    jax.config.update("jax_enable_x64", True)
    failed = [
        f"figure {name}: it does not hold that {claim.text}"
        for name, claims in main(config).items()
        for claim in claims
        if not claim.holds
    ]
    if failed:
        print("\n".join(failed), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    command("figures", Config, run)
