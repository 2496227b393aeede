"""A network that classifies, under scikit-learn's protocol."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight

from jaxdl.interop.sklearn import rows
from jaxdl.interop.sklearn.estimator import Network, dense
from jaxdl.interop.sklearn.rows import Rows


class NetworkClassifier(ClassifierMixin, Network):
    """A network of class probabilities by maximum likelihood, as ``MLPClassifier``.

    ``-1/W sum_n w_n log p(y_n; f(x_n)) + alpha/(2 W) |weights|^2``, W the sum of the sample
    weights times those of classes; a batch has its own sum. Of labels p is categorical, of an
    indicator matrix y [N, K] a Bernoulli each. Parameters that ``MLPClassifier`` has too mean the
    same, except that training ends early only by ``early_stopping``, whose score is the
    negative log-likelihood and whose best weights are kept.

    Args:
      hidden_layer_sizes: widths of the hidden layers; () is softmax regression.
      activation, norm, skip, dropout: see ``models.mlp``.
      network: ``(num_features, num_outputs) -> Model`` instead of these.
      solver: "adam", "sgd" (Nesterov's momentum), or ``(learning_rate) -> optax's optimizer``.
      alpha, learning_rate_init, momentum, dropout, tol, n_iter_no_change: floats may change without
        anything being compiled.
      batch_size: rows a step, "auto" for 200, None for all. Where all rows are one batch, a whole
        sample weight is exactly as many rows.
      max_iter: epochs.
      early_stopping: stop by ``validation_fraction`` of the rows, stratified.
      class_weight: ``{label: weight}``, "balanced" or None; not of an indicator matrix.
      warm_start: ``fit`` goes on from the last weights.
      random_state: of initial weights, order of rows, dropout and the rows to stop by.

    Attributes: ``classes_``, ``n_iter_``, ``loss_curve_``, ``validation_curve_``, ``best_epoch_``,
    ``state_`` (a TrainState in NumPy), ``design_``, and scikit-learn's own. All can be pickled.
    Sparse X is taken, and made dense: for training at once, for predictions in blocks.

    >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> net = NetworkClassifier((), learning_rate_init=0.1, random_state=0)
    >>> net.fit(x, ["low", "low", "high", "high"]).predict([[-3.0], [3.0]]).tolist()
    ['low', 'high']
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Callable = "relu",
        *,
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
        class_weight: Mapping[Any, float] | str | None = None,
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
        self.class_weight = class_weight

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NetworkClassifier":
        """Learn from X [N, D] and labels y [N] of any kind, or an indicator matrix y [N, K].

        Raises a ValueError for what scikit-learn's classifiers refuse.
        """
        return self._learn(X, y, sample_weight, go_on=self.warm_start and hasattr(self, "state_"))

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> "NetworkClassifier":
        """Go on for one epoch over these rows; the first call is told all the classes."""
        if self.early_stopping:
            raise ValueError("partial_fit has no rows to stop by: early_stopping must be False")
        if self.class_weight == "balanced":
            raise ValueError("partial_fit does not know how many of each class there will be")
        go_on = hasattr(self, "state_")
        if not go_on and classes is None:
            raise ValueError("classes must be given to the first call of partial_fit")
        classes = None if classes is None else unique_labels(classes)
        if go_on and classes is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(f"the classes were {self.classes_}, and are now {classes}")
        return self._learn(
            X, y, sample_weight, go_on=go_on, classes=self.classes_ if go_on else classes, once=True
        )

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label [N] of each row, or an indicator matrix [N, K]."""
        eta, _ = self._predictor(X)
        if self.design_.response == "multilabel":
            return (eta > 0).astype(int)
        return self.classes_[eta.argmax(1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities [N, K] of the classes, or of each label of an indicator matrix."""
        eta, _ = self._predictor(X)
        if self.design_.response == "multilabel":
            return expit(eta)
        return softmax(eta, axis=1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of ``predict_proba``."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits [N, K]; of two classes, the second's less the first's, [N]."""
        eta, _ = self._predictor(X)
        if self.design_.response == "multilabel" or eta.shape[1] > 2:
            return eta
        return eta[:, -1] - eta[:, 0]

    def _learn(self, X, y, sample_weight, *, go_on, classes=None, once=False):
        X, y = self._checked(X, y=y, multi_output=True, reset=not go_on)
        check_classification_targets(y)
        y = dense(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ValueError(
                "several columns of labels are learned one by one: use scikit-learn's "
                "MultiOutputClassifier around this one"
            )
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        known = rows.that_count(X, y, weight)
        multilabel = kind == "multilabel-indicator"
        if classes is None:
            classes = np.arange(y.shape[1]) if multilabel else np.unique(known.y)
        if go_on and not np.array_equal(classes, self.classes_):
            raise ValueError(f"the classes were {self.classes_}, and are now {classes}")
        if multilabel:
            if self.class_weight is not None:
                raise ValueError("class_weight is for one label a row, not an indicator matrix")
        else:
            unknown = np.setdiff1d(known.y, classes)
            if len(unknown):
                raise ValueError(f"y has the labels {unknown}, which are none of {classes}")
            known = Rows(known.x, np.searchsorted(classes, known.y), known.weight)
            known = rows.weight_classes(known, classes, self.class_weight)
        self.classes_ = classes
        response = "multilabel" if multilabel else "labels"
        self._train(known, response, len(classes), go_on=go_on, once=once)
        return self
