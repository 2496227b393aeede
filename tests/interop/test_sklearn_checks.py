"""scikit-learn's own checks of an estimator, all of them: none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from jaxdl.interop.sklearn import NetworkClassifier, NetworkRegressor
from jaxdl.interop.sklearn.networks import REAL

pytestmark = pytest.mark.filterwarnings("ignore")  # the checks' own


def checks_of(*estimators):
    """A parameter for each check. scikit-learn's own decorator gives pytest an iterator."""
    pairs = [pair for estimator in estimators for pair in estimator_checks_generator(estimator)]
    names = [f"{type(e).__name__}-{check.func.__name__}" for e, check in pairs]
    return pytest.mark.parametrize(("estimator", "check"), pairs, ids=names)


@pytest.mark.smoke
@checks_of(NetworkClassifier(), NetworkRegressor())
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.slow
@checks_of(*(NetworkRegressor(family=family) for family in REAL[1:]))
def test_check_estimator_of_each_family(estimator, check):
    check(estimator)
