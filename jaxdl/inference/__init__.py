"""Inference of parameters from simulators, and whether posteriors are calibrated. Notes: §9.4."""

from jaxdl.inference.abc import AbcSamples, abc_rejection
from jaxdl.inference.simulation_calibration import RankTest, simulation_based_calibration

__all__ = ["AbcSamples", "RankTest", "abc_rejection", "simulation_based_calibration"]
