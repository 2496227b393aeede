"""How others train convolutional, recurrent and attentive networks: loops of steps in PyTorch and
flax linen. Each is given a task and gives a ``loops.Timing``; the work is that of ``sequences``."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.loops import Timing


class Task(NamedTuple):
    """What is learned: inputs x [N, ...], labels y [N] or [N, T] below ``classes``.

    ``rate`` is that of SGD, or of Adam where ``adam``. N is a multiple of ``batch_size``, so that
    every way takes the same steps.
    """

    x: np.ndarray
    y: np.ndarray
    classes: int
    epochs: int
    batch_size: int
    rate: float
    adam: bool = False

    @property
    def steps(self) -> int:
        return self.epochs * len(self.y) // self.batch_size


def batches(task: Task) -> list[np.ndarray]:
    """The rows of every step, in an order that is drawn anew for each epoch."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(task.y)) for _ in range(task.epochs)]
    return [rows for order in orders for rows in order.reshape(-1, task.batch_size)]


def torch_loop(task: Task, make: Callable[[], Any], threads: int, **layout) -> Timing:
    """PyTorch, eager: one step after the other of the network that ``make()`` gives.

    ``layout`` goes to the network's ``to``, such as ``memory_format=torch.channels_last``.
    """
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    net = make().to(**layout)
    kind = torch.optim.Adam if task.adam else torch.optim.SGD
    optimizer = kind(net.parameters(), lr=task.rate)
    x, y = torch.tensor(task.x), torch.tensor(task.y.astype(np.int64))
    if layout:
        x = x.to(**layout)
    cross_entropy = torch.nn.CrossEntropyLoss()

    def one(rows):
        optimizer.zero_grad()
        eta = net(x[rows])
        loss = cross_entropy(eta.reshape(-1, eta.shape[-1]), y[rows].reshape(-1))
        loss.backward()
        optimizer.step()

    rows = [torch.tensor(rows) for rows in batches(task)]
    began = time.perf_counter()
    one(rows[0])
    before = time.perf_counter() - began
    began = time.perf_counter()
    for each in rows:
        one(each)
    run = time.perf_counter() - began
    net.eval()
    with torch.no_grad():
        right = [(net(part).argmax(-1).numpy()) for part in x.split(256)]
    return Timing(run, before, float(np.mean(np.concatenate(right) == task.y)))


def torch_cnn(image: tuple[int, int, int], filters, classes: int):
    """Convolutions 3 x 3, each with ReLU and 2 x 2 max pooling, and a linear layer."""
    from torch import nn

    height, width, channels = image
    layers: list[nn.Module] = [_channels_first()]
    for k in filters:
        layers += [nn.Conv2d(channels, k, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, height, width = k, height // 2, width // 2
    return _he(nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, classes)))


