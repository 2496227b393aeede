"""Pictures of studies, predictions, runs, networks, images and attention.

Each function returns a matplotlib Figure and leaves pyplot alone. Save one with
``figure.savefig(path)``; a notebook shows it after ``%matplotlib inline``.
"""

from jaxdl.plotting.attention import attention_map
from jaxdl.plotting.images import feature_map_grid, filter_grid, image_grid
from jaxdl.plotting.networks import (
    fractions_by_layer,
    norms_by_layer,
    spectrum,
    update_ratios_by_step,
)
from jaxdl.plotting.predictions import confusion_matrix, ensemble_size, reliability_diagram
from jaxdl.plotting.recurrence import norms_through_time
from jaxdl.plotting.studies import (
    MAX_LINES,
    learning_curve_sizes,
    learning_curves,
    validation_curve,
)
from jaxdl.plotting.training import log_curves, training_curves

__all__ = [
    "MAX_LINES",
    "attention_map",
    "confusion_matrix",
    "ensemble_size",
    "feature_map_grid",
    "filter_grid",
    "fractions_by_layer",
    "image_grid",
    "learning_curve_sizes",
    "learning_curves",
    "log_curves",
    "norms_by_layer",
    "norms_through_time",
    "reliability_diagram",
    "spectrum",
    "training_curves",
    "update_ratios_by_step",
    "validation_curve",
]
