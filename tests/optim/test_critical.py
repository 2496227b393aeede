"""Critical points whose kind is known by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.optim import classify_critical_point
from jaxdl.optim.critical import KINDS

CASES = {
    "minimum": lambda z: z[0] ** 2 + z[1] ** 2,
    "maximum": lambda z: -jnp.cosh(z[0]) - 3 * z[1] ** 2,
    "saddle": lambda z: z[0] ** 2 - z[1] ** 2,
    "degenerate": lambda z: z[0] ** 2 + z[1] ** 4,
    "not critical": lambda z: z[0] + z[1] ** 2,
}


@pytest.mark.parametrize("kind", CASES)
def test_kind(kind):
    point = classify_critical_point(CASES[kind], jnp.zeros(2))
    assert point.name == kind


def test_flat_functions_and_tiny_scales():
    assert classify_critical_point(lambda z: jnp.sum(z) * 0.0, jnp.ones(3)).name == "degenerate"
    tiny = lambda z: 1e-8 * jnp.sum((z - 1) ** 2)
    assert classify_critical_point(tiny, jnp.ones(2)).name == "minimum"
    both = lambda z: z[0] ** 2 - z[1] ** 2 + 0 * z[2]
    assert classify_critical_point(both, jnp.zeros(3)).name == "saddle"


def test_eigenvalues_and_gradient_norm(x64):
    a = np.array([[2.0, 1.0], [1.0, -3.0]])
    point = classify_critical_point(lambda z: z @ a @ z / 2, jnp.array([3.0, 4.0]))
    np.testing.assert_allclose(point.eigenvalues, np.linalg.eigvalsh(a), rtol=1e-12)
    np.testing.assert_allclose(point.grad_norm, np.linalg.norm(a @ [3, 4]), rtol=1e-12)


def test_pytrees_jit_and_vmap():
    # sin has its maximum at pi/2 and its minimum at -pi/2
    fn = lambda p: jnp.sin(p["z"])
    classify = jax.jit(jax.vmap(lambda z: classify_critical_point(fn, {"z": z})))
    kinds = classify(jnp.array([jnp.pi / 2, -jnp.pi / 2, 0.0])).kind
    assert [KINDS[k] for k in kinds] == ["maximum", "minimum", "not critical"]


def test_tolerance_decides_what_counts_as_zero():
    fn = lambda z: z[0] ** 2 + 1e-2 * z[1] ** 2
    kinds = jax.vmap(lambda tol: classify_critical_point(fn, jnp.zeros(2), tol).kind)
    names = [KINDS[k] for k in kinds(jnp.array([1e-3, 0.1]))]
    assert names == ["minimum", "degenerate"]
