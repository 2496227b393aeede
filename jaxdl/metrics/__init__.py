"""Metrics of predictions as in scikit-learn, ``(y_true, y_pred)``, all jittable. Notes: §3.1.

Classes are 0..K-1. A label outside is a ValueError where the labels are concrete arrays; of traced
ones such a row is left out. ``mask`` [N] marks the rows that count, everywhere.
"""

from jaxdl.metrics import intervals
from jaxdl.metrics.by_name import Metric, named, pinball
from jaxdl.metrics.calibration import (
    Reliability,
    brier_score,
    expected_calibration_error,
    expected_entropy,
    maximum_calibration_error,
    mc_dropout,
    mutual_information,
    predictive_entropy,
    reliability,
)
from jaxdl.metrics.classification import (
    ClassificationReport,
    Scores,
    accuracy,
    balanced_accuracy,
    class_scores,
    classification_report,
    confusion_matrix,
    f1_score,
    log_loss,
    precision,
    recall,
    round_prediction,
)
from jaxdl.metrics.coverage import Coverage, nearest_neighbours, sample_coverage
from jaxdl.metrics.regression import held_out_loss, r2_score, root_mean_squared_error
from jaxdl.metrics.sample_distances import (
    PermutationTest,
    energy_distance,
    energy_test,
    frechet_distance,
    maximum_mean_discrepancy,
    sliced_wasserstein,
)

__all__ = [
    "ClassificationReport",
    "Coverage",
    "Metric",
    "PermutationTest",
    "Reliability",
    "Scores",
    "accuracy",
    "balanced_accuracy",
    "brier_score",
    "class_scores",
    "classification_report",
    "confusion_matrix",
    "energy_distance",
    "energy_test",
    "expected_calibration_error",
    "expected_entropy",
    "f1_score",
    "frechet_distance",
    "held_out_loss",
    "intervals",
    "log_loss",
    "maximum_calibration_error",
    "maximum_mean_discrepancy",
    "mc_dropout",
    "mutual_information",
    "named",
    "nearest_neighbours",
    "pinball",
    "precision",
    "predictive_entropy",
    "r2_score",
    "recall",
    "reliability",
    "root_mean_squared_error",
    "round_prediction",
    "sample_coverage",
    "sliced_wasserstein",
]
