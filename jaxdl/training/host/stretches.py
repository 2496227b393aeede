"""How a run is cut into stretches, and its progress bar. The host looks between stretches only."""

import time
from collections.abc import Callable, Iterator
from typing import Any


def stretches(
    advance: Callable[[int, int], Any], start: int, total: int, seconds: float | None
) -> Iterator[tuple[int, int, Any]]:
    """Yield ``(begin, end, advance(begin, end))`` from ``start`` to ``total``.

    Each ``advance`` takes about ``seconds``; what the caller does in between is not counted. The
    first is one step long and each at most eight times the last, so that neither compilation nor a
    slow step makes a long one. Without ``seconds`` there is one stretch.
    """
    length = 1 if seconds is not None else total - start
    while start < total:
        end = min(start + length, total)
        began = time.perf_counter()
        result = advance(start, end)
        pace = max((time.perf_counter() - began) / (end - start), 1e-9)
        yield start, end, result
        if seconds is not None:
            length = max(1, min(8 * length, int(seconds / pace)))
        start = end


class Bar:
    """A bar over the steps of one run, in a terminal or a notebook; nothing where not enabled.

    It shows the last loss, the last validation score, steps/s and the time left.
    """

    def __init__(self, total: int | None, start: int, enabled: bool):
        self._bar = None
        if enabled:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=total, initial=start, unit=" steps", desc="compiling", smoothing=0.3
            )

    def update(self, steps: int, numbers: dict[str, Any]) -> None:
        """Move on by ``steps`` and show the numbers beside their names."""
        if self._bar is not None:
            self._bar.set_description("training", refresh=False)
            self._bar.set_postfix({k: f"{float(v):.4g}" for k, v in numbers.items()}, refresh=False)
            self._bar.update(steps)

    def close(self) -> None:
        """Stop, and leave the bar on the screen as it is."""
        if self._bar is not None:
            self._bar.close()
