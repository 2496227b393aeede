"""Encoder and decoder, both recurrent, without and with attention. Notes: §7.3, §8.2."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.base import Array, Decoder, Model, Params, Sequences, stateless
from jaxdl.checks import filled_in, one_of, positive_int
from jaxdl.models.recurrent_config import CELLS, RecurrentConfig, checked, make_cells, split

ATTENTION = (None, "dot", "additive")


class Seq2SeqConfig(NamedTuple):
    """The sizes and choices of an encoder-decoder; rates may be traced. Notes: §7.3, §8.2."""

    num_tokens: int  # V, of the targets
    source_tokens: int | None = None  # of the source; None is V
    features: int = 32  # D, of both embeddings
    hidden: int = 64  # H, of encoder and decoder
    cell: str = "gru"  # or "simple", "lstm"
    num_layers: int = 1  # of the encoder; the decoder has one
    bidirectional: bool = False  # the encoder
    attention: str | None = "dot"  # or "additive"; None: the context is h_T at every step
    dropout: float | Array = 0.0  # of embeddings, between layers, and before the output
    sampled: float | Array = 0.0  # rate of inputs that training takes from the model itself


class Memory(NamedTuple):
    """What the decoder knows of the source.

    states: h_t of the encoder [N, S, E]. keys: what they are found by [N, S, A]. mask: [N, S].
    last: h_T [N, E].
    """

    states: Array
    keys: Array
    mask: Array
    last: Array


def seq2seq(config: Seq2SeqConfig) -> Model:
    """Unaligned many to many: ``p(y | x) = prod_t p(y_t | y_1, ..., y_{t-1}, x)``.

    An encoder reads the source, and its last state begins the decoder's, ``s_0 = h_T``; where it
    reads in both directions, ``s_0 = tanh(W'h_T + b)`` of both (D-81). Then ``s_t = g(y_{t-1}, c_t, s_{t-1})``, and eta_t is linear in
    ``(s_t, c_t)``. The context c_t is

    - ``attention=None``: h_T, all the time. Source: Sutskever et al. (2014), Cho et al. (2014);
    - "dot": ``sum_m alpha(q, h_m) h_m`` with weights softmax(q'h_m / sqrt(E)), ``q = W's_{t-1}``;
    - "additive": the same with scores ``v'tanh(W's_{t-1} + U'h_m)``. Source: Bahdanau et al. (2015).

    x is ``{"source": Sequences [N, S], "inputs": Sequences [N, T]}``, the inputs being the targets
    behind a BOS (D-68): eta [N, T, V] at t depends on inputs up to t. In training each input but
    the first is, with probability ``sampled``, drawn from the model's own last prediction instead:
    scheduled sampling, Bengio et al. (2015); at 0 it is teacher forcing (E-52).

    Params are ``"source_embedding"``, ``"embedding"``, ``"encoder"``, ``"decoder"``, ``"output"``,
    and ``"bridge"`` and ``"attention"`` where there are. Raises ValueError for a config that does not fit together.
    Notes: L1005, §7.2; §7.3; Eq. (38), §8.2.

    >>> model = seq2seq(Seq2SeqConfig(5, features=3, hidden=4))
    >>> params, state = model.init(jax.random.key(0))
    >>> tokens = jnp.array([[1, 2, 3]])
    >>> model.apply(params, state, {"source": tokens, "inputs": tokens[:, :2]})[0].shape
    (1, 2, 5)
    """
    config = _checked(config)
    encoder, cell = _encoder(config), _cell(config)
    width = config.hidden * (2 if config.bidirectional else 1)

    def init(key):
        keys = jax.random.split(key, 8)
        dense, parts = layers.dense_init, len(cell.carry((1,)))
        params = {
            "source_embedding": layers.embedding_init(
                keys[0], filled_in(config.source_tokens), config.features
            ),
            "embedding": layers.embedding_init(keys[1], config.num_tokens, config.features),
            "encoder": layers.stacked_init(keys[2], encoder),
            "decoder": cell.init(keys[4]),
            "output": dense(keys[5], config.hidden + width, config.num_tokens),
        }
        if config.bidirectional:
            params["bridge"] = dense(keys[3], width * parts, config.hidden * parts)
        if config.attention == "dot":
            params["attention"] = {"query": dense(keys[6], config.hidden, width, use_bias=False)}
        if config.attention == "additive":
            v, w, u = jax.random.split(keys[7], 3)
            params["attention"] = {
                "query": dense(w, config.hidden, config.hidden),
                "key": dense(u, width, config.hidden, use_bias=False),
                "score": dense(v, config.hidden, 1, use_bias=False),
            }
        return params

    def apply(params, x, *, key, train):
        keys = split(key, 4)
        memory, carry = _encode(config, params, x["source"], keys[0], train)
        inputs = x["inputs"]
        tokens, lengths = (
            (inputs.filled(), inputs.lengths) if isinstance(inputs, Sequences) else (inputs, None)
        )
        never = isinstance(config.sampled, (int, float)) and config.sampled == 0
        if not train or never:
            y = layers.embedding(params["embedding"], tokens)
            y = layers.dropout(y, config.dropout, key=keys[1], train=train)
            _, out, _ = _decode(config, params, memory, carry, y, lengths)
        else:
            if key is None:
                raise ValueError("scheduled sampling draws with train=True, which needs a key")
            out = _decode_sampled(config, params, memory, carry, tokens, keys[1], keys[3])
        out = layers.dropout(out, config.dropout, key=keys[2], train=train)
        return layers.dense(params["output"], out)

    return stateless(init, apply)


def seq2seq_decoder(config: Seq2SeqConfig) -> Decoder:
    """The Decoder of ``seq2seq(config)``, for the same params. Notes: §7.3, §8.2.

    ``start`` encodes the source, Sequences [N, S] or tokens, once; the carry is ``(memory, s)``.
    """
    config = _checked(config)

    def start(params, state, source, *, rows, max_length):
        if source is None:
            raise ValueError("an encoder-decoder decodes a source; none was given")
        return _encode(config, params, source, None, False)

    def step(params, state, carry, tokens, lengths=None):
        memory, s = carry
        y = layers.embedding(params["embedding"], tokens)
        s, out, _ = _decode(config, params, memory, s, y, lengths)
        return (memory, s), layers.dense(params["output"], out)

    return Decoder(start, step)


def seq2seq_attention(config: Seq2SeqConfig, params: Params, x: dict) -> Array:
    """The weights alpha [N, T, S] of a ``seq2seq`` with attention: where output t looks.

    Raises ValueError for a config without attention. Notes: Eq. (38), §8.2.
    """
    config = _checked(config)
    if config.attention is None:
        raise ValueError("a config with attention=None has no weights")
    memory, carry = _encode(config, params, x["source"], None, False)
    inputs = x["inputs"]
    tokens = inputs.filled() if isinstance(inputs, Sequences) else inputs
    y = layers.embedding(params["embedding"], tokens)
    return filled_in(_decode(config, params, memory, carry, y)[2])


def attentive_context(params: Params, kind: str, memory: Memory, s: Array) -> tuple[Array, Array]:
    """``c = sum_m alpha(q = s, k_m = h_m) h_m`` [N, E] and alpha [N, S], for s [N, H].

    ``kind`` is "dot" or "additive", see ``seq2seq``; a source without any position gives zeros.
    Notes: Eq. (38), §8.2.
    """
    query = layers.dense(params["query"], s)
    if kind == "dot":
        scores = jnp.einsum("ne,nse->ns", query, memory.keys) / query.shape[-1] ** 0.5
    else:
        scores = layers.dense(params["score"], jnp.tanh(query[:, None] + memory.keys))[..., 0]
    scores = jnp.where(memory.mask, scores, jnp.finfo(scores.dtype).min)
    weights = jnp.where(memory.mask, jax.nn.softmax(scores), 0)
    return jnp.einsum("ns,nse->ne", weights, memory.states), weights


def _checked(config):
    positive_int("num_tokens", config.num_tokens)
    source = config.num_tokens if config.source_tokens is None else config.source_tokens
    one_of("attention", config.attention, ATTENTION)
    _encoder(config._replace(source_tokens=source))
    return config._replace(source_tokens=source)


def _encoder(config):
    of_source = RecurrentConfig(
        config.source_tokens,
        config.features,
        config.hidden,
        config.cell,
        config.num_layers,
        config.bidirectional,
    )
    return make_cells(checked(of_source))


def _cell(config):
    width = config.hidden * (2 if config.bidirectional else 1)
    return CELLS[config.cell](config.features + width, config.hidden)


def _encode(config, params, source, key, train):
    """The Memory of a source and the decoder's first carry."""
    keys = split(key, 2)
    tokens = source.filled() if isinstance(source, Sequences) else jnp.asarray(source)
    x = layers.embedding(params["source_embedding"], tokens)
    x = layers.dropout(x, config.dropout, key=keys[0], train=train)
    whole = jnp.ones(tokens.shape, bool)
    mask = source.mask if isinstance(source, Sequences) else whole
    x = source._replace(values=x) if isinstance(source, Sequences) else x
    carries, states = layers.stacked(
        _encoder(config), params["encoder"], x, dropout=config.dropout, key=keys[1], train=train
    )
    ends = carries[-1] if config.bidirectional else (carries[-1],)
    # (c, h) of an LSTM in both directions is c, c, h, h: the last half is h_T.
    parts = [part for parts in zip(*ends, strict=True) for part in parts]
    last = jnp.concatenate(parts[-len(ends) :], axis=-1)
    carry = ends[0]
    if config.bidirectional:
        bridged = jnp.tanh(layers.dense(params["bridge"], jnp.concatenate(parts, axis=-1)))
        carry = tuple(jnp.split(bridged, len(carry), axis=-1))
    keys = (
        layers.dense(params["attention"]["key"], states)
        if config.attention == "additive"
        else states
    )
    return Memory(states, keys, mask, last), carry


def _one(config, params, memory, carry, y):
    """One step: the new carry, what the output is made of [N, H + E], and the weights [N, S]."""
    if config.attention is None:
        context, weights = memory.last, jnp.zeros(memory.mask.shape, y.dtype)
    else:
        context, weights = attentive_context(
            params["attention"], config.attention, memory, carry[-1]
        )
    carry, s = _cell(config).step(params["decoder"], carry, jnp.concatenate([y, context], -1))
    return carry, jnp.concatenate([s, context], axis=-1), weights


def _decode(config, params, memory, carry, y, lengths=None):
    """All steps for embedded inputs y [N, T, D]; the carry stays behind each row's length."""
    rows, steps = y.shape[:2]
    if config.attention is None:
        # The inputs are all known: the cell's own form for whole sequences.
        context = jnp.broadcast_to(memory.last[:, None], (rows, steps, memory.last.shape[-1]))
        x = jnp.concatenate([y, context], axis=-1)
        x = x if lengths is None else Sequences(x, lengths)
        carry, s = layers.unroll(_cell(config), params["decoder"], x, initial=carry)
        return carry, jnp.concatenate([s, context], axis=-1), None

    def step(carry, now):
        y, counts = now
        new, out, weights = _one(config, params, memory, carry, y)
        new = jax.tree.map(lambda n, o: jnp.where(counts[:, None], n, o), new, carry)
        return new, (out, weights)

    counts = jnp.ones((rows, steps), bool)
    if lengths is not None:
        counts = jnp.arange(steps) < lengths[:, None]
    carry, (out, weights) = jax.lax.scan(step, carry, (y.swapaxes(0, 1), counts.T))
    return carry, out.swapaxes(0, 1), weights.swapaxes(0, 1)


def _decode_sampled(config, params, memory, carry, tokens, drop_key, key):
    """All steps of scheduled sampling, for tokens [N, T]."""
    rate = jnp.asarray(config.sampled)

    def step(carry, now):
        carry, logits = carry
        given, t = now
        coin_key, token_key = jax.random.split(jax.random.fold_in(key, t))
        drawn = jax.random.categorical(token_key, jax.lax.stop_gradient(logits)).astype(given.dtype)
        own = (jax.random.uniform(coin_key, given.shape) < rate) & (t > 0)
        y = layers.embedding(params["embedding"], jnp.where(own, drawn, given))
        y = layers.dropout(y, config.dropout, key=jax.random.fold_in(drop_key, t), train=True)
        carry, out, _ = _one(config, params, memory, carry, y)
        return (carry, layers.dense(params["output"], out)), out

    steps = jnp.arange(tokens.shape[1])
    nothing = jnp.zeros((len(tokens), config.num_tokens), params["output"]["kernel"].dtype)
    _, out = jax.lax.scan(step, (carry, nothing), (tokens.swapaxes(0, 1), steps))
    return out.swapaxes(0, 1)
