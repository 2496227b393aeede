"""The models of ``generative`` in PyTorch, on the same parameters. Needs PyTorch.

``loss`` draws its noise by itself, ``loss_of`` is given it, so that it can be compared with ours.
Our kernels, [in, out], are turned round once.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional as F

PHI = {"relu": F.relu, "silu": F.silu}


class Network:
    """``h = phi(W h + b)`` and a linear last layer; kernels may be masked, as MADE's are."""

    def __init__(self, dense: dict, phi: str, device, masks: Sequence | None = None):
        leaf = lambda a: torch.tensor(np.array(a, order="C"), device=device).requires_grad_()
        own = [dense[f"dense_{l}"] for l in range(len(dense))]
        self.layers = [(leaf(d["kernel"].T), leaf(d["bias"])) for d in own]
        self.parameters = [*itertools.chain.from_iterable(self.layers)]
        self.masks = masks and [torch.tensor(m.T.astype(np.float32), device=device) for m in masks]
        self.phi = PHI[phi]

    def kernels(self):
        """(W, b) of each layer, masked where there are masks."""
        if not self.masks:
            return self.layers
        return [(w * mask, b) for (w, b), mask in zip(self.layers, self.masks, strict=True)]

    def __call__(self, h, kernels=None):
        *hidden, last = kernels or self.kernels()
        for w, b in hidden:
            h = self.phi(F.linear(h, w, b))
        return F.linear(h, *last)


class Vae:
    """Two perceptrons, a normal posterior and Bernoulli responses."""

    def __init__(self, params, device="cpu"):
        self.encoder = Network(params["encoder"], "relu", device)
        self.decoder = Network(params["decoder"], "relu", device)
        self.parameters = [*self.encoder.parameters, *self.decoder.parameters]
        self.latent, self.device = self.decoder.layers[0][0].shape[1], device

    def loss(self, x):
        return self.loss_of(x, torch.randn(len(x), self.latent, device=self.device))

    def loss_of(self, x, noise):
        mu, raw = self.encoder(x).chunk(2, -1)
        s = 10 * torch.tanh(raw / 10)
        eta = self.decoder(mu + s.exp() * noise)
        nll = F.binary_cross_entropy_with_logits(eta, x, reduction="none").sum(-1)
        kl = 0.5 * ((2 * s).exp() - 1 - 2 * s + mu.square()).sum(-1)
        return (nll + kl).mean()

    def sample(self, n: int):
        eta = self.decoder(torch.randn(n, self.latent, device=self.device))
        return torch.bernoulli(torch.sigmoid(eta))


class _Flow:
    """Layers with the variables reversed behind each, of a standard normal z."""

    dim: int
    device: str
    parameters: list
    log_prob: Callable
    forward: Callable

    def loss(self, x):
        return -self.log_prob(x).mean()

    def sample(self, n: int):
        return self.forward(torch.randn(n, self.dim, device=self.device))

    def normal(self, z):
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


class RealNvp(_Flow):
    """Affine couplings: the first half of the variables says how the rest is shifted and scaled."""

    def __init__(self, params, dim: int, device="cpu"):
        self.dim, self.kept, self.device = dim, dim // 2, device
        self.layers = [Network(p, "silu", device) for p in _unstacked(params["bijector"][0])]
        self.parameters = [w for layer in self.layers for w in layer.parameters]

    def parts(self, layer, a):
        t, raw = layer(a).view(len(a), self.dim - self.kept, 2).unbind(-1)
        return t, 3 * torch.tanh(raw / 3)

    def log_prob(self, x):
        log_det = 0.0
        for layer in reversed(self.layers):
            x = x.flip(-1)
            a, b = x[:, : self.kept], x[:, self.kept :]
            t, s = self.parts(layer, a)
            x = torch.cat([a, (b - t) * torch.exp(-s)], -1)
            log_det = log_det - s.sum(-1)
        return self.normal(x) + log_det

    def forward(self, z):
        for layer in self.layers:
            a, b = z[:, : self.kept], z[:, self.kept :]
            t, s = self.parts(layer, a)
            z = torch.cat([a, s.exp() * b + t], -1).flip(-1)
        return z


