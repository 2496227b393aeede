"""How good a generative model is: its likelihood, and how far its samples are from unseen data."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.stats import multivariate_normal

from experiments.generative.base import Generator
from experiments.generative.data import Data, Units, in_units
from jaxdl import families, metrics, models, programs, training
from jaxdl.base import Array

JUDGED = 1000  # samples, and rows of the test part, that are compared
ROWS = 256  # of the test part whose likelihood is computed at once
FEATURES = 32


class Classifier(NamedTuple):
    """What a network that was trained on real images makes of others.

    logits: ``(x [N, D]) -> [N, K]`` of pixels in [0, 1]. features: ``(x) -> [N, 32]``, what its
    last layer reads.
    """

    logits: Any
    features: Any


def likelihoods(
    generator: Generator, state: Any, key: Array, data: Data, units: Units, told: bool
) -> dict[str, float]:
    """Mean log-densities of the test part in nats, of the model and of what it is compared with.

    ``test_log_likelihood`` is exact, or by ODE steps; ``..._bound`` is below it in expectation. The
    baselines are a normal distribution of every number by itself and one with all covariances, and
    the truth where it is known. Of images also ``..._bits_per_dim``, of the whole numbers.
    """
    dim = data.test.shape[1]
    own, *keys = jax.random.split(key, 3)
    train, test = units.noisy(keys[0], data.train), units.noisy(keys[1], data.test)
    figures = {}
    if generator.log_prob is not None:
        log_prob = jax.jit(
            lambda key, x, label: generator.log_prob(state, key, units.inside(x), label),
            compiler_options=programs.compiler_options(),
        )
        values = []
        for i in range(0, len(test), ROWS):
            label = data.test_labels[i : i + ROWS] if told else None
            values.append(log_prob(jax.random.fold_in(own, i), test[i : i + ROWS], label))
        kind = "test_log_likelihood" if generator.exact else "test_log_likelihood_bound"
        volume = float(jnp.sum(jnp.log(units.scale)))
        figures[kind] = float(jnp.mean(jnp.concatenate(values))) - volume
    mean, scale = train.mean(0), jnp.sqrt(train.var(0) + 1e-4)
    figures["factorised_gaussian_log_likelihood"] = float(
        jax.scipy.stats.norm.logpdf(test, mean, scale).sum(1).mean()
    )
    covariance = jnp.cov(train, rowvar=False) + 1e-4 * jnp.eye(dim)
    gauss = multivariate_normal.logpdf(test, mean, covariance)
    figures["gaussian_log_likelihood"] = float(gauss.mean())
    if data.log_density is not None:
        figures["true_log_likelihood"] = float(data.log_density(test).mean())
    if data.levels is not None:
        for name, nats in list(figures.items()):
            bits = -nats / (dim * np.log(2)) + np.log2(data.levels)
            figures[name.replace("log_likelihood", "bits_per_dim")] = float(bits)
    return figures


def distances(key: Array, data: Data, units: Units, samples: Array) -> dict[str, float]:
    """How far samples are from data that were not seen, and whether they were memorised."""
    keys = jax.random.split(key, 4)
    train, test = units.noisy(keys[0], data.train), units.noisy(keys[1], data.test[:JUDGED])
    few = 400
    same = metrics.energy_test(keys[2], test[:few], samples[:few], permutations=199)
    covered = metrics.sample_coverage(test, samples[: len(test)])
    nearest = lambda x: float(jnp.median(metrics.nearest_neighbours(train, x)[1]))
    sliced = metrics.sliced_wasserstein(keys[3], test, samples[: len(test)])
    return {
        "mmd": float(metrics.maximum_mean_discrepancy(test, samples)),
        "energy_distance": float(metrics.energy_distance(test, samples)),
        "energy_p_value": float(same.p_value),
        "sliced_wasserstein": float(sliced),
        "precision": float(covered.precision),
        "recall": float(covered.recall),
        "coverage": float(covered.coverage),
        "nearest_training_row": nearest(samples),
        "nearest_training_row_of_test": nearest(test),
    }


def classifier(key: Array, data: Data, units: Units, steps: int = 1500) -> Classifier:
    """A network of two hidden layers, trained on the real training part with new noise each step."""
    classes = int(data.train_labels.max()) + 1
    net = models.mlp((data.train.shape[1], 128, FEATURES, classes), dropout=0.2)
    body = models.mlp((data.train.shape[1], 128, FEATURES))
    objective = training.negative_log_likelihood(net, families.categorical(classes))
    adam = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    learner = in_units(
        training.gradient_learner(net, objective, adam), units, lambda x, label: (x, label)
    )
    batch = min(128, len(data.train))
    params = training.fit(
        learner, (data.train, data.train_labels), key=key, steps=steps, batch_size=batch
    ).state.params
    lower = {name: params[name] for name in ("dense_0", "dense_1")}
    compiled = functools.partial(jax.jit, compiler_options=programs.compiler_options())
    return Classifier(
        compiled(lambda x: net.apply(params, {}, units.inside(x))[0]),
        compiled(lambda x: jax.nn.relu(body.apply(lower, {}, units.inside(x))[0])),
    )


def classified(
    judge: Classifier, key: Array, data: Data, units: Units, samples: Array, labels: Array | None
) -> dict[str, float]:
    """What the classifier says of samples.

    ``frechet_distance`` in its features from unseen data (and that of the training part, which is
    what a perfect model would have), and how often it names the class of an unseen image, and the
    one that a sample was drawn for.
    """
    keys = jax.random.split(key)
    train, test = units.noisy(keys[0], data.train), units.noisy(keys[1], data.test)
    right = lambda x, y: float(jnp.mean(jnp.argmax(judge.logits(x), 1) == y))
    features = judge.features(test)
    figures = {
        "frechet_distance": float(metrics.frechet_distance(features, judge.features(samples))),
        "frechet_distance_of_training": float(
            metrics.frechet_distance(features, judge.features(train[: len(samples)]))
        ),
        "classifier_accuracy": right(test, data.test_labels),
    }
    if labels is not None:
        figures["conditional_accuracy"] = right(samples, labels)
    return figures
