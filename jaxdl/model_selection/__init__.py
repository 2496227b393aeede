"""Model selection: splits, and whole studies over settings, folds and seeds."""

from jaxdl.model_selection.designs import LearningCurve as LearningCurve
from jaxdl.model_selection.designs import Nested as Nested
from jaxdl.model_selection.designs import learning_curve as learning_curve
from jaxdl.model_selection.designs import nested_cross_validate as nested_cross_validate
from jaxdl.model_selection.grid import log_uniform as log_uniform
from jaxdl.model_selection.grid import random_search as random_search
from jaxdl.model_selection.grid import uniform as uniform
from jaxdl.model_selection.members import member_key as member_key
from jaxdl.model_selection.refit import Fitted as Fitted
from jaxdl.model_selection.refit import refit as refit
from jaxdl.model_selection.splits import Fold as Fold
from jaxdl.model_selection.splits import Split as Split
from jaxdl.model_selection.splits import as_folds as as_folds
from jaxdl.model_selection.splits import group_k_fold as group_k_fold
from jaxdl.model_selection.splits import k_fold as k_fold
from jaxdl.model_selection.splits import leave_one_out as leave_one_out
from jaxdl.model_selection.splits import shuffle_split as shuffle_split
from jaxdl.model_selection.splits import stratified_k_fold as stratified_k_fold
from jaxdl.model_selection.splits import train_validation_test as train_validation_test
from jaxdl.model_selection.study import Choice as Choice
from jaxdl.model_selection.study import Study as Study
from jaxdl.model_selection.validation import cross_validate as cross_validate
