"""Logistic and softmax regression: the notes' own updates, and fits. Notes: §1.5, §1.6, §2.3."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxdl import families
from jaxdl.base import Array
from jaxdl.families import links
from jaxdl.models import glm
from jaxdl.models.linear import predict


def _check_labels(w, x, y):
    predicted = predict(w, x)
    if predicted.shape != jnp.shape(y):
        raise ValueError(f"w'x has shape {predicted.shape}, but y has {jnp.shape(y)}")
    return predicted


def logistic_gd_step(w: Array, x: Array, y: Array, step_size: float | Array) -> Array:
    """One gradient descent step of logistic regression on all of the data.

    ``w_{t+1} = w_t - alpha 1/N sum_n (s(w_t'x_n) - y_n) x_n`` with the logistic function s.

    Args:
      w: weights [D], or [] for scalar features.
      x: features [N, D], or [N].
      y: labels [N] in {0, 1}; any other shape raises ValueError.
      step_size: alpha.

    Notes: Eqs. (14), (16), L381, in the shape of w (D-21).
    """
    residual = links.logistic(_check_labels(w, x, y)) - y
    return w - step_size * jnp.mean(residual * jnp.asarray(x).T, axis=-1)


def logistic_sgd_step(w: Array, x: Array, y: Array, step_size: float | Array = 1.0) -> Array:
    """One step of logistic regression on one example, x [D] (or []) and y [] in {0, 1}.

    ``w_{t+1} = w_t + alpha (y - s(w_t'x)) x``. With a hard 0/1 prediction in place of s and
    alpha = 1 this is the perceptron's rule. Notes: L309, §1.7.
    """
    return w + step_size * (y - links.logistic(_check_labels(w, x, y))) * x


def fit_logistic(
    x: Array,
    y: Array,
    *,
    method: str = "newton",
    penalty: float | Array = 0.0,
    intercept: bool = True,
    mask: Array | None = None,
    step_size: float | Array | Callable | None = None,
    max_steps: int | None = None,
    tolerance: float | Array | None = None,
) -> glm.GLMFit:
    """Logistic regression of labels y [N] in {0, 1} on x [N, D]; all else as in ``glm.fit``.

    Separable labels have no finite solution: ``separable`` says so, and a penalty gives one.
    Notes: Eqs. (13), (14), §1.5, §1.6.
    """
    return glm.fit(
        x,
        y,
        families.bernoulli(),
        method=method,
        penalty=penalty,
        intercept=intercept,
        mask=mask,
        step_size=step_size,
        max_steps=max_steps,
        tolerance=tolerance,
    )


def fit_softmax(
    x: Array,
    y: Array,
    num_classes: int,
    *,
    method: str = "newton",
    penalty: float | Array = 0.0,
    intercept: bool = True,
    mask: Array | None = None,
    step_size: float | Array | Callable | None = None,
    max_steps: int | None = None,
    tolerance: float | Array | None = None,
) -> glm.GLMFit:
    """Softmax regression of classes y [N] in 0..K-1 (or one-hot [N, K]) on x [N, D].

    K = ``num_classes`` columns of weights, one more than are needed: adding the same vector to
    each changes nothing, the gradient's columns sum to 0, and from w = 0 the columns do too (D-23).
    All else as in ``glm.fit``. Notes: Eqs. (18), (19), L424, L478.
    """
    return glm.fit(
        x,
        y,
        families.categorical(num_classes),
        method=method,
        penalty=penalty,
        intercept=intercept,
        num_outputs=num_classes,
        mask=mask,
        step_size=step_size,
        max_steps=max_steps,
        tolerance=tolerance,
    )
