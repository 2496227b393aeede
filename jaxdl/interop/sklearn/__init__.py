"""Networks under scikit-learn's protocol."""

from jaxdl.interop.sklearn.classifier import NetworkClassifier
from jaxdl.interop.sklearn.regressor import NetworkRegressor

__all__ = ["NetworkClassifier", "NetworkRegressor"]
