"""Objectives of latent-variable models: bounds on log p(x). Notes: §9.2."""

import math
from collections.abc import Callable

import jax.numpy as jnp

from jaxdl.arrays import counted, masked_mean
from jaxdl.base import Array, Objective, features
from jaxdl.checks import positive_int
from jaxdl.divergences import log_mean_exp
from jaxdl.models import density_network
from jaxdl.models import vae as variational
from jaxdl.models.density_network import DensityNetwork
from jaxdl.models.vae import VAE
from jaxdl.training.objectives import regulariser


def negative_elbo(
    vae: VAE,
    penalty: float | Array | Callable = 0.0,
    *,
    samples: int = 1,
    kl: str = "closed",
    kl_weight: float | Array | Callable = 1.0,
    eval_samples: int = 16,
    bin_width: float | Array = 1.0,
) -> Objective:
    """The loss of a VAE, minus the mean evidence lower bound (D-86), of both networks at once:

    ``l = -1/N sum_n (1/S sum_s log p(x_n|z_ns) - beta KLD[q(z; psi(x_n)) || p(z)]) + lambda R(w)``.
    Notes: Eq. (51), §9.2. A batch is x [B, ...], or a dict with a condition, see ``models.vae``; of
    ``(x, y)`` y is not looked at. It goes with ``models.vae.as_model(vae)`` into a learner.

    Args:
      vae: the networks.
      penalty: as in ``negative_log_likelihood``.
      samples: S of the loss.
      kl: "closed" or "monte_carlo", see ``vae.elbo``.
      kl_weight: beta, which may be traced; or a schedule of the training step,
        ``lambda step: optim.warmup...``, that starts low and ends at 1 (annealing).
        Source: Higgins et al. (2017); Bowman et al. (2016).
      eval_samples: draws of each x for the scores.
      bin_width: of the levels that dequantised data had, in the units of x: 1/17 for 17 levels
        over [0, 1]. For ``bits_per_dim``; 1 for discrete data.

    Returns:
      An Objective. ``predict`` gives reconstructions. Scores of each row are of the bounds
      themselves, with beta = 1: ``negative_elbo`` and its parts ``reconstruction_nll`` and ``kl``,
      ``nll`` the importance-weighted bound on -log p(x), and ``bits_per_dim``,
      ``nll / (D log 2) - log2 bin_width`` for x of D values.
    """
    added = regulariser(penalty)

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        x = features(batch)
        beta = kl_weight(state["step"]) if callable(kl_weight) else kl_weight
        bound, _, new = variational.drawn_elbo(
            _needed(key),
            vae,
            params,
            state,
            x,
            samples=samples,
            kl=kl,
            kl_weight=beta,
            train=train,
            mask=mask,
        )
        fit = masked_mean(-bound.value, mask)
        metrics = {
            "reconstruction_nll": masked_mean(-bound.reconstruction, mask),
            "kl": masked_mean(bound.kl, mask),
        }
        return fit + added(params), (_counted(new, train), metrics)

    return Objective(loss, *_asked(vae, kl, eval_samples, bin_width))


def negative_iwae(
    vae: VAE,
    penalty: float | Array | Callable = 0.0,
    *,
    samples: int,
    eval_samples: int = 16,
    bin_width: float | Array = 1.0,
) -> Objective:
    """Minus the mean importance-weighted bound of ``samples`` draws; scores as ``negative_elbo``.

    ``l = -1/N sum_n log 1/S sum_s p(x_n, z_ns) / q(z_ns; psi(x_n)) + lambda R(w)``.
    Source: Burda et al. (2016). Notes: §9.2.
    """
    added = regulariser(penalty)

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        draws, _, new = variational.draw(
            _needed(key), vae, params, state, features(batch), samples, train=train, mask=mask
        )
        fit = masked_mean(-log_mean_exp(draws.log_weights).mean, mask)
        return fit + added(params), (_counted(new, train), {"nll": fit})

    return Objective(loss, *_asked(vae, "monte_carlo", eval_samples, bin_width))


def marginal_nll(
    net: DensityNetwork,
    penalty: float | Array | Callable = 0.0,
    *,
    samples: int = 64,
    eval_samples: int = 256,
    bin_width: float | Array = 1.0,
) -> Objective:
    """Maximum likelihood for a density network: minus the mean log of p(x) by Monte Carlo.

    ``l = -1/N sum_n log 1/S sum_s p(x_n|z_s) + lambda R(w)`` with ``z_s ~ p(z)`` shared by the
    rows; in expectation it is not below the loss of the exact p(x_n). Notes: Eq. (49), §9.2.
    Source: MacKay and Gibbs (1999).

    It goes with ``net.decoder`` into a learner. Scores are ``nll`` and ``bits_per_dim`` of each row
    as for ``negative_elbo``; ``predict`` needs no key and is refused: a density network infers
    nothing of an x.
    """
    added = regulariser(penalty)

    def nll(key, params, state, x, samples):
        z = net.prior.sample(_needed(key), samples)
        return -log_mean_exp(density_network.log_weights(net, params, state, z, x)).mean

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        x = counted(jnp.asarray(features(batch)), mask)
        fit = masked_mean(nll(key, params, state, x, samples), mask)
        return fit + added(params), (state, {"nll": fit})

    def predict(params, state, x):
        raise ValueError("a density network predicts nothing of x; see density_network.sample")

    def evaluate(params, state, batch, *, key=None):
        x = features(batch)
        values = nll(key, params, state, x, eval_samples)
        return {"nll": values, "bits_per_dim": _bits_per_dim(values, x, bin_width)}

    return Objective(loss, predict, evaluate)


def _asked(vae, kl, samples, bin_width):
    """What is asked of a trained VAE: ``(predict, evaluate)``."""

    def predict(params, state, x):
        return variational.reconstruct(vae, params, state, x)

    def evaluate(params, state, batch, *, key=None):
        x = features(batch)
        bound, draws, _ = variational.drawn_elbo(
            _needed(key), vae, params, state, x, samples=samples, kl=kl
        )
        nll = -log_mean_exp(draws.log_weights).mean
        return {
            "negative_elbo": -bound.value,
            "reconstruction_nll": -bound.reconstruction,
            "kl": bound.kl,
            "nll": nll,
            "bits_per_dim": _bits_per_dim(nll, x, bin_width),
        }

    return predict, evaluate


def _bits_per_dim(nll, x, bin_width):
    values = x["x"] if isinstance(x, dict) else x
    dims = positive_int("the number of values of x", math.prod(values.shape[1:]))
    return nll / (dims * math.log(2)) - jnp.log2(bin_width)


def _needed(key):
    if key is None:
        raise ValueError("the bounds of latent-variable models are drawn: a key is needed")
    return key


def _counted(state, train):
    """The state with one more training loss in ``"step"``."""
    return {**state, "step": state["step"] + 1} if train and "step" in state else state
