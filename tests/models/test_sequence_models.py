"""Recurrent models against PyTorch, and the four factorisations as distributions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import base, families, generation, models, training
from jaxdl.base import Sequences
from jaxdl.interop import pytorch
from jaxdl.models.seq2seq import Memory
from jaxdl.text.targets import teacher_forcing

V, BOS, EOS = 3, 1, 2  # token 0 is the only word
LENGTHS = jnp.array([4, 2, 3])
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 5, (3, 4)))


def sharpened(params):
    """Far from uniform, so that a wrong factor shows."""
    return jax.tree.map(lambda p: 2 * p + 0.3, params)


def all_targets(longest):
    """Every sequence of words below V without EOS, of up to so many; and which words there are."""
    words = [0, BOS]
    return [list(y) for n in range(longest + 1) for y in itertools.product(words, repeat=n)]


def padded(sequences, width):
    values = np.zeros((len(sequences), width), np.int32)
    for row, sequence in zip(values, sequences, strict=True):
        row[: len(sequence)] = sequence
    return Sequences(jnp.asarray(values), jnp.array([len(s) for s in sequences]))


DIRECTED = {
    "one_to_many": (
        models.recurrent_language_model(models.RecurrentConfig(V, 3, 4, "gru"), context=2),
        models.recurrent_language_model_decoder(models.RecurrentConfig(V, 3, 4, "gru"), context=2),
        lambda n: jnp.tile(jnp.array([[0.5, -1.0]]), (n, 1)),
    ),
    "unaligned": (
        models.seq2seq(models.Seq2SeqConfig(V, None, 3, 4)),
        models.seq2seq_decoder(models.Seq2SeqConfig(V, None, 3, 4)),
        lambda n: Sequences(jnp.tile(jnp.array([[0, 1, 2]]), (n, 1)), jnp.full(n, 2)),
    ),
    "unaligned_without_attention": (
        models.seq2seq(models.Seq2SeqConfig(V, None, 3, 4, "lstm", attention=None)),
        models.seq2seq_decoder(models.Seq2SeqConfig(V, None, 3, 4, "lstm", attention=None)),
        lambda n: Sequences(jnp.tile(jnp.array([[0, 1, 2]]), (n, 1)), jnp.full(n, 2)),
    ),
}


@pytest.mark.equation("L985", 32, "L1005")
@pytest.mark.parametrize("name", DIRECTED)
def test_probabilities_of_all_sequences_sum_to_one(name):
    """With those that have not ended after so many words."""
    model, _, source = DIRECTED[name]
    params, state = model.init(jax.random.key(0))
    params = sharpened(params)
    longest = 3
    targets = all_targets(longest)
    x, y = teacher_forcing(
        source(len(targets)), padded(targets, longest), bos_id=BOS, eos_id=EOS, pad_id=0
    )
    objective = training.sequence_nll(model, families.categorical(V))
    nll = objective.evaluate(params, state, (x, y))["nll"]
    ended = float(jnp.sum(jnp.exp(-nll)))
    # The prefixes of the longest targets, without the factor of their EOS.
    full = [i for i, t in enumerate(targets) if len(t) == longest]
    eta = model.apply(params, state, x)[0]
    log_pi = jax.nn.log_softmax(eta)
    going_on = 0.0
    for i in full:
        said = [log_pi[i, t, token] for t, token in enumerate(targets[i])]
        going_on += float(jnp.exp(sum(said)) * (1 - jnp.exp(log_pi[i, longest, EOS])))
    assert ended == pytest.approx(1 - going_on, abs=1e-5)
    assert 0.05 < going_on < 0.95  # neither part is nothing


@pytest.mark.parametrize("name", DIRECTED)
def test_samples_have_the_frequencies_of_the_likelihood(name):
    model, decoder, source = DIRECTED[name]
    params, state = model.init(jax.random.key(0))
    params = sharpened(params)
    n = 4000
    out = generation.sample(
        decoder, params, state, source(n), key=jax.random.key(1), bos_id=BOS, eos_id=EOS, pad_id=0,
        max_length=3,
    )  # fmt: skip
    targets = all_targets(1)
    x, y = teacher_forcing(source(3), padded(targets, 1), bos_id=BOS, eos_id=EOS, pad_id=0)
    objective = training.sequence_nll(model, families.categorical(V))
    expected = np.exp(-objective.evaluate(params, state, (x, y))["nll"])
    rows = [tuple(r[:k]) for r, k in zip(np.asarray(out.tokens.values), np.asarray(out.tokens.lengths), strict=True)]  # fmt: skip
    found = np.array([rows.count((*t, EOS)) for t in targets]) / n
    np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(0.25 / n))


@pytest.mark.parametrize("name", DIRECTED)
def test_tokens_read_one_by_one_are_the_model(name):
    """A step of three tokens is three steps of one, and both are the model's own logits."""
    model, decoder, source = DIRECTED[name]
    params, state = model.init(jax.random.key(0))
    tokens = jnp.array([[1, 0, 2], [1, 1, 0]])
    expected = model.apply(params, state, {"source": source(2), "inputs": tokens})[0]
    start = decoder.start(params, state, source(2), rows=2, max_length=3)
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(start))
    _, at_once = decoder.step(params, state, start, tokens)
    carry, singly = start, []
    for t in range(3):
        carry, logits = decoder.step(params, state, carry, tokens[:, t : t + 1])
        singly.append(logits[:, 0])
    np.testing.assert_allclose(at_once, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jnp.stack(singly, 1), expected, rtol=1e-5, atol=1e-6)
    # Rows that read different numbers of tokens go on from their own ends.
    carry, _ = decoder.step(params, state, start, tokens, jnp.array([3, 1]))
    _, after = decoder.step(params, state, carry, jnp.array([[2], [1]]))
    np.testing.assert_allclose(after[1, 0], expected[1, 1], rtol=1e-5, atol=1e-6)


