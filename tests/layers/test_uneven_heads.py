"""Heads of different widths: by hand, and as torch's heads where the widths are equal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from jaxdl import layers

RNG = np.random.default_rng(0)


@pytest.mark.equation(36)
@pytest.mark.equation("L1045")
@pytest.mark.parametrize("causal", [False, True])
def test_heads_of_their_own_widths_by_hand(x64, causal):
    widths, value_widths = (1, 3), (2, 5)
    params = layers.uneven_heads_init(
        jax.random.key(0), 4, widths, value_widths, kv_dim=3, value_dim=2, out_features=6,
        dtype=jnp.float64,
    )  # fmt: skip
    q, k, v = RNG.normal(size=(2, 5, 4)), RNG.normal(size=(2, 5, 3)), RNG.normal(size=(2, 5, 2))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    heads, outs = [], []
    for e, width in enumerate(widths):
        head = {name: np.asarray(part["kernel"]) for name, part in params[f"head_{e}"].items()}
        scores = (q @ head["query"]) @ (k @ head["key"]).swapaxes(1, 2) / np.sqrt(width)
        seen = mask[:, None] & (np.tri(5, dtype=bool) if causal else True)
        heads.append(softmax(np.where(seen, scores, -np.inf), -1) @ (v @ head["value"]))
        outs.append(head["out"])
    expected = np.concatenate(heads, -1) @ np.concatenate(outs)
    ours = layers.uneven_heads_attention(params, q, k, v, mask=mask[:, None, None], causal=causal)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-13)


def test_equal_widths_are_torchs_heads(x64):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.MultiheadAttention(6, 3, bias=False, batch_first=True, dtype=torch.float64)
    x = RNG.normal(size=(2, 4, 6))
    expected = theirs(*[torch.tensor(x)] * 3)[0].detach().numpy()
    projections = theirs.in_proj_weight.detach().numpy().reshape(3, 3, 2, 6)  # of q, k, v; heads
    out = theirs.out_proj.weight.detach().numpy().T.reshape(3, 2, 6)
    params = {
        f"head_{e}": {
            **{n: {"kernel": projections[i, e].T} for i, n in enumerate(("query", "key", "value"))},
            "out": {"kernel": out[e]},
        }
        for e in range(3)
    }
    np.testing.assert_allclose(layers.uneven_heads_attention(params, x), expected, atol=1e-14)


def test_output_kernels_have_the_spread_of_one_whole_kernel():
    """Each W_o of fan-in v_e alone would make the sum of h heads h times as large."""
    params = layers.uneven_heads_init(jax.random.key(0), 8, (2,) * 50, (4,) * 50, out_features=64)
    kernels = np.stack([head["out"]["kernel"] for head in params.values()])
    np.testing.assert_allclose(kernels.std(), 1 / np.sqrt(200), rtol=0.05)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (((), None), "each head has a key_width and a value_width, not 0 and 0"),
        (((1, 2), (1,)), "not 2 and 1 of them"),
        (((1, 0), None), "key_widths must be a positive whole number, not 0"),
    ],
)
def test_sizes_that_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        layers.uneven_heads_init(jax.random.key(0), 4, *sizes)
