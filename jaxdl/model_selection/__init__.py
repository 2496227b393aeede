"""Model selection: splits, and whole studies over settings, folds and seeds."""

from jaxdl.model_selection import exports, report, tables
from jaxdl.model_selection.designs import (
    LearningCurve,
    Nested,
    learning_curve,
    nested_cross_validate,
)
from jaxdl.model_selection.ensembles import (
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
from jaxdl.model_selection.exporting import export
from jaxdl.model_selection.fitted import Fitted
from jaxdl.model_selection.folds import Folds
from jaxdl.model_selection.forward import forward_k_fold, forward_split
from jaxdl.model_selection.grid import random_search
from jaxdl.model_selection.grouping import group_split, stratified_group_k_fold
from jaxdl.model_selection.guards import TestSetGuard, suspicious_accuracy
from jaxdl.model_selection.joining import join
from jaxdl.model_selection.paths import RegularizationPath, degree_path, regularization_path
from jaxdl.model_selection.population.halving import Halving
from jaxdl.model_selection.population.keys import member_key
from jaxdl.model_selection.population.plan import Execution
from jaxdl.model_selection.refit import refit
from jaxdl.model_selection.saving import load, save
from jaxdl.model_selection.searches import (
    Exploring,
    Lineages,
    Search,
    Turn,
    asynchronous_halving,
    brackets,
    hyperband,
    population_based_training,
    scheduled,
    search,
)
from jaxdl.model_selection.spaces import Interval, log_uniform, uniform, whole_numbers
from jaxdl.model_selection.splits import (
    Fold,
    Split,
    as_folds,
    group_k_fold,
    k_fold,
    leave_one_out,
    shuffle_split,
    stratified_k_fold,
    train_validation_test,
)
from jaxdl.model_selection.study import Choice, Study
from jaxdl.model_selection.validation import cross_validate

__all__ = [
    "Ambiguity",
    "Choice",
    "Execution",
    "Exploring",
    "Fitted",
    "Fold",
    "Folds",
    "Halving",
    "Interval",
    "LearningCurve",
    "Lineages",
    "Nested",
    "RegularizationPath",
    "Search",
    "Snapshots",
    "Split",
    "Study",
    "TestSetGuard",
    "Turn",
    "Vote",
    "ambiguity_decomposition",
    "as_folds",
    "asynchronous_halving",
    "average",
    "average_parameters",
    "bootstrap",
    "brackets",
    "cross_entropy_decomposition",
    "cross_validate",
    "degree_path",
    "diversity",
    "ensemble_size_curve",
    "export",
    "exports",
    "forward_k_fold",
    "forward_split",
    "group_k_fold",
    "group_split",
    "hard_vote",
    "hyperband",
    "join",
    "k_fold",
    "learning_curve",
    "leave_one_out",
    "load",
    "log_uniform",
    "member_key",
    "nested_cross_validate",
    "out_of_bag",
    "population_based_training",
    "random_search",
    "refit",
    "regularization_path",
    "report",
    "save",
    "scheduled",
    "search",
    "shuffle_split",
    "snapshot_ensemble",
    "soft_vote",
    "stratified_group_k_fold",
    "stratified_k_fold",
    "suspicious_accuracy",
    "tables",
    "train_validation_test",
    "uniform",
    "whole_numbers",
    "zero_pad",
]
