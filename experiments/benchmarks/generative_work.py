"""What the ways of ``generative`` have in common: the work, its figures, and our models."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.timing import digits, timed


class Work(NamedTuple):
    """x [N, D] to learn from, in whole batches: the rest of an epoch's rows waits for the next."""

    x: np.ndarray
    epochs: int
    batch_size: int
    rate: float = 1e-3

    @property
    def steps(self) -> int:
        return self.epochs * self.per_epoch

    @property
    def per_epoch(self) -> int:
        return len(self.x) // self.batch_size

    def batches(self, seed: int = 0) -> list[np.ndarray]:
        """The rows of every step, in an order that is drawn anew for each epoch."""
        rng, whole = np.random.default_rng(seed), self.per_epoch * self.batch_size
        orders = [rng.permutation(len(self.x))[:whole] for _ in range(self.epochs)]
        return [rows for order in orders for rows in order.reshape(-1, self.batch_size)]


class Learned(NamedTuple):
    """Seconds of all steps or draws, of what comes before (compilation, a first call), and a figure
    that shows that they were done: the mean loss of the last epoch, the mean square of draws."""

    run: float
    before: float
    figure: float


class Kind(NamedTuple):
    """A model of ours and its peer.

    learner: ``(rate) -> Learner``, by Adam.
    sample: ``(params, key, n) -> x [n, D]``.
    peer: ``(params, device) -> `` the model in PyTorch; ImportError where there is none.
    """

    learner: Callable
    sample: Callable
    peer: Callable


def _learner(model, objective, rate):
    import optax

    from jaxdl import training

    return training.gradient_learner(model, objective, optax.adam(rate))


def vae(dim: int = 64, hidden: Sequence[int] = (128, 128), latent: int = 16) -> Kind:
    """A normal posterior, ReLUs and Bernoulli responses; one draw of z a step, for scores too."""
    from jaxdl import families, models, training
    from jaxdl.models import vae as variational

    net = variational.VAE(
        models.standard_normal(latent),
        models.mlp((dim, *hidden, 2 * latent)),
        models.mlp((latent, *reversed(hidden), dim)),
        families.bernoulli(),
    )
    model, objective = variational.as_model(net), training.negative_elbo(net, eval_samples=1)

    def peer(params, device="cpu"):
        from experiments.benchmarks import generative_peers

        return generative_peers.Vae(params, device)

    return Kind(
        functools.partial(_learner, model, objective),
        lambda params, key, n: variational.sample(key, net, params, {}, n),
        peer,
    )


def realnvp(dim: int, hidden: Sequence[int], depth: int) -> Kind:
    """Affine couplings, with the variables reversed behind each."""
    from jaxdl import flows

    layer = flows.affine_coupling(dim, hidden, activation="silu")

    def peer(params, device="cpu"):
        from experiments.benchmarks import generative_peers

        return generative_peers.RealNvp(params, dim, device)

    return _flow(layer, dim, depth, peer)


def maf(dim: int, hidden: Sequence[int], depth: int) -> Kind:
    """Masked autoregressive layers, with the variables reversed behind each."""
    from jaxdl import flows

    layer = flows.maf(dim, hidden, activation="silu")

    def peer(params, device="cpu"):
        from experiments.benchmarks import generative_peers

        masks = flows.made_masks(dim, hidden)
        masks[-1] = np.repeat(masks[-1], 2, axis=1)
        return generative_peers.Maf(params, dim, masks, device)

    return _flow(layer, dim, depth, peer)


def density(layer: Any, dim: int, depth: int):
    """What such a flow is: ``flows.flow`` of a stack on a standard normal z."""
    from jaxdl import flows

    return flows.flow(flows.stack(layer, dim, depth), flows.standard_normal(dim))


def _flow(layer, dim, depth, peer) -> Kind:
    from jaxdl import flows, training

    own = density(layer, dim, depth)
    return Kind(
        functools.partial(_learner, flows.density_model(own), training.flow_nll(own)),
        lambda params, key, n: own.sample(key, params, n),
        peer,
    )


def diffusion(
    dim: int = 64, hidden: Sequence[int] = (128, 128, 128), steps: int = 100, waves: int = 32
) -> Kind:
    """A perceptron of noisy x and the time that learns v; ``steps`` of DDPM make a sample."""
    from jaxdl import generation, models, training
    from jaxdl.models.diffusion import cosine_schedule

    schedule = cosine_schedule(steps)
    model = models.time_mlp(dim, hidden, time_features=waves)

    def sample(params, key, n):
        denoise = generation.denoiser(model, schedule, params, {}, target="v")
        return generation.ddpm_sample(key, denoise, schedule, (n, dim))

    def peer(params, device="cpu"):
        from experiments.benchmarks import generative_peers

        return generative_peers.Diffusion(params, schedule.log_alpha_bar, waves, device)

    objective = training.denoising(model, schedule, target="v")
    return Kind(functools.partial(_learner, model, objective), sample, peer)


def fitted(kind: Kind, work: Work) -> Learned:
    """``fit`` twice: what the first call took beyond the second is compilation."""
    learner = kind.learner(work.rate)
    cold, _ = timed(lambda: _fit(learner, work), 1)
    run, result = timed(lambda: _fit(learner, work), 1)
    return Learned(run, max(cold - run, 0), float(result.history.loss[-1]))


def _fit(learner, work: Work):
    import jax

    from jaxdl import training

    result = training.fit(
        learner, work.x, key=jax.random.key(0), epochs=work.epochs, batch_size=work.batch_size,
        remainder="drop",
    )  # fmt: skip
    return jax.block_until_ready(result)


def parameters(kind: Kind, work: Work):
    """Before and after training."""
    import jax
    import numpy as np

    learner = kind.learner(work.rate)
    start = learner.init(jax.random.key(0)).params
    both = start, _fit(learner, work).state.params
    return jax.tree.map(np.asarray, both)


def sampled(kind: Kind, params, n: int, calls: int) -> Learned:
    """``calls`` times n draws by one compiled program."""
    import jax
    import jax.numpy as jnp

    from jaxdl import programs

    draw = lambda params, key: kind.sample(params, key, n)
    program = jax.jit(draw, compiler_options=programs.compiler_options())
    params = jax.device_put(params)
    first, *keys = jax.random.split(jax.random.key(0), calls + 1)
    once = lambda: jax.block_until_ready([program(params, key) for key in keys][-1])
    before, _ = timed(lambda: jax.block_until_ready(program(params, first)), 1)
    run, x = timed(once, 1)
    return Learned(run, before, float(jnp.mean(jnp.square(x.astype(float)))))


def images(noisy: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Digits to learn from [1347, 64] and others [450, 64], in [0, 1].

    ``noisy`` ones have uniform noise within their 17 levels, mean 0 and deviation 1, as a density
    needs them.
    """
    rng = np.random.default_rng(0)
    x = digits()[0][rng.permutation(1797)]
    if noisy:
        x = (16 * x + rng.uniform(size=x.shape)) / 17
        x = (x - x[:1347].mean(0)) / x[:1347].std(0)
    x = x.astype(np.float32)
    return x[:1347], x[1347:]


def moons(n: int = 2560) -> np.ndarray:
    """Points of two moons [n, 2], of mean 0 and deviation 1."""
    import jax

    from jaxdl.data import synthetic

    x = np.asarray(synthetic.two_moons(jax.random.key(0), n=n).x)
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)
