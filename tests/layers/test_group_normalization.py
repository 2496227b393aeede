"""Group normalisation against torch and layer normalisation."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers

RNG = np.random.default_rng(0)
X = RNG.normal(2, 3, size=(3, 4, 5, 6)).astype(np.float32)
PARAMS = {"scale": jnp.asarray(RNG.normal(size=6)), "bias": jnp.asarray(RNG.normal(size=6))}


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_as_in_torch(groups):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.functional.group_norm(
        torch.tensor(X).permute(0, 3, 1, 2), groups, *(torch.tensor(np.array(PARAMS[n])) for n in ("scale", "bias")),
    )  # fmt: skip
    ours = layers.group_norm(PARAMS, jnp.asarray(X), groups=groups)
    np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1), atol=1e-5)


def test_one_group_without_places_is_layer_normalisation():
    ours = layers.group_norm(PARAMS, X, groups=1, spatial=0, epsilon=1e-6)
    np.testing.assert_allclose(ours, layers.layer_norm(PARAMS, X), atol=1e-5)


def test_far_from_zero_and_in_half_precision():
    """E[x^2] - E[x]^2 would have no digit left."""
    near = layers.group_norm(PARAMS, jnp.asarray(X[:1]), groups=3)
    far = layers.group_norm(PARAMS, jnp.asarray(X[:1]) + 4096, groups=3)
    np.testing.assert_allclose(far, near, atol=5e-4)
    half = {k: v.astype(jnp.bfloat16) for k, v in PARAMS.items()}
    y = layers.group_norm(half, jnp.asarray(X[:1], jnp.bfloat16), groups=3)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(float), near, atol=0.1)


def test_what_does_not_fit():
    norm = lambda x, **how: layers.group_norm(PARAMS, x, **how)
    with pytest.raises(ValueError, match="4 groups do not divide 6 features"):
        norm(X, groups=4)
    with pytest.raises(ValueError, match="6 features with 2 axes of places got"):
        norm(X[..., :5], groups=1)
    with pytest.raises(ValueError, match="a group of one number"):
        norm(X[:, :1, :1], groups=6)


@pytest.mark.parametrize("unit", [1e-4, 1e20, 1e35])
def test_group_norm_in_any_unit_in_float32(unit):
    """Of one group it is torch's of float64."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    params = {"scale": jnp.ones(4), "bias": jnp.zeros(4)}
    y = layers.group_norm(params, jnp.float32(x * unit), groups=2, spatial=1, epsilon=1e-5)
    exact = torch.nn.functional.group_norm(torch.tensor(x * unit).swapaxes(1, 2), 2, eps=1e-5)
    np.testing.assert_allclose(y, exact.swapaxes(1, 2), rtol=2e-5, atol=1e-6)
