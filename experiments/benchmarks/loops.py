"""How others train one multi-layer perceptron: loops of steps in flax and PyTorch, a bare scan."""

import itertools
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Task(NamedTuple):
    """x [N, D], y [N] whole numbers below ``classes``; hidden widths; Adam's rate. N is a multiple
    of ``batch_size``, so that every way takes the same steps."""

    x: np.ndarray
    y: np.ndarray
    hidden: tuple[int, ...]
    classes: int
    epochs: int
    batch_size: int
    rate: float = 1e-3

    @property
    def steps(self) -> int:
        return self.epochs * len(self.y) // self.batch_size


class Timing(NamedTuple):
    """Seconds of the epochs' steps, of what comes before (compilation, a first step), and the
    accuracy on the training rows."""

    run: float
    before: float
    accuracy: float


def _orders(task: Task) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (-1, task.batch_size)
    return [rng.permutation(len(task.y)).reshape(shape) for _ in range(task.epochs)]


def _loop(task: Task, prepare: Callable, step: Callable, end: Callable) -> float:
    """Seconds of all steps, batches taken from memory by index."""
    orders = prepare(_orders(task))
    began = time.perf_counter()
    for order in orders:
        for batch in order:
            step(batch)
    end()
    return time.perf_counter() - began


def bare_scan(task: Task, our_shuffle: bool = False) -> Timing:
    """All steps as one jitted scan with nothing around it.

    It shuffles by ``jax.random.permutation``, or by what ``fit`` takes for it.
    """
    import jax
    import jax.numpy as jnp
    import optax

    from jaxdl import models, programs
    from jaxdl.training.batching import epoch_order

    net = models.mlp((task.x.shape[1], *task.hidden, task.classes))
    adam = optax.adam(task.rate)
    x, y = jnp.asarray(task.x), jnp.asarray(task.y)
    everyone = jnp.ones(len(task.y), bool)

    def shuffled(key):
        if our_shuffle:
            return epoch_order(key, everyone)
        return jax.random.permutation(key, len(task.y))

    def loss(params, batch):
        eta, _ = net.apply(params, {}, x[batch])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(eta, y[batch]))

    def train(key):
        init_key, key = jax.random.split(key)
        params, _ = net.init(init_key)

        def step(carry, batch):
            params, state = carry
            value, gradient = jax.value_and_grad(loss)(params, batch)
            updates, state = adam.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), value

        def epoch(carry, key):
            order = shuffled(key).reshape(-1, task.batch_size)
            return jax.lax.scan(step, carry, order)

        keys = jax.random.split(key, task.epochs)
        return jax.lax.scan(epoch, (params, adam.init(params)), keys)[0][0]

    began = time.perf_counter()
    program = jax.jit(train, compiler_options=programs.compiler_options())
    program = program.lower(jax.random.key(0)).compile()
    before = time.perf_counter() - began
    began = time.perf_counter()
    params = jax.block_until_ready(program(jax.random.key(0)))
    run = time.perf_counter() - began
    return Timing(run, before, _accuracy(net.apply(params, {}, x)[0], task))


def linen(task: Task) -> Timing:
    """flax linen with a TrainState and a jitted step, called from a Python loop."""
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import optax
    from flax.training.train_state import TrainState

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for width in task.hidden:
                x = nn.relu(nn.Dense(width, kernel_init=nn.initializers.he_normal())(x))
            return nn.Dense(task.classes)(x)

    net = Net()
    x, y = jnp.asarray(task.x), jnp.asarray(task.y)
    state = TrainState.create(
        apply_fn=net.apply,
        params=net.init(jax.random.key(0), x[:1])["params"],
        tx=optax.adam(task.rate),
    )

    @jax.jit
    def step(state, x, y):
        def loss(params):
            eta = state.apply_fn({"params": params}, x)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(eta, y))

        value, gradient = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=gradient), value

    began = time.perf_counter()
    take = jax.jit(lambda x, y, rows: (x[rows], y[rows]))
    first = jnp.arange(task.batch_size)
    jax.block_until_ready(step(state, *take(x, y, first)))
    before = time.perf_counter() - began

    def one(batch):
        nonlocal state
        state, _ = step(state, *take(x, y, batch))

    prepare = lambda orders: [list(jnp.asarray(order)) for order in orders]
    run = _loop(task, prepare, one, lambda: jax.block_until_ready(state))
    return Timing(run, before, _accuracy(net.apply({"params": state.params}, x), task))


def nnx_loop(task: Task) -> Timing:
    """flax nnx with a jitted step on module and optimizer, cached as its guide advises."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            sizes = (task.x.shape[1], *task.hidden, task.classes)

            def make(m, n):
                return nnx.Linear(m, n, kernel_init=nnx.initializers.he_normal(), rngs=rngs)

            layers = [make(m, n) for m, n in itertools.pairwise(sizes)]
            self.layers = nnx.List(layers) if hasattr(nnx, "List") else layers

        def __call__(self, x):
            for layer in self.layers[:-1]:
                x = nnx.relu(layer(x))
            return self.layers[-1](x)

    net = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(net, optax.adam(task.rate), wrt=nnx.Param)
    x, y = jnp.asarray(task.x), jnp.asarray(task.y)

    @nnx.jit
    def step(net, optimizer, x, y):
        def loss(net):
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(net(x), y))

        value, gradient = nnx.value_and_grad(loss)(net)
        optimizer.update(net, gradient)
        return value

    take = jax.jit(lambda x, y, rows: (x[rows], y[rows]))
    cached = nnx.cached_partial(step, net, optimizer)
    began = time.perf_counter()
    jax.block_until_ready(cached(*take(x, y, jnp.arange(task.batch_size))))
    before = time.perf_counter() - began
    last = None

    def one(batch):
        nonlocal last
        last = cached(*take(x, y, batch))

    prepare = lambda orders: [list(jnp.asarray(order)) for order in orders]
    run = _loop(task, prepare, one, lambda: jax.block_until_ready(last))
    return Timing(run, before, _accuracy(net(x), task))


def torch_loop(task: Task, threads: int, compiled: bool = False) -> Timing:
    """PyTorch, eager or through ``torch.compile``. Raises ImportError without PyTorch, and what
    ``torch.compile`` raises where it has no compiler."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    sizes = (task.x.shape[1], *task.hidden, task.classes)
    layers = []
    for m, n in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(m, n), torch.nn.ReLU()]
        torch.nn.init.kaiming_normal_(layers[-2].weight, nonlinearity="relu")
    net = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(net.parameters(), lr=task.rate)
    x, y = torch.tensor(task.x), torch.tensor(task.y.astype(np.int64))
    cross_entropy = torch.nn.CrossEntropyLoss()
    forward = torch.compile(net) if compiled else net

    def one(batch):
        optimizer.zero_grad()
        cross_entropy(forward(x[batch]), y[batch]).backward()
        optimizer.step()

    began = time.perf_counter()
    one(torch.arange(task.batch_size))
    before = time.perf_counter() - began
    prepare = lambda orders: [list(torch.tensor(order)) for order in orders]
    run = _loop(task, prepare, one, lambda: None)
    with torch.no_grad():
        return Timing(run, before, _accuracy(net(x).numpy(), task))


def _accuracy(eta, task: Task) -> float:
    return float(np.mean(np.asarray(eta).argmax(1) == task.y))
