"""What every Family keeps to; a new family is a new row of the table."""

import inspect
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from jaxdl import families
from jaxdl.base import Family
from jaxdl.families import compound


class Row(NamedTuple):
    family: Family
    eta: tuple  # one linear predictor, [] or [K]
    support: str  # real, positive, labels, counts or classes
    outputs: int = 0  # K of eta [..., K], 0 for eta [...]


FAMILIES = {
    "normal": Row(families.normal(1.5), 0.7, "real"),
    "heteroskedastic_normal": Row(families.heteroskedastic_normal(), (0.7, -0.3), "real", 2),
    "heteroskedastic_normal_tied": Row(families.heteroskedastic_normal(tied=True), 0.3, "real"),
    "log_normal": Row(families.log_normal(), (0.2, -0.9), "positive", 2),
    "laplace": Row(families.laplace(0.8), 0.7, "real"),
    "student_t": Row(families.student_t(5.0, 0.8), 0.7, "real"),
    "bernoulli": Row(families.bernoulli(), 0.7, "labels"),
    "bernoulli_probit": Row(families.bernoulli("probit"), 0.7, "labels"),
    "bernoulli_cloglog": Row(families.bernoulli("cloglog"), 0.2, "labels"),
    "categorical": Row(families.categorical(3), (0.7, -1.0, 0.1), "classes", 3),
    "poisson": Row(families.poisson(), 0.7, "counts"),
    "poisson_softplus": Row(families.poisson("softplus"), 0.7, "counts"),
    "mixture": Row(
        families.mixture(families.heteroskedastic_normal(), 2, (2,)),
        (0.3, 0.7, -0.3, -0.5, -1.2, 0.4), "real", 6,
    ),
    "mixture_poisson": Row(
        families.mixture(families.poisson(), 2), (0.3, 0.7, -0.5, 1.2), "counts", 4
    ),
    "marginalize": Row(
        compound.marginalize(families.normal, jnp.array([0.5, 2.0])), 0.7, "real"
    ),
}  # fmt: skip
rows = pytest.mark.parametrize("row", FAMILIES.values(), ids=FAMILIES)
NUMBERS = {"real": (-np.inf, np.inf), "positive": (0, np.inf)}
SUPPORT = {"labels": np.arange(2), "counts": np.arange(60), "classes": np.arange(3)}


def responses(row, n=6):
    """y [n] of the family's kind."""
    return {
        "real": np.linspace(-2, 2, n).astype(np.float32),
        "positive": np.geomspace(0.1, 9, n).astype(np.float32),
        "labels": np.arange(n) % 2,
        "counts": np.arange(n),
        "classes": np.arange(n) % 3,
    }[row.support]


def predictors(row, n=6, dtype=jnp.float32):
    base = jnp.asarray(row.eta, dtype)
    steps = jnp.linspace(-1, 1, n).astype(dtype)
    return steps.reshape(-1, *[1] * base.ndim) + base


def test_every_public_family_has_a_row():
    """But for `independent`, which is the product of any of them over outputs."""
    makers = {
        name for name, value in vars(families).items()
        if inspect.isfunction(value) and not name.startswith("_")
        and inspect.signature(value, eval_str=True).return_annotation is Family
    }  # fmt: skip
    missing = {name for name in makers if not any(row.startswith(name) for row in FAMILIES)}
    assert len(makers) > 7 and missing == {"independent"}


@rows
def test_numbers_of_arguments(row):
    for function, count in {"log_prob": 2, "mean": 1, "sample": 2, "scores": 2}.items():
        arguments = inspect.signature(getattr(row.family, function)).parameters.values()
        assert len([a for a in arguments if a.default is inspect.Parameter.empty]) == count


