"""What every Model over sequences keeps to; a new model is a new row of the table.

What other models keep to is in ``test_model_contract``.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models
from jaxdl.base import Model, Sequences

N, T, V, K = 3, 4, 5, 2
LENGTHS = np.array([4, 2, 1])
TOKENS = np.random.default_rng(0).integers(0, V, (N, T))
VECTORS = np.random.default_rng(1).normal(size=(N, T, 4)).astype(np.float32)
ONE = Sequences(TOKENS, LENGTHS)
PAIR = {"source": Sequences(TOKENS[::-1], LENGTHS[::-1]), "inputs": ONE}


class Row(NamedTuple):
    model: Model
    x: Any  # Sequences, or a dict of them
    output: tuple[int, ...]  # of eta, without the rows
    stochastic: bool = False  # draws something while training
    aligned: str | None = "inputs"  # whose positions eta has; None where it has one row for all

    @property
    def counts(self):
        """[N, T] or [N], where eta means something."""
        if self.aligned is None:
            return np.ones(N, bool)
        return self.x.mask if isinstance(self.x, Sequences) else self.x[self.aligned].mask


def config(**changes):
    small = models.TransformerConfig(V, features=4, num_heads=2, hidden=6, num_layers=1)
    return small._replace(**changes)


def rotary_and_scanned(**changes):
    choices = {"positions": "rotary", "norm_position": "pre", "scan_layers": True, "tied": False}
    return config(num_layers=2, **choices, **changes)


def recurrent(**changes):
    return models.RecurrentConfig(V, features=4, hidden=3)._replace(**changes)


def pairs(**changes):
    return models.Seq2SeqConfig(V, features=4, hidden=3)._replace(**changes)


MODELS = {
    "transformer": Row(models.transformer(config()), PAIR, (T, V)),
    "transformer_dropout": Row(
        models.transformer(config(dropout=0.4, attention_dropout=0.3, norm_position="pre")),
        PAIR,
        (T, V),
        stochastic=True,
    ),
    "transformer_learned": Row(
        models.transformer(config(positions="learned", max_length=T + 3, source_features=6)),
        PAIR,
        (T, V),
    ),
    "transformer_classifier": Row(
        models.transformer_classifier(config(), K), ONE, (K,), aligned=None
    ),
    "classifier": Row(models.sequence_classifier(recurrent(), K), ONE, (K,), aligned=None),
    "classifier_everything": Row(
        models.sequence_classifier(
            recurrent(cell="gru", num_layers=2, bidirectional=True, dropout=0.3),
            K,
            head_hidden=(5,),
        ),
        ONE,
        (K,),
        stochastic=True,
        aligned=None,
    ),
    "classifier_of_vectors": Row(
        models.sequence_classifier(recurrent(num_tokens=None, cell="simple"), K),
        Sequences(VECTORS, LENGTHS),
        (K,),
        aligned=None,
    ),
    "labeller": Row(models.sequence_labeller(recurrent(), K), ONE, (T, K)),
    "labeller_both_ways": Row(
        models.sequence_labeller(recurrent(bidirectional=True, dropout=0.3), K),
        ONE,
        (T, K),
        stochastic=True,
    ),
    "recurrent_language_model": Row(
        models.recurrent_language_model(recurrent(num_layers=2)), ONE, (T, V)
    ),
    "one_to_many": Row(
        models.recurrent_language_model(recurrent(), context=4),
        {"source": VECTORS[:, 0], "inputs": ONE},
        (T, V),
    ),
    "seq2seq": Row(models.seq2seq(pairs(attention=None, cell="lstm")), PAIR, (T, V)),
    "seq2seq_dot": Row(models.seq2seq(pairs(bidirectional=True)), PAIR, (T, V)),
    "seq2seq_additive": Row(
        models.seq2seq(pairs(attention="additive", num_layers=2, dropout=0.3)),
        PAIR,
        (T, V),
        stochastic=True,
    ),
    "seq2seq_sampled": Row(models.seq2seq(pairs(sampled=0.5)), PAIR, (T, V), stochastic=True),
    "language_model": Row(models.language_model(config(norm_position="pre")), ONE, (T, V)),
    "language_model_scanned": Row(
        models.language_model(rotary_and_scanned(dropout=0.3, remat=True)),
        ONE,
        (T, V),
        stochastic=True,
    ),
}
rows = pytest.mark.parametrize("row", MODELS.values(), ids=MODELS)
is_sequences = lambda node: isinstance(node, Sequences)


def over_sequences(function, x):
    change = lambda part: function(part) if is_sequences(part) else part
    return jax.tree.map(change, x, is_leaf=is_sequences)


def spoilt(x):
    """The same sequences, with other things behind their ends: NaN, or tokens that are none."""

    def spoil(part):
        values = np.asarray(part.values)
        waste = np.nan if np.issubdtype(values.dtype, np.floating) else V + 90
        mask = np.asarray(part.mask).reshape(*part.mask.shape, *(1,) * (values.ndim - 2))
        return part._replace(values=np.where(mask, values, waste))

    return over_sequences(spoil, x)


@functools.cache
def compiled(row_id):
    model = MODELS[row_id].model
    return jax.jit(model.init), jax.jit(lambda p, s, x: model.apply(p, s, x)[0])


def name_of(row):
    return next(name for name, other in MODELS.items() if other is row)


@functools.cache
def initialised(name):
    return compiled(name)[0](jax.random.key(0))


def of(row):
    return initialised(name_of(row))


def evaluate(row, params, state, x):
    return compiled(name_of(row))[1](params, state, x)


def training_key(row):
    return jax.random.key(5) if row.stochastic else None


def assert_equal(a, b, rtol=2e-5, atol=2e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), a, b)


@rows
def test_shapes_and_dtypes(row):
    params, state = of(row)
    eta, after = jax.eval_shape(row.model.apply, params, state, row.x)
    assert eta.shape == (N, *row.output) and eta.dtype == jnp.float32
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    halve = lambda leaf: leaf.astype(jnp.bfloat16) if leaf.dtype == jnp.float32 else leaf
    half, x = jax.tree.map(halve, (params, row.x))
    assert jax.eval_shape(row.model.apply, half, state, x)[0].dtype == jnp.bfloat16


@rows
def test_dtype_follows_the_parameters(x64, row):
    params, state = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), of(row))
    assert jax.eval_shape(row.model.apply, params, state, row.x)[0].dtype == jnp.float64


@rows
def test_jit_equals_eager(row):
    params, state = of(row)
    key = training_key(row)
    run = lambda p, s, x, key: row.model.apply(p, s, x, key=key, train=True)[0]
    with jax.debug_key_reuse(False):  # one mask, twice
        eager, jitted = run(params, state, row.x, key), jax.jit(run)(params, state, row.x, key)
    assert_equal(jitted[row.counts], eager[row.counts])


@rows
def test_vmap_over_inits_equals_a_loop(row):
    keys = jax.random.split(jax.random.key(1), 2)
    with jax.debug_key_reuse(False):
        params, state = jax.jit(jax.vmap(row.model.init))(keys)
        together = jax.jit(jax.vmap(lambda p, s: row.model.apply(p, s, row.x)[0]))(params, state)
        alone = [evaluate(row, *compiled(name_of(row))[0](key), row.x) for key in keys]
    for one, eta in zip(alone, together, strict=True):
        assert_equal(eta[row.counts], one[row.counts])
    assert abs(together[0] - together[1]).max() > 1e-3  # each member its own draw


@rows
def test_padding_and_what_stands_there_change_nothing(row):
    params, state = of(row)
    eta = evaluate(row, params, state, row.x)
    longer = spoilt(over_sequences(lambda part: part.padded(T + 2), row.x))
    for x in (spoilt(row.x), longer):
        other = evaluate(row, params, state, x)
        other = other if row.aligned is None else other[:, :T]
        assert_equal(other[row.counts], eta[row.counts])


@rows
def test_every_parameter_has_a_gradient_that_padding_does_not_reach(row):
    params, state = of(row)
    key = training_key(row)

    def loss(params, x):
        eta, _ = row.model.apply(params, state, x, key=key, train=True)
        values = jnp.sin(eta) * jnp.arange(1.0, 1 + eta.shape[-1])
        counts = row.counts.reshape(*row.counts.shape, *(1,) * (eta.ndim - row.counts.ndim))
        return jnp.sum(jnp.where(counts, values, 0))

    gradient = jax.jit(jax.grad(loss))
    with jax.debug_key_reuse(False):
        clean, other = gradient(params, row.x), gradient(params, spoilt(row.x))
    assert_equal(other, clean, atol=1e-5)
    for path, leaf in jax.tree_util.tree_leaves_with_path(clean):
        name = jax.tree_util.keystr(path)
        assert bool(jnp.isfinite(leaf).all()) and float(abs(leaf).max()) > 1e-4, name


@rows
def test_evaluation_is_deterministic_and_rows_do_not_meet(row):
    params, state = of(row)
    eta = evaluate(row, params, state, row.x)
    again, after = row.model.apply(params, state, row.x, key=jax.random.key(9))
    assert_equal(again[row.counts], eta[row.counts])  # a key changes nothing
    assert_equal(after, state)
    backwards = evaluate(row, params, state, jax.tree.map(lambda leaf: leaf[::-1], row.x))
    assert_equal(backwards[::-1][row.counts], eta[row.counts])


@rows
def test_training_without_a_key_raises_iff_stochastic(row):
    params, state = of(row)
    train = lambda key: row.model.apply(params, state, row.x, key=key, train=True)[0]
    if not row.stochastic:
        evaluated = evaluate(row, params, state, row.x)
        return assert_equal(train(None)[row.counts], evaluated[row.counts])
    with pytest.raises(ValueError, match="key"):
        train(None)
    one, other = train(jax.random.key(5)), train(jax.random.key(6))
    assert abs(one - other)[row.counts].max() > 1e-3
