"""Figures of the notes, drawn from the library: ``python -m experiments.figures --help``."""

import dataclasses
import json
import sys

from experiments.command import command, written_whole

NUMBERS = tuple(range(1, 14))
SAME_DATA = {11: 9}  # figure 11 is figure 9 with a penalty


@dataclasses.dataclass(frozen=True)
class Config:
    """Draw the figures of the notes' sections 1 to 3 and measure what each of them claims.

    Writes a PNG for each and claims.json. Exit code 1 where a claim does not hold.
    """

    only: tuple[int, ...] = NUMBERS
    """Numbers of the figures, 1 to 13."""
    out: str = "runs/figures"
    """The folder to write to."""
    seed: int = 0
    """Of the data."""


def main(config: Config) -> dict[int, list]:
    """Draw, measure and write; the claims by figure. Data are drawn in float64."""
    check(config)
    import jax

    from experiments.figures import capacity, section1, section2, section3

    figures = {**section1.FIGURES, **section2.FIGURES, **section3.FIGURES, **capacity.FIGURES}
    root, claims, report = jax.random.key(config.seed), {}, {}
    with written_whole(config.out) as folder:
        for number in sorted(set(config.only)):
            draw = figures[number]
            data_key = jax.random.fold_in(root, SAME_DATA.get(number, number))
            figure, claims[number] = draw(data_key)
            figure.savefig(folder / f"figure_{number:02}.png")
            title = draw.__doc__.splitlines()[0]
            holds = [c.holds for c in claims[number]]
            print(
                f"figure {number:2}: {sum(holds)} of {len(holds)} claims hold. {title}", flush=True
            )
            report[number] = {
                "title": title, "holds": all(holds), "claims": [c._asdict() for c in claims[number]],
            }  # fmt: skip
        (folder / "claims.json").write_text(json.dumps(report, indent=1))
    print(f"wrote {config.out}: {len(claims)} figures, claims.json")
    return claims


def check(config: Config) -> None:
    """Raise a ValueError for figures that there are not."""
    unknown = sorted(set(config.only) - set(NUMBERS))
    if unknown or not config.only:
        raise ValueError(
            f"only takes figures 1 to 13, not {', '.join(map(str, unknown)) or 'none'}"
        )
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2^32 - 1, not {config.seed}")


def run(config: Config) -> None:
    """``main`` in float64; exits with 1 where a claim does not hold."""
    check(config)
    import jax

    jax.config.update("jax_enable_x64", True)
    failed = [
        f"figure {number}: it does not hold that {claim.text}"
        for number, claims in main(config).items()
        for claim in claims
        if not claim.holds
    ]
    if failed:
        print("\n".join(failed), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    command("figures", Config, run)
