"""Gradient descent on the layers of a deep network: PyTorch's, and the notes' literal shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import losses
from jaxdl.models import mlp
from jaxdl.optim import gradient_descent

NET = mlp((3, 5, 4, 2), activation="tanh")


def data(n=16, dim=3, out=2):
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(n, dim))), jnp.asarray(rng.normal(size=(n, out)))


@pytest.mark.equation(23, 24)
def test_fifty_steps_on_all_layers_equal_pytorch(x64):
    torch = pytest.importorskip("torch")
    x, y = data()
    params, _ = NET.init(jax.random.key(0))
    loss = lambda w: losses.mean_squared_error(NET.apply(w, {}, x)[0], y)
    layers = []
    for i in range(3):
        layer = torch.nn.Linear(*params[f"dense_{i}"]["kernel"].shape, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(np.asarray(params[f"dense_{i}"]["kernel"].T)))
            layer.bias.copy_(torch.tensor(np.asarray(params[f"dense_{i}"]["bias"])))
        layers += [layer, torch.nn.Tanh()]
    net = torch.nn.Sequential(*layers[:-1])
    theirs = torch.optim.SGD(net.parameters(), lr=0.05)
    ours = gradient_descent(0.05)
    state = ours.init(params)
    step = jax.jit(jax.value_and_grad(loss))
    for _ in range(50):
        value, gradient = step(params)
        updates, state = ours.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        theirs.zero_grad()
        error = net(torch.tensor(np.asarray(x))) - torch.tensor(np.asarray(y))
        other = error.square().sum() / 16
        other.backward()
        theirs.step()
        np.testing.assert_allclose(value, other.item(), rtol=1e-10)
    for i in range(3):
        np.testing.assert_allclose(
            params[f"dense_{i}"]["kernel"].T, layers[2 * i].weight.detach().numpy(), rtol=1e-9
        )


@pytest.mark.equation(23)
def test_the_loss_of_a_network_is_its_mean_squared_error():
    """Forward in NumPy, a row at a time; each row has the sum over its outputs."""
    x, y = data(4)
    params, _ = NET.init(jax.random.key(0))
    w = [np.asarray(params[f"dense_{l}"]["kernel"], float) for l in range(3)]
    by_hand = 0.0
    for h, target in zip(np.asarray(x, float), np.asarray(y, float), strict=True):
        for kernel in w[:-1]:
            h = np.tanh(h @ kernel)  # offsets start at 0
        by_hand += sum((f - t) ** 2 for f, t in zip(h @ w[-1], target, strict=True)) / 4
    eta, _ = NET.apply(params, {}, x.astype(jnp.float32))
    np.testing.assert_allclose(losses.mean_squared_error(eta, y), by_hand, rtol=1e-5)


@pytest.mark.equation(24)
def test_gradients_have_the_shape_of_their_weights(x64):
    """D-41: Eq. (26) is laid out D_{l+1} x D_l. With square layers W - alpha times that raises
    nothing, and climbs."""
    x, y = data(dim=4, out=4)
    square = mlp((4, 4, 4), activation="tanh", use_bias=False)
    start, _ = square.init(jax.random.key(3))
    loss = lambda w: jnp.mean(jnp.sum(jnp.square(square.apply(w, {}, x)[0] - y), axis=1)) / 2

    def after(layout, steps=60):
        params = start
        gradient = jax.jit(jax.grad(loss))
        for _ in range(steps):
            move = lambda w, g: w - 0.2 * layout(g)
            params = jax.tree.map(move, params, gradient(params))
        return loss(params)

    assert after(lambda g: g) < 0.8 * loss(start)
    assert after(lambda g: g.T) > 1.5 * loss(start)
