"""How a run is cut into stretches, and its progress bar. The host looks between stretches only."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from jaxdl import parallel


def stretches(
    advance: Callable[[int, int], Any], start: int, total: int, seconds: float | None
) -> Iterator[tuple[int, int, Any]]:
    """Yield ``(begin, end, advance(begin, end))`` from ``start`` to ``total``.

    Each ``advance`` takes about ``seconds``; what the caller does in between is not counted. The
    first is one step long and each at most eight times the last, so that neither compilation nor a
    slow step makes a long one. Without ``seconds`` there is one stretch. Several processes go by the
    first one's clock.
    """
    length = 1 if seconds is not None else total - start
    while start < total:
        end = min(start + length, total)
        if seconds is not None:
            end = parallel.agree("stretch", end)
        began = time.perf_counter()
        result = advance(start, end)
        pace = max((time.perf_counter() - began) / (end - start), 1e-9)
        yield start, end, result
        if seconds is not None:
            length = max(1, min(8 * length, int(seconds / pace)))
        start = end


class Bar:
    """A bar from ``start`` to ``total``, in a terminal or a notebook; nothing where not enabled.

    It shows numbers by their names, the pace and the time left.
    """

    def __init__(self, total: int, start: int, unit: str, enabled: bool):
        self._bar = None
        if enabled:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=total, initial=start, unit=f" {unit}", desc="compiling", smoothing=0.3
            )

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error) -> None:
        """It is left on the screen as it is."""
        if self._bar is not None:
            self._bar.close()

    def update(self, position: int, numbers: dict[str, Any]) -> None:
        """Move on to a position and show the numbers beside their names."""
        if self._bar is not None:
            shown = {k: v if isinstance(v, int) else f"{float(v):.4g}" for k, v in numbers.items()}
            self._bar.set_description("training", refresh=False)
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update(position - self._bar.n)