def test_a_context_is_asked_for_and_only_there():
    _, decoder, source = DIRECTED["one_to_many"]
    with pytest.raises(ValueError, match="a source is given where the model has a context"):
        decoder.start({}, {}, None, rows=1, max_length=2)
    plain = models.recurrent_language_model_decoder(models.RecurrentConfig(V, 3, 4))
    with pytest.raises(ValueError, match="a source is given where the model has a context"):
        plain.start({}, {}, source(1), rows=1, max_length=2)
    for bad in (models.RecurrentConfig(None), models.RecurrentConfig(V, bidirectional=True)):
        with pytest.raises(ValueError, match="in one direction"):
            models.recurrent_language_model(bad)


@pytest.mark.equation(31, "L945", "L995")
def test_the_classifier_is_that_of_torch_with_packed_sequences():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    config = models.RecurrentConfig(5, features=3, hidden=4, num_layers=2, bidirectional=True)
    model = models.sequence_classifier(config, 1)
    params, state = model.init(jax.random.key(0))
    lstm = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    weights = pytorch.to_torch(pytorch.recurrent(), params["recurrent"])
    lstm.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    with torch.no_grad():
        table = torch.tensor(np.asarray(params["embedding"]["embedding"]))
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            table[torch.tensor(np.asarray(TOKENS))], torch.tensor(np.asarray(LENGTHS)),
            batch_first=True, enforce_sorted=False,
        )  # fmt: skip
        _, (h, _) = lstm(packed)
        last = torch.cat([h[2], h[3]], dim=1)
        head = params["head"]["dense_0"]
        expected = last.numpy() @ np.asarray(head["kernel"]) + np.asarray(head["bias"])
    x, y = Sequences(TOKENS, LENGTHS), jnp.array([1.0, 0.0, 1.0])
    eta, _ = model.apply(params, state, x)
    np.testing.assert_allclose(eta, expected, rtol=1e-5, atol=1e-6)
    objective = training.negative_log_likelihood(model, families.bernoulli())
    loss, _ = objective.loss(params, state, (x, y))
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(expected)[:, 0], torch.tensor(np.asarray(y))
    )
    assert loss == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.equation("L1001")
