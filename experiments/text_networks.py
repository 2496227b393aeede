"""Networks that read a text and name its class, and how they are trained: what ``sentiment`` compares.

A setting has the static ``model`` and ``width`` (a program for each) and floats, which share it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import jaxdl
from experiments import saved
from jaxdl import families, models, text, training
from jaxdl.base import Learner, Model, Sequences, identity_transform
from jaxdl.checks import one_of
from jaxdl.files import reason
from jaxdl.model_selection.fitted import Fitted
from jaxdl.model_selection.saved import load, read_header, save
from jaxdl.model_selection.study import Recipe
from jaxdl.optim import schedules
from jaxdl.text.vocabulary import Vocabulary, as_json, from_json
from jaxdl.training.batching import Lengths

MODELS = ("simple", "lstm", "gru", "bidirectional", "transformer")
FLOATS = ("rate", "dropout")


class TextProblem(NamedTuple):
    """What a saved model knows of its texts.

    name: of the data. target: the column of the classes. classes: names of the K classes.
    vocabulary: of the words that have a token. length: the longest text in tokens; of longer ones
    the end is cut off.
    """

    name: str
    target: str
    classes: tuple[str, ...]
    vocabulary: Vocabulary
    length: int


def network(problem: TextProblem, h: Mapping[str, Any]) -> Model:
    """Sequences of tokens to logits [B, K] by what ``h["model"]`` names.

    "simple", "lstm" and "gru" are recurrent in one direction, "bidirectional" is a GRU in both;
    "transformer" has two pre-LN layers of four heads.
    """
    tokens, outputs, width = problem.vocabulary.size, len(problem.classes), h["width"]
    if h["model"] == "transformer":
        config = models.TransformerConfig(
            tokens,
            features=width,
            num_heads=4,
            hidden=2 * width,
            num_layers=2,
            norm_position="pre",
            dropout=h["dropout"],
        )
        return models.transformer_classifier(config, outputs)
    both = h["model"] == "bidirectional"
    config = models.RecurrentConfig(
        tokens,
        features=width,
        hidden=width,
        cell="gru" if both else h["model"],
        bidirectional=both,
        dropout=h["dropout"],
    )
    return models.sequence_classifier(config, outputs)


def make_learner(problem: TextProblem, steps: int) -> Callable[[Mapping[str, Any]], Learner]:
    """A function of a setting that builds a Learner.

    Adam on the mean negative log-likelihood, gradients clipped at the norm 1; the rate rises for a
    tenth of the ``steps`` and falls to zero as a cosine.
    """

    def make(h):
        model = network(problem, h)
        family = families.categorical(len(problem.classes))
        rate = schedules.warmup_cosine(h["rate"], steps // 10, steps)
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
        objective = training.negative_log_likelihood(model, family)
        return training.gradient_learner(model, objective, optimizer)

    return make


def as_tokens(texts: Sequence[str], problem: TextProblem) -> Sequences:
    """Texts as Sequences [N, T], T the problem's length; words without a token are UNKNOWN."""
    encode = text.word_tokenizer(problem.vocabulary).encode
    rows = [encode(t) for t in texts]
    return text.pad_sequences(rows, length=problem.length, truncate="end")


def save_model(path: str | os.PathLike, fitted: Fitted, problem: TextProblem) -> None:
    """Write trained networks with their TextProblem, for ``load_model``."""
    about = problem._asdict() | {"vocabulary": as_json(problem.vocabulary)}
    save(path, fitted, {"format": 1, "jaxdl": jaxdl.__version__, "texts": about})


def load_model(path: str | os.PathLike) -> tuple[Fitted, TextProblem]:
    """What ``save_model`` wrote. Raises a ValueError for a file that is damaged or something else."""
    header = read_header(Path(path))
    try:
        values = header["about"]["texts"]
        problem = TextProblem(
            name=str(values["name"]),
            target=str(values["target"]),
            classes=saved.texts(values["classes"], "classes"),
            vocabulary=from_json(values["vocabulary"]),
            length=saved.size(values["length"], "length"),
        )
        hparams = [
            {
                "model": one_of("model", h["model"], MODELS),
                "width": saved.size(h["width"], "width"),
                **{k: saved.number(h[k], k) for k in FLOATS},
            }
            for h in header["hparams"]
        ]
        if not hparams:
            raise ValueError("it has no settings")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a model of experiments.sentiment ({reason(error)})"
        ) from None
    recipe = Recipe(
        make_learner(problem, 1),
        identity_transform(),
        Lengths(1, 1, 1, "keep"),
        None,
        jax.random.key(0),
    )
    rows = Sequences(np.zeros((2, problem.length), np.int32), np.zeros(2, np.int32))
    return load(path, recipe, hparams, (rows, np.zeros(2, np.int32))), problem
