"""scikit-learn's own checks of an estimator, all of them: none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxdl.interop.sklearn import NetworkClassifier, NetworkRegressor
from jaxdl.interop.sklearn.networks import REAL

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the checks' own
    pytest.mark.smoke,
]


@parametrize_with_checks([NetworkClassifier(), NetworkRegressor()])
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([NetworkRegressor(family=family) for family in REAL[1:]])
def test_check_estimator_of_each_family(estimator, check):
    check(estimator)
