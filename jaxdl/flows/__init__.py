"""Normalizing flows: invertible maps with tractable Jacobians, and the densities they make.

A ``Bijector`` maps z to x by ``forward``, which samples, and x to z by ``inverse``, which
evaluates; both give ``log |det|`` of their own Jacobian, one value an example. Notes: §9.4.
"""

from jaxdl.flows.composition import chain, invert, repeat
from jaxdl.flows.densities import Density, density_model, flow, standard_normal
from jaxdl.flows.dequantisation import bits_per_dim, cell_centres, dequantise, quantise
from jaxdl.flows.elementwise import actnorm, affine, logit, permutation, reverse

__all__ = [
    "Density",
    "actnorm",
    "affine",
    "bits_per_dim",
    "cell_centres",
    "chain",
    "density_model",
    "dequantise",
    "flow",
    "invert",
    "logit",
    "permutation",
    "quantise",
    "repeat",
    "reverse",
    "standard_normal",
]
