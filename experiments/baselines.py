"""What scikit-learn makes of the same split: the models a study has to beat."""

import warnings
from collections.abc import Callable

import numpy as np


def train(
    task: str, x: np.ndarray, y: np.ndarray, *, num_classes: int = 0, missing: bool, seed: int
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Baselines by name, each a function from features [N, D] to probabilities [N, K] or means [N].

    Features are standardised, missing ones filled with means. ``classify``: logistic regression
    and scikit-learn's own perceptron with one hidden layer; ``regress``: ridge regression with its
    penalty chosen by cross-validation; ``count``: Poisson regression.
    """
    from scipy.optimize import OptimizeWarning
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, PoissonRegressor, RidgeCV
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    models = {
        "classify": {
            "LogisticRegression": LogisticRegression(max_iter=1000),
            "MLPClassifier": MLPClassifier(random_state=seed),
        },
        "regress": {"RidgeCV": RidgeCV(np.logspace(-3, 3, 13))},
        "count": {"PoissonRegressor": PoissonRegressor(max_iter=1000)},
    }[task]
    fill = [SimpleImputer(keep_empty_features=True)] if missing else []
    fitted = {}
    for name, model in models.items():
        pipeline = make_pipeline(*fill, StandardScaler(), model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            # Older scikit-learn passes an option that newer SciPy no longer knows.
            warnings.filterwarnings("ignore", "Unknown solver options", OptimizeWarning)
            pipeline.fit(x.astype(np.float64), y)
        fitted[name] = _predictor(pipeline, num_classes)
    return fitted


def _predictor(pipeline, num_classes: int):
    def probabilities(x):
        out = np.zeros((len(x), num_classes))  # a class without training examples gets none
        out[:, pipeline.classes_] = pipeline.predict_proba(x.astype(np.float64))
        return out

    return probabilities if num_classes else lambda x: pipeline.predict(x.astype(np.float64))
