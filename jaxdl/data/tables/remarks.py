"""What a reader should look at in a column of numbers."""

import numpy as np

from jaxdl.data.tables.kinds import FEW

FAR = 10  # interquartile ranges; of a normal column none is beyond 4, of an exponential one few
LONG = 8  # digits


def tail(x: np.ndarray) -> str:
    """How far the numbers x [N] reach from their median, in words; "" where that is not far.

    NaN counts for nothing. Where half of them are equal there is no range to measure by.

    >>> tail(np.array([1.0, 2.0, 3.0, 4.0, 93.0]))
    'a number is 45 interquartile ranges from the median: see --numbers robust'
    """
    x = x[~np.isnan(x)].astype(np.float64)
    if not len(x):
        return ""
    last = len(x) - 1  # np.percentile takes ten times as long for a short column
    low, median, high = np.interp([last / 4, last / 2, 3 * last / 4], np.arange(len(x)), np.sort(x))
    reach = np.max(np.abs(x - median))
    if not high > low or reach < FAR * (high - low):
        return ""
    ranges = reach / (high - low)
    return f"a number is {ranges:.3g} interquartile ranges from the median: see --numbers robust"


def names(x: np.ndarray) -> str:
    """That the numbers x [N] look like names, in words; "" where they do not.

    They are whole, of one length from eight digits on, and all different; the largest is more than
    twice the smallest, as seconds since a day are not.
    """
    x = x[~np.isnan(x)].astype(np.float64)
    if len(x) < FEW or x.min() < 10 ** (LONG - 1) or x.max() <= 2 * x.min():
        return ""
    digits = len(f"{x.min():.0f}")
    if x.max() >= 10.0**digits or (x != np.floor(x)).any() or len(np.unique(x)) < len(x):
        return ""
    return f"all differ and have {digits} digits, as names have: --ignore leaves them out"
