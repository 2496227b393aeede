"""Label smoothing and the objective of language models, by hand and against torch."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import families, training
from jaxdl.base import Sequences, stateless

TABLE = np.array([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5], [0.0, 0.0, 3.0]], np.float32)
# A model whose next token depends on the last one only: eta_t = TABLE[x_t].
BIGRAM = stateless(lambda key: {"table": jnp.asarray(TABLE)}, lambda p, x, *, key, train: (
    p["table"].at[x.filled() if isinstance(x, Sequences) else x].get(mode="fill", fill_value=jnp.nan)
))  # fmt: skip
PARAMS = {"table": jnp.asarray(TABLE)}
WINDOWS = jnp.array([[0, 1, 2, 2], [2, 0, 0, 1]])


def log_probs(tokens):
    log_pi = TABLE - np.log(np.exp(TABLE).sum(-1, keepdims=True))
    return [log_pi[a, b] for a, b in itertools.pairwise(tokens)]


@pytest.mark.equation("L985")
def test_each_token_given_those_before_it_by_hand():
    objective = training.next_token_nll(BIGRAM, 3)
    nll = np.array([-sum(log_probs(list(row))) for row in np.asarray(WINDOWS)])
    values = objective.evaluate(PARAMS, {}, WINDOWS)
    np.testing.assert_allclose(values["nll"], nll, rtol=1e-5)
    np.testing.assert_allclose(values["nll_per_token"], nll / 3, rtol=1e-5)
    np.testing.assert_allclose(values["accuracy"], [2 / 3, 1 / 3], rtol=1e-6)
    assert set(values) == {"nll", "nll_per_token", "accuracy"}
    np.testing.assert_allclose(objective.loss(PARAMS, {}, WINDOWS)[0], nll.mean() / 3, rtol=1e-5)
    total = training.next_token_nll(BIGRAM, 3, reduction="sum")
    np.testing.assert_allclose(total.loss(PARAMS, {}, WINDOWS)[0], nll.mean(), rtol=1e-5)
    predicted = objective.predict(PARAMS, {}, WINDOWS)
    assert predicted.shape == (2, 4, 3)
    np.testing.assert_allclose(predicted.sum(-1), 1, rtol=1e-6)


def test_what_is_behind_an_end_counts_for_nothing():
    objective = training.next_token_nll(BIGRAM, 3)
    short = Sequences(jnp.array([[0, 1, 2, 99], [2, 99, 99, 99]]), jnp.array([3, 1]))
    values = objective.evaluate(PARAMS, {}, short)
    np.testing.assert_allclose(values["nll"], [-sum(log_probs([0, 1, 2])), 0], rtol=1e-5)
    np.testing.assert_allclose(
        values["nll_per_token"][0], -sum(log_probs([0, 1, 2])) / 2, rtol=1e-5
    )
    gradient = jax.grad(lambda p: objective.loss(p, {}, short)[0])(PARAMS)["table"]
    assert np.isfinite(gradient).all() and not gradient[2].any() and gradient[0].any()


def test_label_smoothing_is_torchs_in_the_loss_and_in_no_score():
    torch = pytest.importorskip("torch")
    logits = torch.tensor(TABLE[np.asarray(WINDOWS)[:, :-1]])
    expected = torch.nn.functional.cross_entropy(
        logits.reshape(-1, 3),
        torch.tensor(np.asarray(WINDOWS)[:, 1:].ravel()).long(),
        label_smoothing=0.2,
    )

    @jax.jit
    def loss(epsilon):  # traced
        objective = training.next_token_nll(BIGRAM, 3, label_smoothing=epsilon)
        return objective.loss(PARAMS, {}, WINDOWS)[0]

    np.testing.assert_allclose(loss(0.2), expected.item(), rtol=1e-5)
    np.testing.assert_allclose(
        loss(0.0), training.next_token_nll(BIGRAM, 3).loss(PARAMS, {}, WINDOWS)[0], rtol=1e-6
    )
    smoothed = training.next_token_nll(BIGRAM, 3, label_smoothing=0.2)
    plain = training.next_token_nll(BIGRAM, 3)
    for name, values in plain.evaluate(PARAMS, {}, WINDOWS).items():
        np.testing.assert_array_equal(smoothed.evaluate(PARAMS, {}, WINDOWS)[name], values)


def test_what_is_refused():
    tokens, lengths = jnp.zeros((2, 3), int), jnp.array([1, 2])
    for wrong in (jnp.zeros((2, 1), int), jnp.zeros(3, int)):
        with pytest.raises(ValueError, match="T of 2 or more"):
            training.next_token_nll(BIGRAM, 3).loss(PARAMS, {}, wrong)
    with pytest.raises(ValueError, match="not tuple"):
        training.next_token_nll(BIGRAM, 3).loss(PARAMS, {}, (tokens, tokens))
    with pytest.raises(ValueError, match=r"label_smoothing lies in \[0, 1\], got 2"):
        training.next_token_nll(BIGRAM, 3, label_smoothing=2.0).loss(PARAMS, {}, tokens)
    reals = stateless(lambda key: {}, lambda p, x, *, key, train: jnp.zeros((2, 3)))
    objective = training.sequence_nll(reals, families.bernoulli(), label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"label_smoothing is for labels \[...\] and eta"):
        objective.loss({}, {}, (tokens, Sequences(tokens, lengths)))
