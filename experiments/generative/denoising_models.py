"""Models that turn noise into x little by little: diffusion and flow matching. Notes: §9.3, §9.4."""

import jax
import jax.numpy as jnp

from experiments.generative.base import Generator, as_rows, optimizer
from experiments.generative.settings import Settings
from jaxdl import generation, models, training
from jaxdl.base import Model
from jaxdl.models.diffusion import cosine_schedule

FRAMES, FLOW_STEPS, DDIM_STEPS = 8, 40, 20


def diffusion(settings: Settings) -> Generator:
    """Denoising diffusion by the "v" target; samples by DDPM, latent points by DDIM."""
    schedule, told = cosine_schedule(settings.diffusion_steps), settings.num_classes
    model = _network(settings)
    objective = training.denoising(model, schedule, target="v", num_classes=told or None)
    adam = optimizer(settings.rate, settings.steps, settings.decay)
    learner = training.gradient_learner(model, objective, adam)
    few = min(DDIM_STEPS, settings.diffusion_steps)

    def denoise(ts, label, guidance=settings.guidance):
        return generation.denoiser(
            model,
            schedule,
            ts.params,
            ts.state,
            target="v",
            label=label,
            num_classes=told or None,
            guidance=guidance,
        )

    def sample(ts, key, n, label):
        return generation.ddpm_sample(key, denoise(ts, label), schedule, (n, settings.dim))

    def path(ts, z, label):
        unused = jax.random.key(0)  # all is decided by z
        return generation.ddim_path(
            unused, denoise(ts, label), schedule, z.shape, steps=few, start=z
        )

    def film(ts, key, n, label):
        """All steps with their noise: how ``sample`` goes."""
        steps = settings.diffusion_steps
        frames = generation.ddim_path(
            key, denoise(ts, label), schedule, (n, settings.dim), steps=steps, eta=1.0
        )
        return frames[jnp.linspace(0, steps, FRAMES).round().astype(int)]

    def bound(ts, key, x, label):
        return -training.variational_bound(denoise(ts, label, 0.0), schedule, x, key)

    return Generator(
        learner,
        lambda x, label: x if label is None else (x, label),
        settings.dim,
        sample=sample,
        decode=lambda ts, z, label: path(ts, z, label)[-1],
        log_prob=bound,
        film=film,
    )


def flow_matching(settings: Settings) -> Generator:
    """A velocity from noise to data, followed by Heun's method."""
    model = _network(settings)
    adam = optimizer(settings.rate, settings.steps, settings.decay)
    learner = training.gradient_learner(model, training.flow_matching(model), adam)

    def velocity(ts):
        at = lambda x, t: {"x": x, "time": jnp.full(len(x), t)}
        return lambda x, t: model.apply(ts.params, ts.state, at(x, t))[0]

    def decode(ts, z, label):
        return generation.integrate(velocity(ts), z, steps=FLOW_STEPS)

    def sample(ts, key, n, label):
        return decode(ts, jax.random.normal(key, (n, settings.dim)), label)

    def film(ts, key, n, label):
        h = 1 / (FRAMES - 1)

        def on(x, i):
            x = generation.integrate(velocity(ts), x, start=i * h, end=(i + 1) * h, steps=6)
            return x, x

        z = jax.random.normal(key, (n, settings.dim))
        frames = jax.lax.scan(on, z, jnp.arange(FRAMES - 1.0))[1]
        return jnp.concatenate([z[None], frames])

    return Generator(
        learner,
        lambda x, label: x,
        settings.dim,
        sample=sample,
        decode=decode,
        encode=lambda ts, x, label: generation.integrate(
            velocity(ts), x, start=1.0, end=0.0, steps=FLOW_STEPS
        ),
        log_prob=lambda ts, key, x, label: generation.continuous_flow_log_prob(
            velocity(ts), x, steps=FLOW_STEPS
        ),
        exact=True,
        film=film,
    )


def _network(settings: Settings) -> Model:
    """Of noisy x, the time, and a class where there is one."""
    told = settings.num_classes or None
    if settings.convolutional:
        filters = 4 * max(settings.width // 16, 1)
        unet = models.unet(settings.shape, filters=(filters, 2 * filters), num_classes=told)
        return as_rows(unet, settings.shape)
    return models.time_mlp(settings.dim, (settings.width,) * 3, num_classes=told)
