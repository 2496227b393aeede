"""What the classifier and the regressor share: parameters, checks, training and predictions."""

import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxdl import programs
from jaxdl.checks import is_whole, one_of, positive_int
from jaxdl.interop.sklearn import networks, problems, rows
from jaxdl.interop.sklearn.networks import Design
from jaxdl.interop.sklearn.rows import Rows

BLOCK = 256  # rows that are predicted at once


class Network(BaseEstimator):
    """A feed-forward network under scikit-learn's protocol; see its two kinds."""

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
        warm_start: bool = False,
        random_state: Any = None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.norm = norm
        self.skip = skip
        self.network = network
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # -- checks

    def _checked(self, X: Any, **how: Any) -> Any:
        """X, or (X, y) with ``y=``, as scikit-learn checks them: dense, of JAX's float type."""
        dtype = jax.dtypes.canonicalize_dtype(np.float64)
        checked = validate_data(self, X, accept_sparse="csr", dtype=dtype, **how)
        return (dense(checked[0]), checked[1]) if isinstance(checked, tuple) else checked

    def _settings(self) -> tuple[tuple[str, float], ...]:
        """The floats that may change without another program."""
        learned = ["learning_rate_init", "alpha"]
        learned += ["momentum"] if self.solver == "sgd" else []
        learned += ["dropout"] if self._number("dropout") > 0 else []
        learned += ["n_iter_no_change", "tol"] if self.early_stopping else []
        learned += ["df"] if getattr(self, "family", "") == "student_t" else []
        return tuple((name, self._number(name)) for name in learned)

    def _number(self, name: str) -> float:
        value = getattr(self, name)
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not number or not 0 <= float(value) < np.inf:
            raise ValueError(f"{name} must be a number from 0 on, not {value!r}")
        return float(value)

    def _design(self, response: str, num_features: int, outputs: int, n: int) -> Design:
        """What is static of training on n rows."""
        given: Any = self.hidden_layer_sizes
        hidden = (given,) if is_whole(given) else tuple(given)
        for width in hidden:
            positive_int("each of hidden_layer_sizes", width)
        size = n if self.batch_size is None else self.batch_size
        size = 200 if isinstance(size, str) and size == "auto" else positive_int("batch_size", size)
        if not callable(self.solver):
            one_of("solver", self.solver, networks.SOLVERS)
        return Design(
            response=response,
            sizes=(num_features, *map(int, hidden), outputs),
            activation=self.activation,
            norm=self.norm,
            skip=bool(self.skip),
            dropout=self._number("dropout") > 0,
            network=self.network,
            solver=self.solver,
            epochs=positive_int("max_iter", self.max_iter),
            batch_size=size if size < n else None,
            early_stopping=bool(self.early_stopping),
        )

    # -- training

    def _train(
        self, known: Rows, response: str, outputs: int, *, go_on: bool, once: bool = False
    ) -> None:
        """Learn from rows whose y are codes [n], or numbers [n, K], by the first scale of those."""
        draws = check_random_state(problems.random_state(self.random_state))
        seed, split = (int(draws.randint(2**31 - 1)) for _ in range(2))
        held = None
        if self.early_stopping:
            known, held = _held_out(known, self.validation_fraction, split, response == "labels")
        design = self._design(response, known.x.shape[1], outputs, len(known.y))
        if once:
            design = design._replace(epochs=1)
        if go_on and design.sizes != self.design_.sizes:
            raise ValueError(f"the weights are of widths {self.design_.sizes}, not {design.sizes}")
        if design.batch_size is None:
            known = rows.merged(known)
        is_number = response not in ("labels", "multilabel")
        if is_number and not go_on:
            self.scale_ = rows.scale_of(response, known)
        scale = self.scale_ if is_number else None
        outcome = problems.solve(
            problems.Problem(
                design,
                self._settings(),
                seed,
                rows.as_batch(known, scale),
                None if held is None else rows.as_batch(held, scale),
                self.state_ if go_on else None,
            )
        )
        if outcome.diverged >= 0:
            warnings.warn(
                f"the training loss or the weights were not finite in epoch {outcome.diverged + 1}:"
                " the weights are those before it; a smaller learning_rate_init, or scaled"
                " features, may help",
                ConvergenceWarning,
                stacklevel=3,
            )
        before = self.loss_curve_ if go_on else []
        trained = outcome.loss[np.isfinite(outcome.loss)].tolist()
        self.design_, self.state_ = design, outcome.state
        self.loss_curve_ = [*before, *trained]
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else np.nan
        self.n_iter_ = max(1, outcome.epochs) + (self.n_iter_ if once and go_on else 0)
        self.best_epoch_ = outcome.best_epoch if self.early_stopping else None
        curve = None if outcome.validation is None else outcome.validation[: outcome.epochs]
        self.validation_curve_ = None if curve is None else curve.tolist()

    # -- predictions

    def _predictor(self, X: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """``networks.predictor`` of the rows of X in float64.

        Blocks are of one size, so that what a row gives does not depend on those beside it.
        """
        check_is_fitted(self, "state_")
        x = self._checked(X, reset=False)
        call = programs.compiled(networks.predictor)
        design = self.design_._replace(epochs=1, batch_size=None, early_stopping=False)
        parts = []
        for start in range(0, x.shape[0], BLOCK):
            part = dense(x[start : start + BLOCK])
            padded = np.pad(part, ((0, BLOCK - len(part)), (0, 0)))
            given = call(design, self.state_.params, self.state_.state, padded)
            parts.append(given)
        join = lambda *leaves: np.concatenate(leaves)[: x.shape[0]].astype(np.float64)
        return jax.tree.map(join, *parts)


def dense(x: Any) -> np.ndarray:
    """An array of a sparse or dense matrix."""
    return x.toarray() if sparse.issparse(x) else x


def _held_out(known: Rows, share: float, seed: int, stratify: bool) -> tuple[Rows, Rows]:
    """The rows to train on, and a share of them to stop by, stratified by labels."""
    index = np.arange(len(known.y))
    train, held = train_test_split(
        index, test_size=share, random_state=seed, stratify=known.y if stratify else None
    )
    pick = lambda which: Rows(*(part[which] for part in known))
    return pick(train), pick(held)
