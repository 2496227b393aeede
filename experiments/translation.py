"""What experiments that write one sequence for another share: characters, training, exact match."""

import time
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxdl import families, generation, training
from jaxdl.base import Decoder, Model, Sequences
from jaxdl.optim import schedules
from jaxdl.text import (
    BOS,
    EOS,
    PAD,
    UNKNOWN,
    pad_sequences,
    teacher_forcing,
    to_ids,
    to_words,
    vocabulary,
)
from jaxdl.training import divergence

IDS = {"bos_id": BOS, "eos_id": EOS, "pad_id": PAD}
FIRST_ID = UNKNOWN + 1  # of the characters


class Trained(NamedTuple):
    """params: of the model. history: of ``training.fit``. seconds: compilation included."""

    params: Any
    history: Any
    seconds: float


class Answers(NamedTuple):
    """What was generated: tokens, and which of the N answers are right, EOS included."""

    tokens: Sequences
    right: np.ndarray


def encode(texts: list[str], characters: str) -> Sequences:
    """Characters as tokens from ``FIRST_ID`` on; those not in ``characters`` are UNKNOWN.

    >>> encode(["ba", "c"], "ab").values.tolist()
    [[5, 4], [3, 0]]
    """
    known = vocabulary(characters)
    return pad_sequences([to_ids(known, text, on_unknown="unknown") for text in texts])


def decode(tokens: Sequences, characters: str) -> list[str]:
    """Texts of tokens [N, T], without BOS, EOS and PAD; what is unknown is called ``<unk>``.

    >>> decode(Sequences(np.array([[5, 4, 2], [3, 2, 0]]), np.array([3, 2])), "ab")
    ['ba', '<unk>']
    """
    known = vocabulary(characters)
    values, lengths = np.asarray(tokens.values), np.asarray(tokens.lengths)
    rows = [row[:length].tolist() for row, length in zip(values, lengths, strict=True)]
    return ["".join(to_words(known, row)) for row in rows]


def take(sequences: Sequences, rows) -> Sequences:
    """Some rows of Sequences."""
    return Sequences(sequences.values[rows], sequences.lengths[rows])


def adam(rate: float, steps: int) -> optax.GradientTransformation:
    """Adam with a warm-up over a tenth of the steps, then a cosine; gradients are clipped at 1."""
    schedule = schedules.warmup_cosine(rate, steps // 10, steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


def fit(
    model: Model,
    objective,
    data,
    *,
    key,
    rate: float,
    steps: int,
    batch_size: int,
    validation=None,
    evaluate_every: int = 1,
    progress: bool = False,
) -> Trained:
    """Train a model for a number of steps; raises a ValueError where the run diverges."""
    began = time.perf_counter()
    learner = training.gradient_learner(model, objective, adam(rate, steps))
    result = training.fit(
        learner,
        data,
        key=key,
        steps=steps,
        batch_size=batch_size,
        validation=validation,
        evaluate_every=evaluate_every,
        progress=progress,
    )
    params = jax.block_until_ready(result.state.params)
    if int(result.history.diverged) >= 0:
        raise ValueError(f"training {divergence.of_history(result.history)}")
    return Trained(params, result.history, time.perf_counter() - began)


def fit_pairs(model: Model, num_tokens: int, source, target, *, validation=None, **how) -> Trained:
    """Train an encoder and decoder on pairs by teacher forcing; see ``fit``."""
    objective = training.sequence_nll(model, families.categorical(num_tokens))
    batch = lambda pair: None if pair is None else teacher_forcing(*pair, **IDS)
    return fit(model, objective, batch((source, target)), validation=batch(validation), **how)


def answer(decoder: Decoder, params, source: Sequences, target: Sequences) -> Answers:
    """Greedy answers to N sources, and which of them are the target to the last token.

    An answer may be a token longer than the longest target; what has no EOS then is wrong.
    """
    longest = int(target.values.shape[1]) + 2
    said = generation.greedy(decoder, params, {}, source, **IDS, max_length=longest)
    _, wanted = teacher_forcing(source, target, **IDS)
    wanted = wanted.padded(longest).filled(PAD)
    right = np.all(np.asarray(said.tokens.filled(PAD)) == np.asarray(wanted), axis=1)
    return Answers(said.tokens, right & np.asarray(said.finished))


def say(decoder: Decoder, params, source: Sequences, characters: str, longest: int) -> list[str]:
    """Greedy answers of up to ``longest`` characters, as texts."""
    said = generation.greedy(decoder, params, {}, source, **IDS, max_length=longest + 1)
    return decode(said.tokens, characters)


def attended(
    decoder: Decoder, weights_of, params, text: str, letters: tuple[str, str], longest: int
):
    """Where a network looks in a text while it answers.

    ``weights_of(params, x)`` gives weights [..., T, S] of a teacher-forced x of one row; ``letters``
    are those of source and target. Returns the weights, and labels of the S columns and T rows.
    """
    source = encode([text], letters[0])
    said = generation.greedy(decoder, params, {}, source, **IDS, max_length=longest + 1)
    ended = bool(said.finished[0])
    body = np.asarray(said.tokens.values)[:1, : int(said.tokens.lengths[0]) - ended]
    x, _ = teacher_forcing(source, Sequences(body, np.array([body.shape[1]], np.int32)), **IDS)
    rows = to_words(vocabulary(letters[1]), body[0].tolist(), special=True)
    return np.asarray(weights_of(params, x)), list(text), [*rows, "END" if ended else "…"]


def shapes(model: Model):
    """The shapes of a model's params."""
    return jax.eval_shape(model.init, jax.random.key(0))[0]