class Maf(_Flow):
    """Masked autoregressive layers: densities in one pass each, samples in one for each variable."""

    def __init__(self, params, dim: int, masks: Sequence, device="cpu"):
        self.dim, self.device = dim, device
        own = _unstacked(params["bijector"][0])
        self.layers = [Network(p, "silu", device, masks) for p in own]
        self.parameters = [w for layer in self.layers for w in layer.parameters]

    def parts(self, layer, x, kernels=None):
        t, raw = layer(x, kernels).view(len(x), self.dim, 2).unbind(-1)
        return t, 3 * torch.tanh(raw / 3)

    def log_prob(self, x):
        log_det = 0.0
        for layer in reversed(self.layers):
            x = x.flip(-1)
            t, s = self.parts(layer, x)
            x = (x - t) * torch.exp(-s)
            log_det = log_det - s.sum(-1)
        return self.normal(x) + log_det

    def forward(self, z):
        for layer in self.layers:
            kernels, x = layer.kernels(), torch.zeros_like(z)
            for i in range(self.dim):
                t, s = self.parts(layer, x, kernels)
                x[:, i] = s[:, i].exp() * z[:, i] + t[:, i]
            z = x.flip(-1)
        return z


class Diffusion:
    """A perceptron of noisy x and sinusoids of the time, which learns to say v."""

    def __init__(self, params, log_alpha_bar, time_features: int, device="cpu"):
        self.network = Network(params["network"], "silu", device)
        self.parameters, self.device = self.network.parameters, device
        self.dim = self.network.layers[-1][1].shape[0]
        log_alpha_bar = np.concatenate([[0.0], np.asarray(log_alpha_bar, np.float64)])
        self.steps = len(log_alpha_bar) - 1
        signal, noise = np.exp(0.5 * log_alpha_bar), np.sqrt(-np.expm1(log_alpha_bar))
        tensor = lambda a: torch.tensor(a.astype(np.float32), device=device)
        self.signal, self.noise = tensor(signal), tensor(noise)
        self.numbers = signal.tolist(), noise.tolist()
        self.rates = tensor(10_000.0 ** (-2 * np.arange(time_features // 2) / time_features))

    def loss(self, x):
        t = torch.randint(1, self.steps + 1, (len(x),), device=self.device)
        return self.loss_of(x, t, torch.randn_like(x))

    def loss_of(self, x, t, noise):
        signal, sigma = self.signal[t][:, None], self.noise[t][:, None]
        said = self.v(signal * x + sigma * noise, t)
        return F.mse_loss(said, signal * noise - sigma * x)

    def v(self, x, t):
        angles = (1000 * (t / self.steps))[:, None] * self.rates
        waves = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
        return self.network(torch.cat([x, waves], -1))

    def sample(self, n: int):
        first = torch.randn(n, self.dim, device=self.device)
        return self.denoised(first, lambda x: torch.randn_like(x))

    def denoised(self, x, draw):
        """x_0 of x_T, with the noise of each step drawn by ``draw(x)``."""
        signals, noises = self.numbers
        for t in range(self.steps, 0, -1):
            signal, sigma, total, left = signals[t], noises[t], noises[t] ** 2, noises[t - 1] ** 2
            x0 = signal * x - sigma * self.v(x, torch.full((len(x),), t, device=self.device))
            alpha = (signal / signals[t - 1]) ** 2
            mean = (signals[t - 1] * (1 - alpha) * x0 + math.sqrt(alpha) * left * x) / total
            x = mean if t == 1 else mean + math.sqrt((1 - alpha) * left / total) * draw(x)
        return x


def _unstacked(tree: dict) -> list[dict]:
    """Parameters with a leading axis [depth] as a list of as many."""
    depth = len(tree["dense_0"]["bias"])
    return [
        {name: {k: v[i] for k, v in p.items()} for name, p in tree.items()} for i in range(depth)
    ]
