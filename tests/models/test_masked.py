"""masked_mlp: the part that is used trains as the small network alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import three_classes

from jaxdl import families, training
from jaxdl.base import stateless
from jaxdl.model_selection import cross_validate
from jaxdl.models import masked_mlp, mlp, unmask


def learn(model, data, rate=0.05, epochs=20):
    objective = training.negative_log_likelihood(model, families.categorical(3), penalty=1e-2)
    learner = training.gradient_learner(model, objective, optax.adam(rate))
    return training.fit(learner, data, key=jax.random.key(1), epochs=epochs, batch_size=16)


def test_the_smallest_sizes_are_taken():
    params, state = (net := masked_mlp((1, 1, 1), width=1.0)).init(jax.random.key(0))
    assert net.apply(params, state, jnp.ones((2, 1)))[0].shape == (2, 1)
    with pytest.raises(ValueError, match="three positive whole numbers"):
        masked_mlp((1, 1), width=1.0)


@pytest.mark.parametrize(("width", "depth"), [(3, 1), (5, 3), (8, 2), ((4, 2, 8), None)])
@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_the_part_trains_as_the_small_network_alone(width, depth, activation, x64):
    x, y = three_classes(48, dtype=np.float64)
    large = masked_mlp(
        (4, 8, 8, 8, 3),
        width=jnp.array(width, float),
        depth=None if depth is None else float(depth),
        activation=activation,
    )
    widths = width if depth is None else (width,) * depth
    small = mlp((4, *widths, 3), activation=activation)
    start = jax.jit(lambda key: large.init(key)[0])
    alone = stateless(
        lambda key: unmask(start(key), width, depth),
        lambda params, x, *, key, train: small.apply(params, {}, x, key=key, train=train)[0],
    )
    part, whole = learn(large, (x, y)), learn(alone, (x, y))
    np.testing.assert_allclose(part.history.loss, whole.history.loss, rtol=1e-9)
    found = unmask(part.state.params, width, depth)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-10),
        found,
        whole.state.params,
    )
    unused = sum(jnp.sum(p != 0) for p in jax.tree.leaves(part.state.params))
    assert unused == sum(jnp.sum(p != 0) for p in jax.tree.leaves(found)) > 0


def test_widths_and_depths_share_one_program(key):
    def make(h):
        model = masked_mlp((4, 8, 8, 3), width=h["width"], depth=h["depth"])
        objective = training.negative_log_likelihood(model, families.categorical(3))
        return training.gradient_learner(model, objective, optax.adam(0.03))

    grid = {"width": [1.0, 4.0, 8.0], "depth": [1.0, 2.0]}
    study = cross_validate(
        make, grid, three_classes(60), key=key, folds=2, epochs=15, keep="states"
    )
    assert study.num_programs == 1
    assert study.scores["accuracy"][-1].mean() > study.scores["accuracy"][0].mean()
    kernels = study.states[0].params["dense_1"]["kernel"]  # [settings, folds, seeds, 8, 8]
    live = (np.asarray(kernels) != 0).sum((-2, -1))[:, 0, 0]
    assert live.tolist() == [0, 1, 0, 16, 0, 64]


def test_the_start_has_the_variance_of_the_small_fan_in():
    net = masked_mlp((50, 400, 400, 2), width=100.0)
    params, _ = net.init(jax.random.key(0))
    kernel = np.asarray(params["dense_1"]["kernel"])[:100, :100]
    np.testing.assert_allclose(kernel.var(), 2 / 100, rtol=0.05)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"sizes": (4, 3)}, "sizes are"),
        ({"sizes": (4, 8, 6, 3), "depth": 1}, "one width"),
        ({"width": 9}, "width is 1 to 8"),
        ({"width": 0}, "width is 1 to 8"),
        ({"depth": 3}, "depth is 1 to 2"),
        ({"width": np.ones(3)}, "widths are"),
    ],
)
def test_bad_settings(how, message):
    with pytest.raises(ValueError, match=message):
        masked_mlp(**{"sizes": (4, 8, 8, 3), **how})


def test_bad_cuts():
    params, _ = masked_mlp((4, 8, 8, 3)).init(jax.random.key(0))
    with pytest.raises(ValueError, match="depth is 1 to 2"):
        unmask(params, 3, 3)
    with pytest.raises(ValueError, match="widths are 1 to"):
        unmask(params, 9, 1)
