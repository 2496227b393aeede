"""A network that predicts numbers, under scikit-learn's protocol."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.validation import _check_sample_weight

from jaxdl.checks import one_of
from jaxdl.interop.sklearn import rows
from jaxdl.interop.sklearn.estimator import Network
from jaxdl.interop.sklearn.networks import REAL


class NetworkRegressor(RegressorMixin, Network):
    """A network of the mean response by maximum likelihood, as ``MLPRegressor``.

    Objective, other parameters and attributes as of ``NetworkClassifier``. Responses are learned in
    units of their standard deviation around their mean (counts: of their mean), ``scale_``, and
    predicted in their own; the families' own scales are 1 in that unit.

    Args:
      family: "normal" (least squares), "heteroskedastic" (its deviation depends on x too),
        "poisson" (counts, or rates from 0 on), "laplace" (least absolute deviations) or "student_t".
      df: degrees of freedom of "student_t".

    >>> x = np.linspace(-1, 1, 16)[:, None]
    >>> line = NetworkRegressor((), learning_rate_init=0.1, alpha=0, random_state=0)
    >>> line.fit(x, 1000 + 3 * x[:, 0]).predict([[0.5]]).round(2).tolist()
    [1001.5]
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Callable = "relu",
        *,
        family: str = "normal",
        df: float = 4.0,
        dropout: float = 0.0,
        norm: str | None = None,
        skip: bool = False,
        network: Callable | None = None,
        solver: str | Callable = "adam",
        alpha: float = 0.0001,
        batch_size: int | str | None = "auto",
        learning_rate_init: float = 0.001,
        momentum: float = 0.9,
        max_iter: int = 200,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 0.0001,
        warm_start: bool = False,
        random_state: Any = None,
    ):
        super().__init__(
            hidden_layer_sizes,
            activation,
            dropout=dropout,
            norm=norm,
            skip=skip,
            network=network,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            momentum=momentum,
            max_iter=max_iter,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            random_state=random_state,
        )
        self.family = family
        self.df = df

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # It can, but scikit-learn's check of several responses has negative ones for any family.
        tags.target_tags.multi_output = self.family != "poisson"
        tags.target_tags.positive_only = self.family == "poisson"
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NetworkRegressor":
        """Learn from X [N, D] and responses y, [N] or [N, K].

        Raises a ValueError for what scikit-learn's regressors refuse, and negative counts.
        """
        return self._learn(X, y, sample_weight, go_on=self.warm_start and hasattr(self, "state_"))

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NetworkRegressor":
        """Go on for one epoch over these rows; the first call decides about ``scale_``."""
        if self.early_stopping:
            raise ValueError("partial_fit has no rows to stop by: early_stopping must be False")
        return self._learn(X, y, sample_weight, go_on=hasattr(self, "state_"), once=True)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The mean response, [N] or [N, K] as y was; with ``return_std`` its deviation too.

        Of the Student-t family it is the location. Raises a ValueError where the family has no
        deviation that is learned.
        """
        mean, deviation = self._predictor(X)
        shape = (-1,) if self.single_ else mean.shape
        mean = (self.scale_.shift + self.scale_.scale * mean).reshape(shape)
        if not return_std:
            return mean
        if deviation is None:
            raise ValueError("return_std is for family='heteroskedastic', which learns it")
        return mean, (self.scale_.scale * deviation).reshape(shape)

    def _learn(self, X, y, sample_weight, *, go_on, once=False):
        one_of("family", self.family, REAL)
        X, y = self._checked(X, y=y, multi_output=True, y_numeric=True, reset=not go_on)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        columns = y.reshape(len(y), -1).astype(np.float64)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        known = rows.that_count(X, columns, weight)
        if go_on and (self.design_.response, self.design_.sizes[-1]) != (
            self.family,
            columns.shape[1],
        ):
            raise ValueError(
                f"the weights are of {self.design_.sizes[-1]} responses of family "
                f"{self.design_.response!r}, not {columns.shape[1]} of {self.family!r}"
            )
        self.single_ = y.ndim == 1
        self._train(known, self.family, columns.shape[1], go_on=go_on, once=once)
        return self
