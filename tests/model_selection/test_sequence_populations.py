"""Models over sequences in populations: each member as if it had been trained alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import families, losses, models, training
from jaxdl.base import Sequences
from jaxdl.model_selection import cross_validate, member_key
from jaxdl.text import teacher_forcing

N, T, V = 12, 4, 5
DRAW = np.random.default_rng(0)
TOKENS = Sequences(DRAW.integers(4, 4 + V, (N, T)), DRAW.integers(1, T + 1, N).astype(np.int32))
LABELS = DRAW.integers(0, 2, N).astype(np.int32)
EVERY = Sequences(DRAW.integers(0, 2, (N, T)), TOKENS.lengths)
PAIRS = jax.tree.map(np.asarray, teacher_forcing(TOKENS, TOKENS, bos_id=1, eos_id=2, pad_id=0))
SIZE = 4 + V
SMALL = {"features": 3, "hidden": 3}


def recurrent(h, cell="gru", **changes):
    return models.RecurrentConfig(SIZE, cell=cell, dropout=h["dropout"], **SMALL, **changes)


def one_response(model):
    return model, training.negative_log_likelihood(model, families.categorical(2))


def each_position(model, h, labels=SIZE):
    smoothing = h["smoothing"]
    family = families.categorical(labels)
    return model, training.sequence_nll(model, family, label_smoothing=smoothing)


def transformer_config(h):
    return models.TransformerConfig(
        SIZE, features=4, num_heads=2, hidden=4, num_layers=1, dropout=h["dropout"]
    )


def seq2seq(h):
    config = models.Seq2SeqConfig(SIZE, dropout=h["dropout"], sampled=h["sampled"], **SMALL)
    return each_position(models.seq2seq(config), h)


def language_model(h):
    model = models.recurrent_language_model(recurrent(h, "lstm"))
    return model, training.next_token_nll(model, SIZE, label_smoothing=h["smoothing"])


# What a setting becomes, and the data.
ROWS = {
    "simple": (lambda h: one_response(models.sequence_classifier(recurrent(h, "simple"), 2)),
               (TOKENS, LABELS)),
    "lstm": (lambda h: one_response(models.sequence_classifier(recurrent(h, "lstm"), 2)),
             (TOKENS, LABELS)),
    "gru_both_ways": (
        lambda h: one_response(
            models.sequence_classifier(recurrent(h, bidirectional=True), 2, head_hidden=(3,))
        ),
        (TOKENS, LABELS),
    ),
    "labeller": (lambda h: each_position(models.sequence_labeller(recurrent(h), 2), h, 2),
                 (TOKENS, EVERY)),
    "language_model": (language_model, TOKENS),
    "seq2seq": (seq2seq, PAIRS),
    "transformer_classifier": (
        lambda h: one_response(models.transformer_classifier(transformer_config(h), 2)),
        (TOKENS, LABELS),
    ),
    "transformer": (lambda h: each_position(models.transformer(transformer_config(h)), h), PAIRS),
}  # fmt: skip
GRID = [
    {"rate": 0.03, "dropout": 0.0, "decay": 0.0, "smoothing": 0.0, "sampled": 0.0},
    {"rate": 0.01, "dropout": 0.3, "decay": 0.1, "smoothing": 0.1, "sampled": 0.5},
]


def learner_of(make):
    def learner(h):
        model, objective = make(dict(h))  # not every model reads every setting
        optimizer = optax.adamw(h["rate"], weight_decay=h["decay"], mask=losses.decay_mask)
        return training.gradient_learner(model, objective, optimizer)

    return learner


QUICK = ("lstm", "language_model")
NAMES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in ROWS]


@pytest.mark.parametrize("name", NAMES)
def test_a_member_is_the_model_trained_alone(name, allow_key_reuse):
    """Rates, dropout, decay, smoothing and scheduled sampling are traced: one program for all."""
    make, data = ROWS[name]
    train, valid = np.arange(8), np.arange(8, N)
    key = jax.random.key(0)
    study = cross_validate(
        learner_of(make), GRID, data, key=key, folds=[(train, valid)], epochs=2, batch_size=4,
        metric="nll",
    )  # fmt: skip
    assert study.num_programs == 1
    rows = lambda part: jax.tree.map(lambda leaf: leaf[part], data)
    result = training.fit(
        learner_of(make)(jax.tree.map(jnp.float32, GRID[1])), rows(train),
        key=member_key(key, 0, 0), epochs=2, batch_size=4, validation=rows(valid),
    )  # fmt: skip
    alone = np.asarray(result.history.validation["nll"])[-1]
    np.testing.assert_allclose(study.scores["nll"][1, 0, 0], alone, rtol=1e-5)
    assert abs(study.scores["nll"][0, 0, 0] - alone) > 1e-4


def test_what_stands_behind_ends_changes_no_member(allow_key_reuse):
    make, (x, y) = ROWS["lstm"]
    spoilt = x._replace(values=np.where(x.mask, x.values, 10**6))
    scores = [
        cross_validate(
            learner_of(make), GRID[:1], (part, y), key=jax.random.key(0), folds=2, epochs=1,
            batch_size=5,
        ).scores["nll"]
        for part in (x, spoilt)
    ]  # fmt: skip
    np.testing.assert_array_equal(*scores)


def test_scores_are_the_same_for_every_batch_size(allow_key_reuse):
    """The last, partial batch counts by its rows: jack 174. At the rate 0 nothing else differs."""
    make, data = ROWS["simple"]
    fold = [(np.arange(5), np.arange(5, N))]
    scores = [
        cross_validate(
            learner_of(make), [{**GRID[0], "rate": 0.0}], data, key=jax.random.key(0), folds=fold,
            epochs=1, batch_size=size,
        ).scores["nll"]
        for size in (2, 3, None)
    ]  # fmt: skip
    np.testing.assert_allclose(scores[1:], scores[:1] * 2, rtol=1e-6)
