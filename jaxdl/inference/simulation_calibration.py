"""Whether a posterior is calibrated: the ranks of true parameters among its samples. Notes: §9.4."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.stats import chi2

from jaxdl.base import Array, Key
from jaxdl.checks import positive_int


class RankTest(NamedTuple):
    """ranks: [N, P], from 0 to L of each parameter; p_values: [P], of a chi-square test of uniformity."""

    ranks: Array
    p_values: Array


def simulation_based_calibration(
    key: Key,
    prior: Callable[[Key], Array],
    simulate: Callable[[Key, Array], Any],
    posterior: Callable[[Key, Any], Array],
    *,
    draws: int = 200,
    bins: int = 10,
) -> RankTest:
    """The rank of theta_n among samples of p(theta | x_n), for theta_n ~ p and x_n ~ p(x | theta_n).

    With the right posterior every rank 0, ..., L is equally likely. A posterior that is too narrow
    has ranks at both ends, one that is too wide in the middle, one that is shifted at one end.
    Source: Talts et al. (2018).

    Args:
      key: it is consumed; each of the N = ``draws`` has a key of its own.
      prior: ``(key) -> theta`` [P].
      simulate: ``(key, theta) -> x``.
      posterior: ``(key, x) -> samples`` [L, P], independent ones.
      bins: into which ranks are put for the test; at most L + 1.

    Raises ValueError for numbers under 1, more bins than ranks, and samples of another width.
    """
    draws, bins = positive_int("draws", draws), positive_int("bins", bins)

    def one(key):
        prior_key, data_key, posterior_key = jax.random.split(key, 3)
        theta = prior(prior_key)
        samples = posterior(posterior_key, simulate(data_key, theta))
        if theta.ndim != 1 or samples.ndim != 2 or samples.shape[1:] != theta.shape:
            raise ValueError(
                f"theta [P] has samples [L, P], not {list(theta.shape)} and {list(samples.shape)}"
            )
        return jnp.sum(samples < theta, axis=0), samples.shape[0]

    ranks, total = lax.map(one, jax.random.split(key, draws))
    possible = int(total[0]) + 1
    if bins > possible:
        raise ValueError(f"{bins} bins for {possible} ranks; take more samples or fewer bins")
    edges = np.linspace(0, possible, bins + 1).round()
    expected = draws * np.diff(edges) / possible
    counts = [np.histogram(column, edges - 0.5)[0] for column in np.asarray(ranks).T]
    excess = np.array([np.sum((count - expected) ** 2 / expected) for count in counts])
    return RankTest(ranks, chi2.sf(excess, bins - 1))
