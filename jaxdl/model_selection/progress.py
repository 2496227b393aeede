"""Progress of a study, seen from the host between stretches of epochs."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np


class Reporter:
    """A bar over member-epochs. Disabled, a run is one stretch and nothing is looked at.

    Args:
      total: epochs x members of all programs together.
      enabled: whether to show the bar.
      seconds: how long a stretch should take; the bound between two updates of the bar.

    The host reads arrays of shape [members] only. Source: tqdm's ``auto`` bar.
    """

    def __init__(self, total: int, *, enabled: bool, seconds: float = 0.5):
        self.total, self.enabled, self.seconds = total, enabled, seconds
        self.bar = None

    def __enter__(self):
        if self.enabled:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=self.total, unit=" epochs", desc="compiling", smoothing=0.1)
        return self

    def __exit__(self, *error):
        if self.bar is not None:
            self.bar.close()

    def stretches(self, epochs: int, members: int) -> Iterator[tuple[int, int]]:
        """Yield ``(start, stop)`` until all epochs of [members] are done, timing each stretch."""
        start, length = 0, 1 if self.enabled else epochs
        while start < epochs:
            stop = min(start + length, epochs)
            began = time.perf_counter()
            yield start, stop
            pace = (time.perf_counter() - began) / (stop - start)
            if self.bar is not None:
                self.bar.update((stop - start) * members)
            start, length = stop, max(1, int(self.seconds / max(pace, 1e-9)))

    def update(self, progress: Any) -> None:
        """Show the best validation loss and the number of diverged members; progress [R, s]."""
        if self.bar is None:
            return
        diverged = int(np.sum(np.asarray(progress.diverged) >= 0))
        self.bar.set_description("training", refresh=False)
        losses = np.asarray(progress.loss)
        seen = losses[..., ~np.all(np.isnan(losses), axis=(0, 1))]
        shown = {"loss": f"{np.nanmin(seen[..., -1]):.4g}"} if seen.size else {}
        self.bar.set_postfix({**shown, **({"diverged": diverged} if diverged else {})})