@rows
def test_densities_sum_to_one(x64, row):
    eta = jnp.asarray(row.eta, float)
    density = jax.jit(lambda y: jnp.exp(row.family.log_prob(eta, y)))
    if row.support in NUMBERS:
        bounds = NUMBERS[row.support]
        total, _ = scipy.integrate.quad(lambda y: float(density(y)), *bounds, limit=200)
    else:
        total = jax.vmap(density)(SUPPORT[row.support]).sum()
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

    def everything(eta, y):
        entropy = {} if row.family.entropy is None else {"entropy": row.family.entropy(eta)}
        values = {"log_prob": row.family.log_prob(eta, y), **row.family.scores(eta, y), **entropy}
        return values, row.family.mean(eta)

    values, mean = jax.jit(everything)(eta, y)
    assert mean.shape == ((6, row.outputs) if row.support == "classes" else (6,))
    score = "accuracy" if row.support in ("labels", "classes") else "squared_error"
    assert set(values) - {"log_prob", "entropy"} == {score}
    for name, value in values.items():
        assert value.shape == y.shape and np.isfinite(value).all(), name
    each = jax.jit(jax.vmap(everything))(eta, y)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), each, (values, mean)
    )
    gradient = jax.jit(jax.grad(lambda e: row.family.log_prob(e, y).sum()))(eta)
    assert gradient.shape == eta.shape and np.abs(gradient).max() > 1e-3
    keys = jax.random.split(jax.random.key(1), 6)
    drawn = jax.jit(jax.vmap(row.family.sample))(keys, eta)
    assert drawn.shape == y.shape and np.isfinite(drawn).all()
    if row.support not in NUMBERS:
        assert jnp.issubdtype(drawn.dtype, jnp.integer) and drawn.min() >= 0


@rows
def test_score_has_mean_zero_under_the_model(x64, row):
    """E_y[d log p(y; eta) / d eta] = 0: the derivative belongs to the density."""
    eta = jnp.asarray(row.eta, float)
    score = jax.jit(jax.grad(row.family.log_prob))
    weighted = lambda y: np.exp(row.family.log_prob(eta, jnp.asarray(y))) * score(eta, y)
    if row.support in NUMBERS:
        grid = np.linspace(-60, 60, 24_000) + float(eta if eta.ndim == 0 else eta[0])  # no kink hit
        grid = grid if row.support == "real" else np.geomspace(1e-4, 1e3, 24_000)
        wide = jnp.broadcast_to(eta, (len(grid), *eta.shape))
        values = jax.vmap(score)(wide, grid)
        density = jnp.exp(row.family.log_prob(wide, grid)).reshape(-1, *[1] * eta.ndim)
        total = np.trapezoid(values * density, grid, axis=0)
    else:
        total = sum(weighted(y) for y in SUPPORT[row.support])
    np.testing.assert_allclose(total, 0, atol=2e-5)


@rows
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_finite_far_out(x64, row, dtype):
    y = jnp.asarray(responses(row))
    signs = jnp.array([[-1e4], [1e4]], dtype) * jnp.ones(max(row.outputs, 1), dtype)
    etas = signs if row.outputs else signs[:, 0]

    @jax.jit
    def everything(eta):
        both = jax.vmap(jax.value_and_grad(row.family.log_prob), (None, 0))(eta, y)
        entropy = [] if row.family.entropy is None else [row.family.entropy(eta)]
        return both, row.family.mean(eta), entropy

    for eta in etas:
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(everything(eta)))


@rows
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_dtype_follows_eta(x64, row, dtype):
    eta, y = predictors(row, dtype=dtype), jnp.asarray(responses(row))
    y = y.astype(dtype) if row.support in NUMBERS else y
    like = jax.eval_shape(row.family.log_prob, eta, y), jax.eval_shape(row.family.mean, eta)
    assert {leaf.dtype for leaf in jax.tree.leaves(like)} == {jnp.dtype(dtype)}
    drawn = jax.eval_shape(row.family.sample, jax.random.key(0), eta)
    assert drawn.shape == y.shape and (row.support not in NUMBERS or drawn.dtype == dtype)


@rows
def test_a_response_of_another_shape_is_refused(row):
    eta, y = predictors(row), responses(row)
    message = "one-hot rows" if row.support == "classes" else "eta and y must have one shape"
    for function in (row.family.log_prob, row.family.scores):
        with pytest.raises(ValueError, match=message):
            function(eta, y[:, None])
