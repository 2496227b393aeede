"""Characters and exact match by hand: what the two experiments on pairs of sequences share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import translation
from experiments.translation import decode, encode
from jaxdl.base import Decoder, Sequences
from jaxdl.text import EOS


def test_characters_there_and_back():
    tokens = encode(["cab", "", "a?"], "abc")
    assert tokens.values.tolist() == [[6, 4, 5], [0, 0, 0], [4, 3, 0]]
    assert tokens.lengths.tolist() == [3, 0, 2]
    assert decode(tokens, "abc") == ["cab", "", "a<unk>"]


def parrot():
    """Says the source, then EOS: its carry counts, and the logits are one-hot."""

    def start(params, state, source, *, rows, max_length):
        said = jnp.where(source.mask, source.values, EOS)
        said = jnp.pad(said, ((0, 0), (0, max_length)), constant_values=EOS)
        return {"said": said, "at": jnp.zeros(rows, jnp.int32)}

    def step(params, state, carry, tokens, lengths=None):
        now = jnp.take_along_axis(carry["said"], carry["at"][:, None], axis=1)
        return {**carry, "at": carry["at"] + 1}, 9.0 * jax.nn.one_hot(now, 8)

    return Decoder(start, step)


def test_an_answer_is_right_if_all_of_it_is():
    source = encode(["ab", "ab", "ab", "a", ""], "ab")
    target = encode(["ab", "bb", "a", "ab", ""], "ab")
    answers = translation.answer(parrot(), {}, source, target)
    # Same; another character; one too many; one too few; nothing, as it should be.
    assert answers.right.tolist() == [True, False, False, False, True]
    assert decode(answers.tokens, "ab") == ["ab", "ab", "ab", "a", ""]


def test_what_never_ends_is_wrong():
    endless = Decoder(
        lambda params, state, source, *, rows, max_length: {"rows": jnp.zeros(rows)},
        lambda params, state, carry, tokens, lengths=None: (
            carry, jnp.tile(jax.nn.one_hot(4, 8), (*tokens.shape, 1))
        ),
    )  # fmt: skip
    source = encode(["a", "a"], "a")
    answers = translation.answer(endless, {}, source, encode(["aa", "aaa"], "a"))
    assert answers.right.tolist() == [False, False]


def test_rows_are_taken_together():
    some = translation.take(Sequences(np.eye(3), np.array([1, 2, 3])), [2, 0])
    assert some.values[0, 2] == 1 and some.lengths.tolist() == [3, 1]


def test_a_run_that_diverges_is_a_mistake_of_the_user():
    from jaxdl import families, models, training

    model = models.mlp((1, 1))
    objective = training.negative_log_likelihood(model, families.normal())
    x = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
    with pytest.raises(
        ValueError, match=r"training diverged in epoch [0-9]+: .*try a smaller learning rate"
    ):
        translation.fit(
            model, objective, (x, x[:, 0]), key=jax.random.key(0), rate=1e30, steps=20,
            batch_size=8,
        )  # fmt: skip


def test_labels_of_a_map_are_of_its_rows_whatever_was_said():
    """An answer may be empty, may never end, and may hold a special id."""
    weights = lambda params, x: np.zeros((*x["inputs"].values.shape, *x["source"].values.shape[1:]))
    look = lambda decoder, text: translation.attended(decoder, weights, {}, text, ("ab", "ab"), 2)
    for text, rows in (("ab", ["a", "b", "END"]), ("abab", ["a", "b", "a", "…"]),
                       ("?", ["<unk>", "END"])):  # fmt: skip
        drawn, source, said = look(parrot(), text)
        assert (source, said) == (list(text), rows)
        assert drawn.shape == (1, len(rows), len(text))
    assert look(parrot(), "")[2] == ["END"]
