"""The generative models that ``experiments.generate`` trains, in one form for all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from jaxdl import families, flows, generation, models, training
from jaxdl.base import Array, Key, Learner
from jaxdl.data import synthetic
from jaxdl.models import diffusion, vae

LEVELS = 17  # of the digits' pixels
DIFFUSION_STEPS, FLOW_STEPS, VAE_DRAWS = 100, 40, 64
FLOWS = ("realnvp", "spline", "maf")
MODELS = (*FLOWS, "vae", "diffusion", "flow_matching", "gan")
PLANE = {"moons": synthetic.two_moons, "rings": synthetic.rings,
         "eight_gaussians": synthetic.eight_gaussians}  # fmt: skip


class Generator(NamedTuple):
    """A learner of data with mean 0 and deviation 1, and what its trained state is asked.

    sample: ``(state, key, n) -> x [n, D]``.
    log_prob: ``(state, key, x [N, D]) -> [N]``, or None for a model that has none.
    """

    learner: Learner
    sample: Callable[[Any, Key, int], Array]
    log_prob: Callable[[Any, Key, Array], Array] | None


def load(name: str, seed: int, n: int) -> tuple[Array, Array]:
    """Training and test part [N, D]: n points and a fourth of that, or three quarters of the digits.

    Digits are their pixels 0, ..., 16 with uniform noise, over 17: they have a density then.
    """
    key = jax.random.key(seed)
    if name != "digits":
        x = PLANE[name](key, n=n + n // 4).x
        return x[:n], x[n:]
    pixels = load_digits().data
    order = np.random.default_rng(seed).permutation(len(pixels))
    x = flows.dequantise(key, jnp.asarray(pixels[order], jnp.float32), LEVELS)
    return x[:1347], x[1347:]


def optimizer(rate: float, steps: int) -> optax.GradientTransformation:
    """Adam with a warm-up and a cosine; gradients are clipped at 1."""
    warmup = max(steps // 20, 1)
    schedule = optax.schedules.warmup_cosine_decay_schedule(
        0.0, rate, warmup, max(steps, warmup + 1)
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


def make(name: str, dim: int, width: int, rate: float, steps: int) -> Generator:
    """The generator of a name in ``MODELS``, for x [N, ``dim``]."""
    if name in FLOWS:
        return _flow(name, dim, width, optimizer(rate, steps))
    if name == "vae":
        return _vae(dim, width, optimizer(rate, steps))
    if name == "diffusion":
        return _diffusion(dim, width, optimizer(rate, steps))
    if name == "flow_matching":
        return _flow_matching(dim, width, optimizer(rate, steps))
    return _gan(dim, width, rate)


def _flow(name, dim, width, adam):
    if name == "realnvp":
        bijector = flows.stack(flows.affine_coupling(dim, width), dim, 8)
    elif name == "spline":
        bijector = flows.stack(flows.spline_coupling(dim, width), dim, 4)
    else:
        bijector = flows.stack(flows.maf(dim, (width, width)), dim, 5)
    density = flows.flow(bijector, flows.standard_normal(dim))
    learner = training.gradient_learner(
        flows.density_model(density), training.flow_nll(density), adam
    )
    return Generator(
        learner,
        lambda ts, key, n: density.sample(key, ts.params, n),
        lambda ts, key, x: density.log_prob(ts.params, x),
    )


def _vae(dim, width, adam):
    latent = 2 if dim == 2 else 16
    net = vae.VAE(
        models.standard_normal(latent),
        models.mlp((dim, width, width, 2 * latent), activation="silu"),
        models.reshaped(models.mlp((latent, width, width, 2 * dim), activation="silu"), (dim, 2)),
        families.heteroskedastic_normal(),
    )
    learner = training.gradient_learner(vae.as_model(net), training.negative_elbo(net), adam)
    return Generator(
        learner,
        lambda ts, key, n: vae.sample(key, net, ts.params, ts.state, n),
        lambda ts, key, x: (
            vae.log_likelihood(key, net, ts.params, ts.state, x, samples=VAE_DRAWS).mean
        ),
    )


def _diffusion(dim, width, adam):
    schedule = diffusion.cosine_schedule(DIFFUSION_STEPS)
    model = models.time_mlp(dim, (width, width, width))
    learner = training.gradient_learner(
        model, training.denoising(model, schedule, target="v"), adam
    )
    denoise = lambda ts: generation.denoiser(model, schedule, ts.params, ts.state, target="v")
    return Generator(
        learner,
        lambda ts, key, n: generation.ddpm_sample(key, denoise(ts), schedule, (n, dim)),
        lambda ts, key, x: -training.variational_bound(denoise(ts), schedule, x, key),
    )


def _flow_matching(dim, width, adam):
    model = models.time_mlp(dim, (width, width, width))
    learner = training.gradient_learner(model, training.flow_matching(model), adam)

    def velocity(ts):
        at = lambda x, t: {"x": x, "time": jnp.full(len(x), t)}
        return lambda x, t: model.apply(ts.params, ts.state, at(x, t))[0]

    return Generator(
        learner,
        lambda ts, key, n: generation.integrate(
            velocity(ts), jax.random.normal(key, (n, dim)), steps=FLOW_STEPS
        ),
        lambda ts, key, x: generation.continuous_flow_log_prob(velocity(ts), x, steps=FLOW_STEPS),
    )


def _gan(dim, width, rate):
    latent = max(4, dim // 4)
    learner = training.adversarial_learner(
        models.mlp((latent, width, width, dim)),
        models.mlp((dim, width, width, 1), activation="leaky_relu"),
        optax.adam(rate, b1=0.5, b2=0.9), optax.adam(rate, b1=0.5, b2=0.9),
        latent=latent, penalty=0.1, discriminator_steps=2,
    )  # fmt: skip
    draw = lambda ts, key, n: learner.predict(ts, jax.random.normal(key, (n, latent)))
    return Generator(learner, draw, None)
