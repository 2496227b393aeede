"""What the blocks of a benchmark share: a row of the table, a clock, the digits and their folds."""

import dataclasses
import json
import platform
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments.command import written_whole


class Row(NamedTuple):
    """One measured way of doing a block's work; seconds, and a figure that shows it was done."""

    block: str
    way: str
    run: float
    compile: float
    total: float
    result: str


def check_blocks(config, blocks: Sequence[str], counts: Sequence[str] = ("repeats",)) -> None:
    """Raise a ValueError for blocks that there are not, counts under 1, and a scale out of (0, 100]."""
    for block in config.only:
        if block not in blocks:
            raise ValueError(f"only takes {', '.join(blocks)}, not {block!r}")
    for name in counts:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(config, name)}")
    scale = getattr(config, "scale", 1.0)
    if not 0 < scale <= 100:
        raise ValueError(f"scale must be above 0 and at most 100, not {scale:g}")


def on_all_cores(check: Callable, main: Callable) -> Callable:
    """``main`` as a command runs it: checked first, then on all cores."""

    def run(config):
        check(config)
        from jaxdl import parallel

        parallel.use_all_cores()
        main(config)

    return run


def scaled(config, count: int) -> int:
    """A count of steps by ``config.scale``, at least 1."""
    return max(1, round(count * config.scale))


def timed(fn, repeats: int):
    """The least seconds of some runs, and what the last one gave."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = fn()
        seconds.append(time.perf_counter() - began)
    return min(seconds), result


def digits():
    """x [1797, 64] in [0, 1] and y [1797], of the types that all peers take."""
    import numpy as np

    from jaxdl import data

    digits = data.load("digits")
    return (digits.x / 16).astype(np.float32), digits.y.astype(np.int32)


def stratified(y, count: int = 5):
    """Folds by class, as scikit-learn's searches take them by default."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(count).split(np.zeros(len(y)), y))


def measure(config, name: str, blocks: dict) -> list[Row]:
    """The rows of ``config.only``'s blocks, ``() -> rows``: prints a table, writes ``name.{md,json}``."""
    rows = []
    with written_whole(config.out) as folder:
        for block in config.only:
            print(f"{block} ...", flush=True)
            rows += blocks[block]()
        text = table(rows)
        print(text)
        (folder / f"{name}.md").write_text(text)
        about = {"machine": machine(), "config": dataclasses.asdict(config)}
        rows_json = [row._asdict() for row in rows]
        (folder / f"{name}.json").write_text(json.dumps({**about, "rows": rows_json}, indent=1))
    return rows


def machine() -> dict[str, str | int]:
    """What it ran on."""
    import jax
    import sklearn

    from jaxdl import parallel

    versions = {"python": platform.python_version(), "jax": jax.__version__}
    return {
        **versions,
        "scikit-learn": sklearn.__version__,
        "cores": parallel.usable_cores(),
        "devices": f"{len(jax.local_devices())} {jax.default_backend()}",
    }


def table(rows: list[Row]) -> str:
    """Markdown; ``times`` is the run time over that of the block's first row."""
    lines = [
        "| work | way | run s | compile s | total s | run, times ours | result |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    first = {}
    for row in rows:
        ours = first.setdefault(row.block, row)
        lines.append(
            f"| {row.block} | {row.way} | {row.run:.2f} | {row.compile:.2f} | {row.total:.2f} "
            f"| {row.run / ours.run:.1f} | {row.result} |"
        )
    return "\n".join(lines) + "\n"
