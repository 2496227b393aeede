"""Divergences, entropies and expectations: in general, in closed form, by quadrature, by Monte Carlo."""

from jaxdl.divergences import quadrature
from jaxdl.divergences.closed_form import (
    kl_bernoulli,
    kl_categorical,
    kl_normal,
    kl_poisson,
    squared_hellinger_normal,
)
from jaxdl.divergences.general import (
    GENERATORS,
    Distribution,
    Generator,
    Rule,
    cross_entropy,
    entropy,
    expected_kl,
    f_divergence,
    kl_divergence,
    squared_hellinger,
)
from jaxdl.divergences.monte_carlo import (
    MonteCarlo,
    log_mean_exp,
    monte_carlo_expectation,
    monte_carlo_kl,
)

__all__ = [
    "GENERATORS",
    "Distribution",
    "Generator",
    "MonteCarlo",
    "Rule",
    "cross_entropy",
    "entropy",
    "expected_kl",
    "f_divergence",
    "kl_bernoulli",
    "kl_categorical",
    "kl_divergence",
    "kl_normal",
    "kl_poisson",
    "log_mean_exp",
    "monte_carlo_expectation",
    "monte_carlo_kl",
    "quadrature",
    "squared_hellinger",
    "squared_hellinger_normal",
]
