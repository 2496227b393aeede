"""Mixed precision: what is stored, computed and answered in which dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import three_classes

from jaxdl import families, models
from jaxdl.model_selection import cross_validate
from jaxdl.training import (
    Precision,
    fit,
    gradient_learner,
    mixed_precision,
    negative_log_likelihood,
)

X, Y = three_classes(40)


def network(precision=Precision()):  # noqa: B008
    return mixed_precision(models.mlp((4, 8, 3), norm="batch"), precision)


def dtypes(tree):
    return {str(leaf.dtype) for leaf in jax.tree.leaves(tree)}


def test_dtypes_of_parameters_gradients_statistics_and_output():
    net = network()
    params, state = net.init(jax.random.key(0))
    eta, new = net.apply(params, state, X, train=True)
    loss = lambda p: jnp.sum(net.apply(p, state, X, train=True)[0] ** 2)
    assert dtypes((params, new, eta, jax.grad(loss)(params))) == {"float32"}


def test_products_are_taken_in_the_dtype_of_computation():
    net = network()
    params, state = net.init(jax.random.key(0))
    text = str(jax.make_jaxpr(lambda p: net.apply(p, state, X)[0])(params))
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) == 2 and all(":bf16[40," in line for line in products)


def test_equals_a_cast_by_hand():
    """Two dense layers, each product rounded to bfloat16; numpy does the rest in float32."""
    net = mixed_precision(models.mlp((4, 3)))
    params, state = net.init(jax.random.key(0))
    half = lambda a: np.asarray(jnp.asarray(a, jnp.bfloat16), np.float32)
    product = half(X) @ half(params["dense_0"]["kernel"]) + half(params["dense_0"]["bias"])
    eta = np.asarray(net.apply(params, state, X)[0])
    np.testing.assert_allclose(eta, product, atol=2**-7 * np.abs(product).max())
    assert np.abs(eta - np.asarray(X @ params["dense_0"]["kernel"])).max() > 1e-4


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_other_dtypes(dtype):
    net = network(Precision(compute=dtype, output=dtype))
    params, state = net.init(jax.random.key(0))
    eta, _ = net.apply(params, state, X)
    assert dtypes(params) == {"float32"} and eta.dtype == dtype
    plain = models.mlp((4, 8, 3), norm="batch")
    np.testing.assert_allclose(
        eta, plain.apply(params, state, X)[0], atol=0 if dtype == "float32" else 0.02
    )


@pytest.mark.parametrize("field", Precision._fields)
def test_other_numbers_are_refused(field):
    with pytest.raises(ValueError, match=f"the precision of {field} must be a floating dtype"):
        network(Precision(**{field: jnp.int8}))


def learner(h):
    net = network()
    objective = negative_log_likelihood(net, families.categorical(3))
    return gradient_learner(net, objective, optax.adam(h["rate"]))


def test_trains_alone_and_in_a_study():
    result = fit(learner({"rate": 0.05}), (X, Y), key=jax.random.key(0), epochs=30)
    assert dtypes((result.state.params, result.state.state, result.state.opt_state)) <= {
        "float32",
        "int32",
    }
    assert result.history.loss.dtype == jnp.float32
    assert result.history.loss[-1] < 0.4 * result.history.loss[0]
    study = cross_validate(learner, {"rate": [1e-4, 0.05]}, (X, Y), key=jax.random.key(0), folds=2,
                           epochs=20)  # fmt: skip
    assert study.best().hparams["rate"] == pytest.approx(0.05)
