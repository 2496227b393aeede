"""What every Transform keeps to; a new transform is a new row of the table."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import base, features

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32) * [1, 5, 0.1] + [0, 3, -1]
X = X.astype(np.float32)
Y = RNG.normal(size=12).astype(np.float32)
MASK = np.arange(12) % 3 != 1
TRANSFORMS = {
    "identity": base.identity_transform(),
    "standardize": features.standardize(),
    "robust_scale": features.robust_scale(),
    "impute_mean": features.impute_mean(),
    "scaled_polynomial": features.scaled_polynomial(2),
    "orthogonal_polynomial": features.orthogonal_polynomial(1),
    "target_encode": features.target_encode([1], [8], smooth=1.0),
    "chain": features.chain(features.impute_mean(), features.standardize()),
    "chain that sees targets": features.chain(
        features.impute_mean(), features.target_encode([1], [8], smooth=1.0)
    ),
}
rows = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)


def assert_equal(a, b, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), a, b)


def fit_of(transform):
    """``(x, mask=None) -> params``, with the same responses where the transform sees targets."""
    return lambda x, mask=None: base.fit_to(transform, (x, Y[: len(x)]), mask)


@rows
def test_names_of_the_arguments(transform):
    given = ["x", "y", "mask"] if transform.sees_targets else ["x", "mask"]
    assert list(inspect.signature(transform.fit).parameters) == given
    assert inspect.signature(transform.fit).parameters["mask"].default is None
    assert list(inspect.signature(transform.apply).parameters) == ["params", "x"]


@rows
def test_only_the_rows_that_count_are_seen(transform):
    fit = jax.jit(fit_of(transform))
    for poison in (1e6, np.inf, np.nan):
        other = np.where(MASK[:, None], X, poison).astype(np.float32)
        assert_equal(fit(X, MASK), fit(other, MASK), rtol=0)
    alone = base.fit_to(transform, (X[MASK], Y[MASK]))
    assert_equal(fit(X, MASK), alone, rtol=1e-5, atol=1e-6)
    assert_equal(fit(X), fit(X, np.ones(12, bool)), rtol=1e-6)
    seen = X.copy()
    seen[np.flatnonzero(MASK)[0]] += [3, -2, 1]
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), fit(X, MASK), fit(seen, MASK))
    fits_something = transform is not TRANSFORMS["identity"]
    assert any(jax.tree.leaves(changed)) == fits_something


@rows
def test_fits_of_several_folds_together_equal_those_alone(transform):
    masks = jnp.asarray(np.arange(12) % 3 != np.arange(3)[:, None])
    fit = lambda mask: fit_of(transform)(X, mask)
    together = jax.jit(jax.vmap(fit))(masks)
    for i, mask in enumerate(masks):
        alone = jax.jit(fit)(mask)
        assert_equal(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone, rtol=1e-5, atol=1e-6)


@rows
def test_apply_keeps_rows_apart_and_the_dtype(transform):
    params = jax.jit(fit_of(transform))(X, MASK)
    whole = transform.apply(params, X)
    assert whole.shape[0] == 12 and whole.dtype == jnp.float32
    apply = jax.jit(transform.apply)
    np.testing.assert_allclose(apply(params, X), whole, rtol=1e-5, atol=1e-6)
    for i in (0, 7):
        np.testing.assert_allclose(apply(params, X[i : i + 1])[0], whole[i], rtol=1e-5)
    slope = jax.jit(jax.grad(lambda x: transform.apply(params, x).sum()))(X)
    assert slope.shape == X.shape and np.isfinite(slope).all()


@rows
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_dtype_follows_x(x64, transform, dtype):
    x, fit = jnp.asarray(X, dtype), fit_of(transform)
    params, transformed = jax.eval_shape(
        lambda x: (fit(x, MASK), transform.apply(fit(x, MASK), x)), x
    )
    floats = [leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert {leaf.dtype for leaf in (*floats, transformed)} == {jnp.dtype(dtype)}


@rows
def test_a_constant_column_stays_finite(transform):
    x = np.concatenate([X, np.full((12, 1), 7.0, np.float32)], axis=1)
    run = jax.jit(lambda x: transform.apply(fit_of(transform)(x, MASK), x))
    assert np.isfinite(run(x)).all()


@rows
def test_masks_of_another_length_are_refused(transform):
    if transform is not TRANSFORMS["identity"]:  # which fits nothing
        with pytest.raises(ValueError, match="mask must be"):
            fit_of(transform)(X, MASK[:5])


def test_responses_that_do_not_count_may_be_anything():
    transform = TRANSFORMS["target_encode"]
    for poison in (1e6, np.inf, np.nan):
        y = np.where(MASK, Y, poison).astype(np.float32)
        assert_equal(transform.fit(X, y, MASK), transform.fit(X, Y, MASK), rtol=0)


def test_what_sees_targets_needs_them():
    with pytest.raises(ValueError, match=r"a batch to learn responses from is \(x, y\)"):
        base.fit_to(TRANSFORMS["target_encode"], X)
    assert TRANSFORMS["chain that sees targets"].sees_targets
    assert not TRANSFORMS["chain"].sees_targets


def test_every_public_transform_has_a_row():
    makers = {
        name for name, value in vars(features).items()
        if not name.startswith("_") and inspect.isfunction(value)
        and inspect.signature(value, eval_str=True).return_annotation is base.Transform
    }  # fmt: skip
    assert makers and makers <= set(TRANSFORMS)
