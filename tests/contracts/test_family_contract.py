"""What every Family keeps to; a new family is a new row of the table."""

import inspect
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from jaxdl import compound, families
from jaxdl.base import Family


class Row(NamedTuple):
    family: Family
    eta: tuple  # one linear predictor, [] or [K]
    support: str  # real, labels, counts or classes
    outputs: int = 0  # K of eta [..., K], 0 for eta [...]


FAMILIES = {
    "normal": Row(families.normal(1.5), 0.7, "real"),
    "heteroskedastic": Row(families.heteroskedastic_normal(), (0.7, -0.3), "real", 2),
    "tied": Row(families.heteroskedastic_normal(tied=True), 0.3, "real"),
    "laplace": Row(families.laplace(0.8), 0.7, "real"),
    "student_t": Row(families.student_t(5.0, 0.8), 0.7, "real"),
    "bernoulli": Row(families.bernoulli(), 0.7, "labels"),
    "probit": Row(families.bernoulli("probit"), 0.7, "labels"),
    "cloglog": Row(families.bernoulli("cloglog"), 0.2, "labels"),
    "categorical": Row(families.categorical(3), (0.7, -1.0, 0.1), "classes", 3),
    "poisson": Row(families.poisson(), 0.7, "counts"),
    "poisson_softplus": Row(families.poisson("softplus"), 0.7, "counts"),
    "marginal": Row(
        compound.marginalize(families.normal, jnp.array([0.5, 2.0])), 0.7, "real"
    ),
}  # fmt: skip
rows = pytest.mark.parametrize("row", FAMILIES.values(), ids=FAMILIES)
SUPPORT = {"labels": np.arange(2), "counts": np.arange(60), "classes": np.arange(3)}


def responses(row, n=6):
    """y [n] of the family's kind."""
    return {
        "real": np.linspace(-2, 2, n).astype(np.float32),
        "labels": np.arange(n) % 2,
        "counts": np.arange(n),
        "classes": np.arange(n) % 3,
    }[row.support]


def predictors(row, n=6, dtype=jnp.float32):
    base = jnp.asarray(row.eta, dtype)
    steps = jnp.linspace(-1, 1, n).astype(dtype)
    return steps.reshape(-1, *[1] * base.ndim) + base


@rows
def test_numbers_of_arguments(row):
    for function, count in {"log_prob": 2, "mean": 1, "sample": 2, "scores": 2}.items():
        arguments = inspect.signature(getattr(row.family, function)).parameters.values()
        assert len([a for a in arguments if a.default is inspect.Parameter.empty]) == count


@rows
def test_densities_sum_to_one(x64, row):
    eta = jnp.asarray(row.eta, float)
    density = lambda y: float(jnp.exp(row.family.log_prob(eta, jnp.asarray(y))))
    if row.support == "real":
        total, _ = scipy.integrate.quad(density, -np.inf, np.inf, limit=200)
    else:
        total = sum(density(y) for y in SUPPORT[row.support])
    np.testing.assert_allclose(total, 1, atol=1e-7)


@rows
def test_samples_have_the_mean(row, key):
    eta = jnp.asarray(row.eta, jnp.float32)
    many = jnp.broadcast_to(eta, (20_000, *eta.shape))
    drawn = np.asarray(jax.jit(row.family.sample)(key, many))
    assert drawn.shape == (20_000,)
    mean = np.asarray(row.family.mean(eta), float)
    if row.support == "classes":
        drawn = np.eye(3)[drawn]
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert np.all(np.abs(drawn.mean(0) - mean) < 5 * error)


@rows
def test_shapes_and_transformations(row):
    eta, y = predictors(row), responses(row)
    log_p = row.family.log_prob(eta, y)
    assert log_p.shape == y.shape
    together = jax.jit(jax.vmap(row.family.log_prob))(eta, y)
    np.testing.assert_allclose(together, log_p, rtol=2e-5, atol=1e-6)
    mean = row.family.mean(eta)
    assert mean.shape == ((6, row.outputs) if row.support == "classes" else (6,))
    for name, values in row.family.scores(eta, y).items():
        assert values.shape == y.shape and np.isfinite(values).all(), name
    if row.family.entropy is not None:
        assert np.isfinite(row.family.entropy(eta)).all()
    gradient = jax.grad(lambda e: row.family.log_prob(e, y).sum())(eta)
    assert gradient.shape == eta.shape and np.abs(gradient).max() > 1e-3


@rows
def test_score_has_mean_zero_under_the_model(x64, row):
    """E_y[d log p(y; eta) / d eta] = 0: the derivative belongs to the density."""
    eta = jnp.asarray(row.eta, float)
    score = jax.jit(jax.grad(row.family.log_prob))
    weighted = lambda y: np.exp(row.family.log_prob(eta, jnp.asarray(y))) * score(eta, y)
    if row.support == "real":
        grid = np.linspace(-60, 60, 24_000) + float(eta if eta.ndim == 0 else eta[0])  # no kink hit
        wide = jnp.broadcast_to(eta, (len(grid), *eta.shape))
        values = jax.vmap(score)(wide, grid)
        density = jnp.exp(row.family.log_prob(wide, grid)).reshape(-1, *[1] * eta.ndim)
        total = np.trapezoid(values * density, grid, axis=0)
    else:
        total = sum(weighted(y) for y in SUPPORT[row.support])
    np.testing.assert_allclose(total, 0, atol=2e-5)


@rows
@pytest.mark.parametrize("sign", [-1e4, 1e4])
def test_finite_far_out(row, sign):
    eta = jnp.broadcast_to(jnp.float32(sign), jnp.shape(jnp.asarray(row.eta)))
    for y in responses(row):
        value, gradient = jax.value_and_grad(row.family.log_prob)(eta, y)
        assert np.isfinite(value) and np.isfinite(gradient).all()


@rows
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_dtype_follows_eta(x64, row, dtype):
    eta, y = predictors(row, dtype=dtype), jnp.asarray(responses(row))
    y = y.astype(dtype) if row.support == "real" else y
    assert row.family.log_prob(eta, y).dtype == dtype and row.family.mean(eta).dtype == dtype


@rows
def test_a_response_of_another_shape_is_refused(row):
    eta, y = predictors(row), responses(row)
    with pytest.raises(ValueError):
        row.family.log_prob(eta, y[:, None])