def torch_normed_cnn(image: tuple[int, int, int], filters, hidden: int, classes: int, rate: float):
    """``torch_cnn`` with batch normalisation, and a hidden layer with dropout of this rate."""
    from torch import nn

    height, width, channels = image
    layers: list[nn.Module] = [_channels_first()]
    for k in filters:
        layers += [nn.Conv2d(channels, k, 3, padding=1, bias=False), nn.BatchNorm2d(k), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        channels, height, width = k, height // 2, width // 2
    layers += [nn.Flatten(), nn.Linear(channels * height * width, hidden, bias=False)]
    layers += [nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(rate), nn.Linear(hidden, classes)]
    return _he(nn.Sequential(*layers))


def _channels_first():
    from torch import nn

    class ChannelsFirst(nn.Module):
        def forward(self, x):
            return x.permute(0, 3, 1, 2).contiguous()

    return ChannelsFirst()


def _he(net):
    from torch import nn

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return net


def torch_study(task: Task, make: Callable[[], Any], rates, folds, threads: int) -> np.ndarray:
    """A loop of fits, each as ``torch_loop``: held-out accuracies [rates, folds]."""
    import torch

    torch.set_num_threads(threads)
    x, y = torch.tensor(task.x), torch.tensor(task.y.astype(np.int64))

    def fit(rate, train, valid):
        torch.manual_seed(0)
        net = make()
        optimizer = torch.optim.Adam(net.parameters(), lr=rate)
        rows = torch.from_numpy(train)
        for _ in range(task.epochs):
            for batch in rows[torch.randperm(len(rows))].split(task.batch_size):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
                optimizer.step()
        net.eval()
        with torch.no_grad():
            return (net(x[valid]).argmax(1) == y[valid]).double().mean().item()

    return np.array([[fit(float(rate), *fold) for fold in folds] for rate in rates])


def torch_lstm(features: int, hidden: int, classes: int):
    """An LSTM whose last state is mapped to logits."""
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(features, hidden, batch_first=True)
            self.head = nn.Linear(hidden, classes)

        def forward(self, x):
            _, (h, _) = self.lstm(x)
            return self.head(h[0])

    return Classifier()


def torch_language_model(tokens: int, length: int, width: int, heads: int, layers: int):
    """A decoder-only transformer: embeddings, learned positions, pre-LN layers, a linear head."""
    import torch
    from torch import nn

    class LanguageModel(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(tokens, width)
            self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
            layer = nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, tokens)
            self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(length))

        def forward(self, x):
            h = self.tokens(x) + self.positions
            h = self.layers(h, mask=self.mask, is_causal=True)
            return self.head(self.norm(h))

    return LanguageModel()


def linen_loop(task: Task, net: Any) -> Timing:
    """flax linen: a jitted step called from a Python loop."""
    import jax
    import jax.numpy as jnp
    import optax

    optimizer = optax.adam(task.rate) if task.adam else optax.sgd(task.rate)
    x, y = jnp.asarray(task.x), jnp.asarray(task.y)
    params = net.init(jax.random.key(0), x[: task.batch_size])
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, rows):
        def loss(params):
            eta = net.apply(params, x[rows])
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(eta, y[rows]))

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    rows = [jnp.asarray(rows) for rows in batches(task)]
    began = time.perf_counter()
    jax.block_until_ready(step(params, state, rows[0]))
    before = time.perf_counter() - began
    began = time.perf_counter()
    for each in rows:
        params, state = step(params, state, each)
    jax.block_until_ready(params)
    run = time.perf_counter() - began
    apply = jax.jit(net.apply)
    cuts = range(0, len(task.x), task.batch_size)
    right = [apply(params, x[at : at + task.batch_size]).argmax(-1) for at in cuts]
    return Timing(run, before, float(np.mean(np.concatenate(right) == task.y)))


def linen_cnn(filters, classes: int):
    """``torch_cnn`` in flax."""
    import flax.linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for k in filters:
                x = nn.max_pool(nn.relu(nn.Conv(k, (3, 3))(x)), (2, 2), (2, 2))
            return nn.Dense(classes)(x.reshape(len(x), -1))

    return Net()


def linen_lstm(hidden: int, classes: int):
    """``torch_lstm`` in flax."""
    import flax.linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            h = nn.RNN(nn.OptimizedLSTMCell(hidden))(x)
            return nn.Dense(classes)(h[:, -1])

    return Net()


def linen_language_model(tokens: int, length: int, width: int, heads: int, layers: int):
    """``torch_language_model`` in flax."""
    import flax.linen as nn
    import jax

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            positions = self.param("positions", jax.nn.initializers.normal(0.02), (length, width))
            h = nn.Embed(tokens, width)(x) + positions
            mask = nn.make_causal_mask(x)
            for _ in range(layers):
                h = h + nn.MultiHeadDotProductAttention(heads)(nn.LayerNorm()(h), mask=mask)
                h = h + nn.Dense(width)(nn.relu(nn.Dense(4 * width)(nn.LayerNorm()(h))))
            return nn.Dense(tokens)(nn.LayerNorm()(h))

    return Net()
