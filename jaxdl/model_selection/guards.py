"""Guards of honest evaluation: how often the test part was looked at, and scores too good."""

import warnings
from typing import Any

import numpy as np


class TestSetGuard:
    """The test part, set aside; it counts the looks. Notes: §3.1.1.

    What is chosen after a look at the test part is no longer tested by it (E-20). The count
    changes in place, with each look.

    Args:
      data: a pytree of arrays [N, ...].

    >>> guard = TestSetGuard("the test part")
    >>> guard.look(), guard.looks
    ('the test part', 1)
    """

    __test__ = False  # pytest would take it for a test by its name

    def __init__(self, data: Any):
        self._data = data
        self.looks = 0

    def look(self) -> Any:
        """The test part. Warns (UserWarning) from the second look on. Notes: §3.1.1 (E-20)."""
        self.looks += 1
        if self.looks > 1:
            warnings.warn(
                f"look number {self.looks} at the test part: its score no longer says how the "
                "model does on data that it has not seen",
                stacklevel=2,
            )
        return self._data


def suspicious_accuracy(accuracy: float) -> str | None:
    """What an accuracy of exactly 1 may mean, in words; None below. Notes: §3.2 (E-23).

    Raises a ValueError outside [0, 1].

    >>> suspicious_accuracy(0.99) is None
    True
    """
    accuracy = float(np.asarray(accuracy))
    if not 0 <= accuracy <= 1:
        raise ValueError(f"an accuracy lies in [0, 1], not {accuracy}")
    if accuracy < 1:
        return None
    return (
        "an accuracy of 100 % is suspicious: the problem may be very easy, the data very few, the "
        "model overfitted (if these are its training data), or there is a bug, such as a feature "
        "that gives the label away or rows that are in both parts"
    )
