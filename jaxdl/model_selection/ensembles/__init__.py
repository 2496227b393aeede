"""Ensembles: averages and votes of members, and ensembles of networks. Notes: §3.3."""

from jaxdl.model_selection.ensembles.averages import (
    Ambiguity,
    Vote,
    ambiguity_decomposition,
    average,
    average_parameters,
    bootstrap,
    diversity,
    hard_vote,
    out_of_bag,
    soft_vote,
    zero_pad,
)
from jaxdl.model_selection.ensembles.neural import (
    Snapshots,
    cross_entropy_decomposition,
    ensemble_size_curve,
    snapshot_ensemble,
)

__all__ = [
    "Ambiguity",
    "Snapshots",
    "Vote",
    "ambiguity_decomposition",
    "average",
    "average_parameters",
    "bootstrap",
    "cross_entropy_decomposition",
    "diversity",
    "ensemble_size_curve",
    "hard_vote",
    "out_of_bag",
    "snapshot_ensemble",
    "soft_vote",
    "zero_pad",
]
