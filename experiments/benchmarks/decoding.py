"""Generation by a language model: with keys and values kept, computed anew, and in PyTorch."""

import math
from typing import Any

import numpy as np

from experiments.benchmarks.timing import Row, timed


def rows(config: Any, tokens: int, repeats: int) -> list[Row]:
    """``tokens`` tokens of one row, the most probable each time, on the same weights."""
    import jax
    import jax.numpy as jnp

    from jaxdl import generation, models, programs

    model, decoder = models.language_model(config), models.language_model_decoder(config)
    params, state = model.init(jax.random.key(0))

    def cached():
        out = generation.greedy(
            decoder, params, state, bos_id=1, eos_id=None, pad_id=0, max_length=tokens
        )
        return np.asarray(out.tokens.values[0])

    def anew(params):
        """The whole sequence, as long as it will be, through the model for each token."""

        def one(t, read):
            eta, _ = model.apply(params, state, read)
            return read.at[0, t + 1].set(jnp.argmax(eta[0, t]).astype(read.dtype))

        start = jnp.zeros((1, tokens + 1), jnp.int32).at[0, 0].set(1)
        return jax.lax.fori_loop(0, tokens, one, start)[0, 1:]

    program = jax.jit(anew, compiler_options=programs.compiler_options())
    ways = {"cached": cached, "computed anew": lambda: np.asarray(program(params))}
    try:
        from jaxdl.parallel import usable_cores

        network = TorchLanguageModel(jax.tree.map(np.asarray, params), config)
        for threads in sorted({1, usable_cores()}):
            ways[f"PyTorch with kept keys and values, {threads} threads"] = lambda n=threads: (
                network.generate(tokens, n)
            )
    except ImportError as error:
        print(f"  PyTorch does not run here: {error}")
    block = f"greedy generation of {tokens} tokens"
    found, first = [], None
    for way, generate in ways.items():
        cold, said = timed(generate, 1)
        run, _ = timed(generate, repeats)
        first = said if first is None else first
        same = int(np.argmin([*(said == first), False]))
        agree = "" if said is first else f", the first {same} as cached"
        found.append(
            Row(block, way, run, max(cold - run, 0), cold, f"{tokens / run:,.0f} tokens/s{agree}")
        )
    return found


class TorchLanguageModel:
    """``models.language_model`` (pre-LN, sinusoidal positions, not tied) in PyTorch."""

    def __init__(self, params: Any, config: Any):
        import torch

        self.torch, self.config = torch, config
        tensor = lambda leaf: torch.tensor(np.array(leaf))
        flat = lambda p: tensor(p["kernel"].reshape(config.features, -1))
        self.layers = []
        for i in range(config.num_layers):
            layer = params["decoder"][f"layer_{i}"]
            attention, network = layer["attention"], layer["ffn"]
            norms = [layer[name] for name in sorted(n for n in layer if n.startswith("norm"))]
            self.layers.append(
                {
                    "qkv": torch.cat([flat(attention[n]) for n in ("query", "key", "value")], 1),
                    "out": tensor(attention["out"]["kernel"].reshape(-1, config.features)),
                    "norms": [tuple(tensor(n[k]) for k in ("scale", "bias")) for n in norms],
                    "ffn": [tuple(tensor(network[n][k]) for k in ("kernel", "bias"))
                            for n in sorted(network)],
                }
            )  # fmt: skip
        self.norm = tuple(tensor(params["decoder"]["norm"][k]) for k in ("scale", "bias"))
        self.embedding = tensor(params["embedding"]["tokens"]["embedding"])
        self.output = tensor(params["output"]["kernel"])

    def generate(self, tokens: int, threads: int) -> np.ndarray:
        """The most probable tokens [tokens] behind token 1; keys and values are written in place."""
        torch, width, heads = self.torch, self.config.features, self.config.num_heads
        torch.set_num_threads(threads)
        rates = 10_000 ** (-torch.arange(0, width, 2) / width)
        angles = torch.arange(tokens)[:, None] * rates
        positions = torch.stack([angles.sin(), angles.cos()], -1).reshape(tokens, width)
        room = (heads, tokens, width // heads)
        kept = [(torch.zeros(room), torch.zeros(room)) for _ in self.layers]
        normal = lambda x, p: torch.nn.functional.layer_norm(x, (width,), *p, self.config.epsilon)
        token, said = torch.tensor(1), []
        with torch.inference_mode():
            for t in range(tokens):
                x = self.embedding[token] + positions[t]
                for layer, (keys, values) in zip(self.layers, kept, strict=True):
                    q, k, v = (normal(x, layer["norms"][0]) @ layer["qkv"]).view(3, heads, -1)
                    keys[:, t], values[:, t] = k, v
                    scores = keys[:, : t + 1] @ q[..., None] / math.sqrt(width // heads)
                    weights = scores[..., 0].softmax(-1)
                    x = x + (weights[:, None] @ values[:, : t + 1]).reshape(-1) @ layer["out"]
                    (w0, b0), (w1, b1) = layer["ffn"]
                    hidden = torch.relu(normal(x, layer["norms"][1]) @ w0 + b0)
                    x = x + hidden @ w1 + b1
                token = (normal(x, self.norm) @ self.output).argmax()
                said.append(int(token))
        return np.array(said)
