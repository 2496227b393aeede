"""Signals that end a run: noted, so that it can save where it is and then go."""

import signal
import threading
import warnings
from typing import Any

from jaxdl import parallel


class Interrupts:
    """While it is entered, SIGTERM and SIGINT are noted instead of obeyed; a second one is obeyed.

    ``caught`` is the signal's number or None; what was caught is obeyed at the end of the block at
    the latest, also where that ends with an error, which is then warned of. Python allows handlers
    in the main thread alone, so elsewhere nothing is noted.
    """

    def __init__(self, enabled: bool = True):
        self.enabled = enabled and threading.current_thread() is threading.main_thread()
        self.caught: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        if self.enabled:
            for number in (signal.SIGTERM, signal.SIGINT):
                # What is ignored (as SIGINT in background shells is) stays ignored.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._give_back()
        if kind is None:
            self.obey()
        elif self.caught is not None and isinstance(error, Exception):
            warnings.warn(f"interrupted, and {kind.__name__}: {error}", stacklevel=2)
            self.obey()

    def obey(self) -> None:
        """Do what a signal that was caught asked for: exit with 143, or raise KeyboardInterrupt."""
        if self.caught is None:
            return
        self._give_back()
        if self.caught == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt

    def share(self) -> bool:
        """Whether any process has caught a signal, which all then have; all must come here."""
        told = parallel.tell("signals", self.caught)
        caught = [number for number in told if number is not None]
        self.caught = self.caught or next(iter(caught), None)
        return bool(caught)

    def _note(self, number, frame) -> None:
        self.caught = number
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
