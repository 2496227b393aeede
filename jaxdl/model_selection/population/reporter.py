"""Progress of a study, seen from the host between stretches of epochs."""

from typing import Any

import numpy as np


class Reporter:
    """A bar over member-epochs, in a terminal or a notebook; nothing where not enabled.

    Args:
      total: epochs x members of all programs together.
      enabled: whether to show the bar.
    """

    def __init__(self, total: int, *, enabled: bool):
        self.total, self.enabled, self.bar = total, enabled, None

    def __enter__(self):
        if self.enabled:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=self.total, unit=" epochs", desc="compiling", smoothing=0.1)
        return self

    def __exit__(self, *error):
        if self.bar is not None:
            self.bar.close()

    def update(self, done: int, population: Any, epoch: int) -> None:
        """Show ``done`` member-epochs of all, and a population's least loss after ``epoch``."""
        if self.bar is None:
            return
        self.bar.set_description("training", refresh=False)
        losses = population.peek(lambda p: p.loss)[:, :epoch]
        seen = losses[:, ~np.all(np.isnan(losses), axis=0)]
        shown = {"loss": f"{np.nanmin(seen[:, -1]):.4g}"} if seen.size else {}
        diverged = int(np.sum(population.peek(lambda p: p.diverged) >= 0))
        active = int(population.active.sum())
        shown |= {"diverged": diverged} if diverged else {}
        shown |= {"active": active} if active < population.size else {}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(done - self.bar.n)
