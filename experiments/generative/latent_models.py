"""Models that draw a latent point and make x of it in one pass: VAEs and GANs. Notes: §9.2, §9.4."""

import jax
import jax.numpy as jnp
import optax

from experiments.generative.base import Generator, as_rows, optimizer
from experiments.generative.settings import Settings
from jaxdl import families, models, training
from jaxdl.base import Model
from jaxdl.models import vae

DRAWS = 64  # of each x, for the importance-sampled log p(x)


def autoencoder(settings: Settings) -> Generator:
    """A VAE whose decoder gives mean and scale of every number of x."""
    latent = settings.latent or min(settings.dim, 16)
    net = vae.VAE(
        models.standard_normal(latent),
        _reader(settings, 2 * latent),
        _writer(settings, latent, 2),
        families.heteroskedastic_normal(),
    )
    adam = optimizer(settings.rate, settings.steps, settings.decay)
    learner = training.gradient_learner(vae.as_model(net), training.negative_elbo(net), adam)

    def mean(ts, z, label):
        return net.family.mean(vae.decode(net, ts.params, ts.state, z, label))

    def encode(ts, x, label):
        psi = vae.encode(net, ts.params, ts.state, _told(x, label))
        return net.posterior.mean(ts.params.get("posterior", {}), psi)

    def log_prob(ts, key, x, label):
        x = _told(x, label)
        return vae.log_likelihood(key, net, ts.params, ts.state, x, samples=DRAWS).mean

    return Generator(
        learner,
        _told,
        latent,
        sample=lambda ts, key, n, label: vae.sample(
            key, net, ts.params, ts.state, n, condition=label
        ),
        decode=mean,
        encode=encode,
        log_prob=log_prob,
    )


def adversarial(settings: Settings) -> Generator:
    """A GAN with a gradient penalty; it has no density."""
    latent = settings.latent or max(4, settings.dim // 4)
    adam = lambda: optax.adam(settings.rate, b1=0.5, b2=0.9)
    learner = training.adversarial_learner(
        _writer(settings, latent, None),
        _reader(settings, 1, "leaky_relu"),
        adam(),
        adam(),
        latent=latent,
        penalty=settings.penalty,
        discriminator_steps=2,
    )
    draw = lambda ts, z, label: learner.predict(ts, _told(z, label))

    def sample(ts, key, n, label):
        return draw(ts, jax.random.normal(key, (n, latent)), label)

    batch = lambda x, label: x if label is None else (x, label)
    return Generator(learner, batch, latent, sample=sample, decode=draw)


def _reader(settings: Settings, outputs: int, activation: str = "silu") -> Model:
    """From x, and a class where there is one, to so many numbers."""
    width, told = settings.width, settings.num_classes
    if settings.convolutional:
        h, w, c = settings.shape
        filters = (width // 2, width)
        net = models.cnn(
            (h, w, c + told), outputs, filters=filters, hidden=(2 * width,), activation=activation
        )
        return as_rows(models.conditioned(net, told) if told else net, settings.shape)
    net = models.mlp((settings.dim + told, width, width, outputs), activation=activation)
    return models.conditioned(net, told) if told else net


def _writer(settings: Settings, latent: int, numbers: int | None) -> Model:
    """From z, and a class where there is one, to x [N, D], or [N, D, numbers]."""
    width, told, each = settings.width, settings.num_classes, numbers or 1
    if settings.convolutional:
        h, w, c = settings.shape
        net = models.transposed_cnn(latent + told, (h, w, c * each), filters=(width, width // 2))
        net = as_rows(net, None, numbers)
    else:
        net = models.mlp((latent + told, width, width, settings.dim * each), activation="silu")
        net = models.reshaped(net, (settings.dim, *(() if numbers is None else (numbers,))))
    return models.conditioned(net, told) if told else net


def _told(x, label):
    return x if label is None else {"x": jnp.asarray(x), "condition": label}
