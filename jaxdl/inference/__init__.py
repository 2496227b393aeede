"""Inference from simulators and by implicit posteriors, and whether posteriors are calibrated.

Notes: §9.4.
"""

from jaxdl.inference.abc import AbcSamples, abc_rejection
from jaxdl.inference.adversarial_bayes import adversarial_bayes_learner
from jaxdl.inference.hierarchical_implicit import hierarchical_implicit_learner
from jaxdl.inference.implicit_posterior import sample_posterior
from jaxdl.inference.simulation_calibration import RankTest, simulation_based_calibration

__all__ = [
    "AbcSamples",
    "RankTest",
    "abc_rejection",
    "adversarial_bayes_learner",
    "hierarchical_implicit_learner",
    "sample_posterior",
    "simulation_based_calibration",
]
