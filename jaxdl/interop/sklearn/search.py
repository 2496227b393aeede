"""Searches over settings, scikit-learn's own, whose networks train together as studies."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from joblib import parallel_config
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import check_random_state, indexable
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from jaxdl.interop.sklearn import problems
from jaxdl.interop.sklearn.together import PostponedError, Together

checked_cv: Any = check_cv  # its types are those of its defaults
# A mix-in: what it is mixed into is one of scikit-learn's searches.
_Search = BaseSearchCV if TYPE_CHECKING else object


class OneProgram(_Search):
    """What makes a study of one of scikit-learn's searches, ``class Mine(OneProgram, TheSearch)``.

    The search is scikit-learn's: candidates, scorers, routing, ``cv_results_`` and refit. But
    before it fits and scores, all candidates meet all splits once without being trained, what they
    would learn is noted, and trained together: one program for each static signature (widths,
    names), its floats, folds and rows traced. When scikit-learn then fits, that is looked up, so
    results are those of the search itself but for rounding (of which Adam makes whole steps where a
    gradient is nothing else, as of the offset in linear regression on centred features). Pipelines whose last step is a network
    fit their other steps twice. Candidates of another kind are left to scikit-learn.

    ``n_jobs`` plays no part: there is one process. Of networks without a ``random_state`` all have
    the same. Each fold's rows are on the device by themselves. ``studies_`` is a list of the
    Studies (``jaxdl.model_selection``) with learning curves, times and strategy; their scores are
    of the rows to stop by, and mean nothing without ``early_stopping``.
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """As the search's own ``fit``."""
        given: Any = self.cv
        self.cv: Any = checked_cv(given, y, classifier=is_classifier(self.estimator))
        self._given, self.studies_ = (*indexable(X, y), params), []
        try:
            with parallel_config(backend="sequential"):
                return super().fit(X, y, **params)
        finally:
            self.cv = given
            del self._given

    def _run_search(self, evaluate_candidates, callback_ctx=None) -> None:
        X, y, params = self._given
        fit_params, split_params = self._routed(params)

        def evaluate(candidates, cv=None, more_results=None, **context):
            candidates = list(candidates)
            splits = list((cv or self.cv).split(X, y, **split_params))
            together = Together(int(check_random_state(None).randint(2**31 - 1)))
            with _solved_by(together):
                met = self._meet(candidates, splits, X, y, fit_params)
                if not met:
                    what = type(self.estimator).__name__
                    warnings.warn(f"{what} has no network of jaxdl's to train", stacklevel=5)
                self.studies_ += together.train()
                return evaluate_candidates(
                    candidates, cv=checked_cv(splits), more_results=more_results, **context
                )

        # scikit-learn 1.9 brings a context of callbacks, older ones know of none.
        context = {} if callback_ctx is None else {"callback_ctx": callback_ctx}
        super()._run_search(evaluate, **context)

    def _meet(self, candidates, splits, X, y, fit_params) -> bool:
        """Let each candidate note what it would learn of each split; whether any did."""
        met = False
        for candidate in candidates:
            for train, _ in splits:
                estimator: Any = clone(self.estimator)
                estimator.set_params(**clone(candidate, safe=False))
                try:
                    rows, responses = _safe_split(estimator, X, y, train)
                    estimator.fit(
                        rows, responses, **_check_method_params(X, fit_params, indices=train)
                    )
                    break  # it has no network
                except PostponedError:
                    met = True
                except Exception:
                    met = True  # scikit-learn meets it again, and handles it by error_score
        return met

    def _routed(self, params: Mapping[str, Any]) -> tuple[dict, dict]:
        """Of what ``fit`` was given, what is for the estimator and what for the splitter."""
        if sklearn.get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", **params)
            return dict(routed.estimator.fit), dict(routed.splitter.split)
        rest = {k: v for k, v in params.items() if k != "groups"}
        return _check_method_params(self._given[0], rest), {"groups": params.get("groups")}


class _GridOrDraws(BaseSearchCV):
    """Both of scikit-learn's searches, by what they are given."""

    def __init__(
        self,
        estimator: Any,
        param_grid: Mapping[str, Sequence] | Sequence[Mapping] | None = None,
        *,
        param_distributions: Mapping[str, Any] | Sequence[Mapping] | None = None,
        n_iter: int = 10,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ):
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_grid = param_grid
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.random_state = random_state

    def _run_search(self, evaluate_candidates, **context) -> None:
        if (self.param_grid is None) == (self.param_distributions is None):
            raise ValueError("a search takes param_grid or param_distributions, one of the two")
        of: Any = GridSearchCV if self.param_grid is not None else RandomizedSearchCV
        of._run_search(self, evaluate_candidates, **context)


class StudySearchCV(OneProgram, _GridOrDraws):
    """``GridSearchCV``, or ``RandomizedSearchCV``, whose networks train as one program.

    The same arguments, results and methods; see ``OneProgram``. The estimator is a
    ``NetworkClassifier``, a ``NetworkRegressor`` or a pipeline that ends in one.

    Args:
      estimator, scoring, refit, cv, verbose, error_score, return_train_score: as scikit-learn's.
      param_grid: a dict of lists, or several, all of whose settings are tried.
      param_distributions: instead, a dict of lists or distributions (with ``rvs``), or several, of
        which ``n_iter`` settings are drawn by ``random_state``.
      n_jobs, pre_dispatch: taken, and play no part.

    ``fit`` raises a ValueError unless one of grid and distributions is given, and what
    scikit-learn's raises.

    >>> from jaxdl.interop.sklearn import NetworkClassifier
    >>> x = np.tile([-2.0, -1.0, 1.0, 2.0], 3)[:, None]
    >>> net = NetworkClassifier((), max_iter=20, random_state=0)
    >>> rates = {"learning_rate_init": [1e-4, 0.5]}
    >>> search = StudySearchCV(net, rates, cv=2, scoring="neg_log_loss")
    >>> search.fit(x, x[:, 0] > 0).best_params_
    {'learning_rate_init': 0.5}
    """


@contextlib.contextmanager
def _solved_by(together: Together) -> Iterator[None]:
    token = problems.current.set(together)
    try:
        yield
    finally:
        problems.current.reset(token)
