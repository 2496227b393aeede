"""Reports of studies to share: one HTML page that needs neither a network nor another file.

The page is drawn here, as HTML and SVG, and reads without its script, which sorts and filters the
table and marks settings in the pictures.
"""

from jaxdl.model_selection.report.compared import Compared
from jaxdl.model_selection.report.predicted import Predicted, predicted
from jaxdl.model_selection.report.write import Tested, write

__all__ = ["Compared", "Predicted", "Tested", "predicted", "write"]
