"""What people do instead of a study in one program: the peers that it is measured against.

Each trains the same members on the same folds for the same epochs and batch size, with Adam and
Glorot's initial weights, and gives the held-out accuracies [settings, folds].
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Work(NamedTuple):
    """Multi-layer perceptrons to train: one hidden layer of ``width``, ``rates`` x ``folds``."""

    x: np.ndarray
    y: np.ndarray
    folds: Sequence[tuple[np.ndarray, np.ndarray]]
    rates: Sequence[float]
    width: int
    epochs: int
    batch_size: int
    seeds: int = 1

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1


def grid_search(work: Work, cores: int) -> np.ndarray:
    """scikit-learn's GridSearchCV over MLPClassifier: a process for each core, one thread each."""
    import warnings

    from joblib import parallel_config
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    mlp = MLPClassifier(
        (work.width,),
        solver="adam",
        alpha=0.0,
        batch_size=work.batch_size,
        max_iter=work.epochs,
        n_iter_no_change=work.epochs + 1,  # no early stopping: the others have none
        tol=0.0,
    )
    grid = {"learning_rate_init": list(work.rates), "random_state": list(range(work.seeds))}
    with warnings.catch_warnings(), parallel_config("loky", inner_max_num_threads=1):
        warnings.simplefilter("ignore")
        search = GridSearchCV(mlp, grid, cv=list(work.folds), n_jobs=cores, refit=False)
        search.fit(work.x, work.y)
    results = search.cv_results_
    scores = np.stack([results[f"split{f}_test_score"] for f in range(len(work.folds))], axis=1)
    return scores.reshape(len(work.rates), work.seeds, -1).mean(1)


def torch_loop(work: Work, threads: int) -> np.ndarray:
    """PyTorch, eager, one fit after the other; batches are cut from a permuted tensor."""
    import torch

    torch.set_num_threads(threads)
    x, y = torch.from_numpy(work.x), torch.from_numpy(work.y).long()

    def fit(rate, train, valid, seed):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], work.width),
            torch.nn.ReLU(),
            torch.nn.Linear(work.width, work.classes),
        )
        for layer in (net[0], net[2]):
            torch.nn.init.xavier_uniform_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        optimizer = torch.optim.Adam(net.parameters(), rate)
        rows = torch.from_numpy(train)
        for _ in range(work.epochs):
            for batch in rows[torch.randperm(len(rows))].split(work.batch_size):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            return (net(x[valid]).argmax(1) == y[valid]).double().mean().item()

    return _every(work, fit)


def jitted_loop(work: Work) -> tuple[np.ndarray, float]:
    """A Python loop over one jitted training program, and the seconds that it took to compile.

    What a careful user writes by hand: epochs and steps as scans, the learning rate an argument,
    folds cut to one length so that nothing recompiles.
    """
    import time

    import jax
    import jax.numpy as jnp
    import optax

    x, y = jnp.asarray(work.x), jnp.asarray(work.y)
    length = min(len(train) for train, _ in work.folds)
    steps = -(-length // work.batch_size)
    adam = lambda rate: optax.adam(rate)

    def loss(params, batch):
        (w, b), (v, c) = params
        eta = jax.nn.relu(x[batch] @ w + b) @ v + c
        losses = optax.softmax_cross_entropy_with_integer_labels(eta, y[batch])
        return jnp.mean(losses)

    @jax.jit
    def train(key, rate, rows):
        glorot = jax.nn.initializers.glorot_uniform()
        k1, k2, key = jax.random.split(key, 3)
        params = (
            (glorot(k1, (x.shape[1], work.width)), jnp.zeros(work.width)),
            (glorot(k2, (work.width, work.classes)), jnp.zeros(work.classes)),
        )

        def step(carry, batch):
            params, state = carry
            updates, state = adam(rate).update(jax.grad(loss)(params, batch), state)
            return (optax.apply_updates(params, updates), state), None

        def epoch(carry, key):
            order = jax.random.permutation(key, rows)
            whole = order[: length // work.batch_size * work.batch_size]
            carry, _ = jax.lax.scan(step, carry, whole.reshape(-1, work.batch_size))
            if steps * work.batch_size > length:
                carry, _ = step(carry, order[len(whole) :])
            return carry, None

        start = params, adam(rate).init(params)
        (params, _), _ = jax.lax.scan(epoch, start, jax.random.split(key, work.epochs))
        return params

    @jax.jit
    def predict(params, x):
        (w, b), (v, c) = params
        return jnp.argmax(jax.nn.relu(x @ w + b) @ v + c, axis=1)

    began = time.perf_counter()
    rows = jnp.asarray(work.folds[0][0][:length])
    train = train.lower(jax.random.key(0), jnp.float32(0.1), rows).compile()
    seconds = time.perf_counter() - began

    def fit(rate, rows, valid, seed):
        params = train(jax.random.key(seed), jnp.float32(rate), jnp.asarray(rows[:length]))
        return float(np.mean(np.asarray(predict(params, work.x[valid])) == work.y[valid]))

    return _every(work, fit), seconds


def _every(work: Work, fit) -> np.ndarray:
    return np.array(
        [
            [np.mean([fit(rate, *fold, s) for s in range(work.seeds)]) for fold in work.folds]
            for rate in work.rates
        ]
    )
