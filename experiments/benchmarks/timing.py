"""What the blocks of a benchmark share: a row of the table, a clock, the digits and their folds."""

import time
from typing import NamedTuple


class Row(NamedTuple):
    """One measured way of doing a block's work; seconds, and a figure that shows it was done."""

    block: str
    way: str
    run: float
    compile: float
    total: float
    result: str


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
