"""Model selection: splits, and whole studies over settings, folds and seeds."""

from jaxdl.model_selection.splits import Fold as Fold
from jaxdl.model_selection.splits import Split as Split
from jaxdl.model_selection.splits import as_folds as as_folds
from jaxdl.model_selection.splits import group_k_fold as group_k_fold
from jaxdl.model_selection.splits import k_fold as k_fold
from jaxdl.model_selection.splits import leave_one_out as leave_one_out
from jaxdl.model_selection.splits import shuffle_split as shuffle_split
from jaxdl.model_selection.splits import stratified_k_fold as stratified_k_fold
from jaxdl.model_selection.splits import train_validation_test as train_validation_test