def test_an_aligned_output_does_not_see_what_comes():
    config = models.RecurrentConfig(None, features=2, hidden=3, cell="gru")
    model = models.sequence_labeller(config, 1)
    params, state = model.init(jax.random.key(0))
    eta = lambda x: model.apply(params, state, x)[0][0, :, 0]
    jacobian = jax.jacobian(eta)(jnp.ones((1, 4, 2)))[:, 0]  # [T, T, D]
    size = abs(jacobian).max(-1)
    np.testing.assert_array_equal(np.triu(size, 1), np.zeros((4, 4)))
    assert (np.tril(size) > 0)[np.tril_indices(4)].all()
    both = models.sequence_labeller(config._replace(bidirectional=True), 1)
    params, state = both.init(jax.random.key(0))
    eta = lambda x: both.apply(params, state, x)[0][0, :, 0]
    assert (abs(jax.jacobian(eta)(jnp.ones((1, 4, 2)))[:, 0]).max(-1) > 0).all()


def test_other_families_extra_layers_and_frozen_embeddings():
    config = models.RecurrentConfig(5, features=3, hidden=4, trainable=False)
    model = models.sequence_classifier(config, 1, head_hidden=(6, 7))
    params, state = model.init(jax.random.key(0))
    assert [params["head"][f"dense_{i}"]["kernel"].shape for i in range(3)] == [
        (4, 6),
        (6, 7),
        (7, 1),
    ]
    x, y = Sequences(TOKENS, LENGTHS), jnp.array([0.5, -2.0, 3.0])
    objective = training.negative_log_likelihood(model, families.normal())
    loss, gradient = jax.value_and_grad(lambda p: objective.loss(p, state, (x, y))[0])(params)
    eta = model.apply(params, state, x)[0][:, 0]
    expected = np.mean(0.5 * (np.asarray(y) - np.asarray(eta)) ** 2 + 0.5 * np.log(2 * np.pi))
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(gradient["embedding"]["embedding"], np.zeros((5, 3)))
    assert abs(gradient["head"]["dense_0"]["kernel"]).max() > 0


@pytest.mark.equation(38)
@pytest.mark.parametrize("kind", ["dot", "additive"])
def test_the_context_by_hand(kind, x64):
    rng = np.random.default_rng(0)
    s, h = rng.normal(size=(1, 3)), rng.normal(size=(1, 4, 3))
    mask = np.array([[True, True, True, False]])
    W, U, v = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(3, 1))
    if kind == "dot":
        params, keys = {"query": {"kernel": jnp.asarray(W)}}, h
        scores = (h[0] @ W.T @ s[0]) / np.sqrt(3)
    else:
        params = {"query": {"kernel": jnp.asarray(W)}, "score": {"kernel": jnp.asarray(v)}}
        keys = h @ U
        scores = np.tanh(s @ W + keys[0])[:, :] @ v[:, 0]
    weights = np.exp(scores[:3]) / np.exp(scores[:3]).sum()
    memory = Memory(jnp.asarray(h), jnp.asarray(keys), jnp.asarray(mask), None)
    context, alpha = models.attentive_context(params, kind, memory, jnp.asarray(s))
    np.testing.assert_allclose(alpha[0], [*weights, 0], rtol=1e-10)
    np.testing.assert_allclose(context[0], weights @ h[0, :3], rtol=1e-10)


def test_attention_maps_are_weights_of_the_source():
    config = models.Seq2SeqConfig(5, features=3, hidden=4)
    params, _ = models.seq2seq(config).init(jax.random.key(0))
    x = {"source": Sequences(TOKENS, LENGTHS), "inputs": TOKENS[:, :2]}
    alpha = models.seq2seq_attention(config, params, x)
    assert alpha.shape == (3, 2, 4)
    np.testing.assert_allclose(alpha.sum(-1), np.ones((3, 2)), rtol=1e-6)
    assert (alpha[1, :, 2:] == 0).all() and (alpha[2, :, 3] == 0).all()
    with pytest.raises(ValueError, match="no weights"):
        models.seq2seq_attention(config._replace(attention=None), params, x)


