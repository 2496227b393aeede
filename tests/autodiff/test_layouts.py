"""The notes' layout of a gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.autodiff import row_gradient


@pytest.mark.equation("L356")
def test_it_is_the_gradient_as_a_row_and_the_jacobian_of_a_scalar(x64):
    fn = lambda x: jnp.sin(x[0]) * x[1] ** 2 + x[2]
    x = jnp.array([0.3, -2.0, 5.0])
    by_hand = [[4 * np.cos(0.3), -4 * np.sin(0.3), 1]]
    np.testing.assert_allclose(row_gradient(fn)(x), by_hand, rtol=1e-14)
    np.testing.assert_allclose(row_gradient(fn)(x), jax.grad(fn)(x).reshape(1, 3), rtol=1e-14)
    stacked = jax.jacobian(lambda x: fn(x)[None])(x)
    np.testing.assert_allclose(jax.jit(row_gradient(fn))(x), stacked, rtol=1e-14)
    many = jax.vmap(row_gradient(fn))(jnp.stack([x, x + 1]))
    further = [[np.cos(1.3), -2 * np.sin(1.3), 1]]
    np.testing.assert_allclose(many, [by_hand, further], rtol=1e-14)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\[D\] -> \[\]"):
        row_gradient(jnp.sum)(jnp.ones((2, 2)))
    with pytest.raises(ValueError, match=r"\[D\] -> \[\]"):
        row_gradient(jnp.sin)(jnp.ones(2))
