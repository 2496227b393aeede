"""Networks under scikit-learn's protocol, and its searches as studies."""

from jaxdl.interop.sklearn.classifier import NetworkClassifier
from jaxdl.interop.sklearn.regressor import NetworkRegressor
from jaxdl.interop.sklearn.search import OneProgram, StudySearchCV

__all__ = ["NetworkClassifier", "NetworkRegressor", "OneProgram", "StudySearchCV"]
