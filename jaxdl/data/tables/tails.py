"""Numbers that are far from all others of their column: what is scaled by them is squeezed."""

import numpy as np

FAR = 10  # interquartile ranges; of a normal column none is beyond 4, of an exponential one few


def tail(x: np.ndarray) -> str:
    """How far the numbers x [N] reach from their median, in words; "" where that is not far.

    NaN counts for nothing. Where half of them are equal there is no range to measure by.

    >>> tail(np.array([1.0, 2.0, 3.0, 4.0, 93.0]))
    'a number is 45 interquartile ranges from the median: see --numbers robust'
    """
    x = x[~np.isnan(x)].astype(np.float64)
    if not len(x):
        return ""
    low, median, high = np.percentile(x, [25, 50, 75])
    reach = np.max(np.abs(x - median))
    if not high > low or reach < FAR * (high - low):
        return ""
    ranges = reach / (high - low)
    return f"a number is {ranges:.3g} interquartile ranges from the median: see --numbers robust"
