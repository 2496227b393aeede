"""Encoder-decoders with the parameters of PyTorch's LSTM and GRU, written out step by step there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import families, models, training
from jaxdl.base import Sequences
from jaxdl.interop import pytorch
from jaxdl.text import teacher_forcing

V, D, H = 6, 3, 4
SOURCE = Sequences(jnp.array([[3, 4, 5, 3], [5, 4, 0, 0], [4, 3, 5, 0]]), jnp.array([4, 2, 3]))
TARGET = Sequences(jnp.array([[4, 3], [5, 0], [3, 5]]), jnp.array([2, 1, 2]))
CASES = [
    (None, "lstm", False), (None, "gru", True), ("dot", "gru", False), ("additive", "lstm", True),
]  # fmt: skip


def tensor(torch, array):
    return torch.tensor(np.asarray(array))


def load(torch, layout, params, theirs):
    weights = pytorch.to_torch(layout, params)
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})


def linear(torch, params, x):
    out = x @ tensor(torch, params["kernel"])
    return out + tensor(torch, params["bias"]) if "bias" in params else out


def logits_of_torch(torch, params, kind, cell, both, inputs):
    """eta [N, T, V]: packed sequences in the encoder, a loop over steps in the decoder."""
    encoder = getattr(torch.nn, cell.upper())(D, H, batch_first=True, bidirectional=both)
    load(torch, pytorch.recurrent(), params["encoder"], encoder)
    table = tensor(torch, params["source_embedding"]["embedding"])
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        table[tensor(torch, SOURCE.values)], tensor(torch, SOURCE.lengths), batch_first=True,
        enforce_sorted=False,
    )  # fmt: skip
    out, last = encoder(packed)
    states, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    last = (last[1], last[0]) if cell == "lstm" else (last,)  # c, h
    beside = [torch.cat(list(part), dim=1) for part in last]
    carry = beside
    if both:
        bridged = torch.tanh(linear(torch, params["bridge"], torch.cat(beside, dim=1)))
        carry = list(bridged.split(H, dim=1))
    decoder = getattr(torch.nn, cell.upper() + "Cell")(D + states.shape[2], H)
    load(torch, pytorch.cell(), params["decoder"], decoder)
    embedded = tensor(torch, params["embedding"]["embedding"])[tensor(torch, inputs)]
    mask, logits = tensor(torch, SOURCE.mask), []
    for y in embedded.unbind(1):
        context = beside[-1]
        if kind is not None:
            query = linear(torch, params["attention"]["query"], carry[-1])
            if kind == "dot":
                scores = torch.einsum("ne,nse->ns", query, states) / states.shape[2] ** 0.5
            else:
                keys = linear(torch, params["attention"]["key"], states)
                both_sides = torch.tanh(query[:, None] + keys)
                scores = linear(torch, params["attention"]["score"], both_sides)[..., 0]
            alpha = scores.masked_fill(~mask, -torch.inf).softmax(1)
            context = torch.einsum("ns,nse->ne", alpha, states)
        x = torch.cat([y, context], dim=1)
        if cell == "lstm":
            h, c = decoder(x, (carry[1], carry[0]))
            carry = [c, h]
        else:
            carry = [decoder(x, carry[0])]
        logits.append(linear(torch, params["output"], torch.cat([carry[-1], context], dim=1)))
    return torch.stack(logits, dim=1)


@pytest.mark.equation(38, "L1005")
@pytest.mark.parametrize(("kind", "cell", "both"), CASES)
def test_logits_and_loss_are_those_of_torch(kind, cell, both):
    """s_0 = h_T, also where the encoder reads both ways and a bridge makes widths agree (D-81)."""
    torch = pytest.importorskip("torch")
    config = models.Seq2SeqConfig(
        V, features=D, hidden=H, cell=cell, bidirectional=both, attention=kind
    )
    model = models.seq2seq(config)
    params, state = model.init(jax.random.key(0))
    # Offsets that start at zero would hide where they belong.
    params = jax.tree.map(lambda p: p + 0.1 * jnp.cos(jnp.arange(p.size)).reshape(p.shape), params)
    x, y = teacher_forcing(SOURCE, TARGET, bos_id=1, eos_id=2, pad_id=0)
    with torch.no_grad():
        expected = logits_of_torch(torch, params, kind, cell, both, x["inputs"].values)
        losses = torch.nn.functional.cross_entropy(
            expected.transpose(1, 2), tensor(torch, y.values).long(), reduction="none"
        )
        total = (losses * tensor(torch, y.mask)).sum() / len(losses)
    eta, _ = model.apply(params, state, x)
    counts = np.asarray(y.mask)
    np.testing.assert_allclose(
        np.asarray(eta)[counts], expected.numpy()[counts], rtol=1e-5, atol=2e-6
    )
    loss, _ = training.sequence_nll(model, families.categorical(V)).loss(params, state, (x, y))
    assert loss == pytest.approx(total.item(), rel=1e-5)