def test_scheduled_sampling_at_its_ends():
    """At the rate 0 it is teacher forcing; at 1 the given inputs behind the first are not read."""
    make = lambda rate: models.seq2seq(models.Seq2SeqConfig(5, features=3, hidden=4, sampled=rate))
    params, state = make(0.0).init(jax.random.key(0))
    x = {"source": TOKENS, "inputs": TOKENS}
    other = {**x, "inputs": TOKENS.at[:, 1:].set((TOKENS[:, 1:] + 1) % 5)}
    run = jax.jit(
        lambda rate, x: make(rate).apply(params, state, x, key=jax.random.key(3), train=True)[0]
    )
    forced = make(0.0).apply(params, state, x)[0]
    np.testing.assert_allclose(run(0.0, x), forced, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(1.0, x), run(1.0, other), rtol=1e-6)
    assert abs(run(1.0, x) - forced).max() > 1e-3
    with pytest.raises(ValueError, match="needs a key"):
        make(0.5).apply(params, state, x, train=True)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (models.Seq2SeqConfig(5, attention="dots"), "did you mean 'dot'"),
        (models.Seq2SeqConfig(5, cell="gruu"), "did you mean 'gru'"),
        (models.Seq2SeqConfig(0), "num_tokens must be a positive whole number, not 0"),
        (models.Seq2SeqConfig(5, hidden=0), "hidden must be a positive whole number, not 0"),
    ],
)
def test_configs_that_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        models.seq2seq(config)
    with pytest.raises(ValueError, match=message):
        models.seq2seq_decoder(config)


@pytest.mark.equation(32)
def test_a_uniform_model_has_the_same_loss_a_position_whatever_the_padding():
    """ln 26 for rows of 1, 10 and 100 positions: gluon-nlp 238. And D-67: the sum against the mean."""
    model = models.recurrent_language_model(models.RecurrentConfig(26, features=2, hidden=2))
    params, state = model.init(jax.random.key(0))
    params = jax.tree.map(jnp.zeros_like, params)
    lengths = jnp.array([1, 10, 100])
    x = y = Sequences(jnp.zeros((3, 100), jnp.int32), lengths)
    family = families.categorical(26)
    scores = training.sequence_nll(model, family).evaluate(params, state, (x, y))
    np.testing.assert_allclose(scores["nll_per_step"], np.full(3, np.log(26)), rtol=1e-5)
    np.testing.assert_allclose(scores["nll"], np.log(26) * lengths, rtol=1e-5)
    mean = training.sequence_nll(model, family, reduction="mean").loss(params, state, (x, y))[0]
    assert mean == pytest.approx(np.log(26), rel=1e-5)


@pytest.mark.equation(32)
def test_the_mean_of_sums_and_the_mean_of_steps_by_hand():
    """D-67, of 2 steps of 0.5 nats and 10 steps of 0.6: 3.5 a sequence, 7 / 12 = 0.583 a token."""
    echo = base.stateless(lambda key: {}, lambda params, x, *, key, train: x.values)
    lengths = jnp.array([2, 10])
    nats = jnp.array([[0.5], [0.6]])
    logits = jnp.stack([jnp.zeros((2, 1)), jnp.log(jnp.expm1(nats))], axis=-1)  # -log p(0) = nats
    x = Sequences(jnp.tile(logits, (1, 12, 1)), lengths)
    y = Sequences(jnp.zeros((2, 12), jnp.int32), lengths)
    objective = lambda reduction: training.sequence_nll(
        echo, families.categorical(2), reduction=reduction
    )
    loss = lambda reduction: float(objective(reduction).loss({}, {}, (x, y))[0])
    assert loss("sum") == pytest.approx(3.5, rel=1e-6)
    assert loss("mean") == pytest.approx((0.5 + 0.6) / 2, rel=1e-6)  # each sequence counts once
    nats = objective("sum").evaluate({}, {}, (x, y))["nll"]
    assert float(nats.sum() / lengths.sum()) == pytest.approx(7 / 12, rel=1e-6)
