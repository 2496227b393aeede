"""Features: the constant one, polynomial bases, label encodings, and what is fitted to them.

Functions map x straight to features. A `Transform` is first fitted to a training part (rows with
``mask`` False count for nothing, whatever they hold) and then applied to any x. Notes: §2.1.
"""

from jaxdl.features.bases import append_ones, from_one_based, one_hot
from jaxdl.features.polynomials import (
    orthogonal_polynomial,
    polynomial,
    polynomial_multivariate,
    scaled_polynomial,
)
from jaxdl.features.targets import target_encode
from jaxdl.features.transforms import chain, impute_mean, robust_scale, standardize

__all__ = [
    "append_ones",
    "chain",
    "from_one_based",
    "impute_mean",
    "one_hot",
    "orthogonal_polynomial",
    "polynomial",
    "polynomial_multivariate",
    "robust_scale",
    "scaled_polynomial",
    "standardize",
    "target_encode",
]
