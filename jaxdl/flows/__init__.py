"""Normalizing flows: invertible maps with tractable Jacobians, and the densities they make.

A ``Bijector`` maps z to x by ``forward``, which samples, and x to z by ``inverse``, which
evaluates; both give ``log |det|`` of their own Jacobian, one value an example. Notes: §9.4.
"""

from jaxdl.flows.autoregressive import autoregressive, iaf, maf
from jaxdl.flows.composition import chain, invert, repeat
from jaxdl.flows.coupling import affine_coupling, coupling, half_mask, mlp_coupling, spline_coupling
from jaxdl.flows.densities import Density, base_density, density_model, flow, standard_normal
from jaxdl.flows.dequantisation import bits_per_dim, cell_centres, dequantise, quantise
from jaxdl.flows.dequantisers import (
    Dequantiser,
    dequantised_log_weights,
    dequantised_model,
    flow_dequantiser,
)
from jaxdl.flows.elementwise import actnorm, affine, logit, permutation, reverse
from jaxdl.flows.images import invertible_convolution, split, squeeze
from jaxdl.flows.made import made, made_masks
from jaxdl.flows.planar import planar
from jaxdl.flows.radial import radial
from jaxdl.flows.roots import increasing_root
from jaxdl.flows.scalar_maps import ScalarMap, additive_map, affine_map
from jaxdl.flows.sigmoidal import sigmoidal_map
from jaxdl.flows.splines import rational_quadratic, rational_quadratic_inverse, spline_map
from jaxdl.flows.stacks import conv_conditioner, glow, stack

__all__ = [
    "Density",
    "Dequantiser",
    "ScalarMap",
    "actnorm",
    "additive_map",
    "affine",
    "affine_coupling",
    "affine_map",
    "autoregressive",
    "base_density",
    "bits_per_dim",
    "cell_centres",
    "chain",
    "conv_conditioner",
    "coupling",
    "density_model",
    "dequantise",
    "dequantised_log_weights",
    "dequantised_model",
    "flow",
    "flow_dequantiser",
    "glow",
    "half_mask",
    "iaf",
    "increasing_root",
    "invert",
    "invertible_convolution",
    "logit",
    "made",
    "made_masks",
    "maf",
    "mlp_coupling",
    "permutation",
    "planar",
    "quantise",
    "radial",
    "rational_quadratic",
    "rational_quadratic_inverse",
    "repeat",
    "reverse",
    "sigmoidal_map",
    "spline_coupling",
    "spline_map",
    "split",
    "squeeze",
    "stack",
    "standard_normal",
]
