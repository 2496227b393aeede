"""Generation: what a ``Decoder`` says, token by token. Notes: §7.2, §8.3.2."""

from jaxdl.generation.adaptive_steps import Solution, Tolerance, integrate_adaptively
from jaxdl.generation.beam import Beams, beam_hypotheses, beam_search
from jaxdl.generation.continuous_flow import continuous_flow_log_prob, integrate
from jaxdl.generation.diffusion import ddim_path, ddim_sample, ddim_steps, ddpm_sample, denoiser
from jaxdl.generation.greedy import greedy
from jaxdl.generation.loop import Generated, Progress, SpecialIds, advance, begin, special_ids
from jaxdl.generation.probability_flow import (
    probability_flow,
    probability_flow_log_prob,
    probability_flow_sample,
)
from jaxdl.generation.sampling import sample, sampling_probabilities

__all__ = [
    "Beams",
    "Generated",
    "Progress",
    "Solution",
    "SpecialIds",
    "Tolerance",
    "advance",
    "beam_hypotheses",
    "beam_search",
    "begin",
    "continuous_flow_log_prob",
    "ddim_path",
    "ddim_sample",
    "ddim_steps",
    "ddpm_sample",
    "denoiser",
    "greedy",
    "integrate",
    "integrate_adaptively",
    "probability_flow",
    "probability_flow_log_prob",
    "probability_flow_sample",
    "sample",
    "sampling_probabilities",
    "special_ids",
]
