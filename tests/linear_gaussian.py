"""Factor analysis, x = W z + b + s e: whose likelihood and posterior are known in closed form."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxdl import families, models

S = 0.6  # of the noise
B = np.array([0.5, -1.0, 0.2, 0.3])
# Orthogonal columns: the posterior has a diagonal covariance. In OBLIQUE they are not orthogonal.
W = np.array([[1.0, 0.5], [-1.0, 0.5], [0.4, -0.3], [0.3, 0.4]])
OBLIQUE = np.array([[1.0, 0.8], [-0.5, 0.7], [0.4, -0.3], [0.3, 0.4]])
X = np.array([[0.1, 0.2, -0.5, 1.0], [1.5, -2.0, 0.0, 0.3], [-1.0, 0.4, 0.6, 0.0]])


class Exact(NamedTuple):
    """log_p: [N] of X. mean [N, K] and covariance [K, K]: of the posterior."""

    log_p: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


def exact(w=W, x=X):
    marginal = scipy.stats.multivariate_normal(B, w @ w.T + S**2 * np.eye(len(B)))
    covariance = np.linalg.inv(np.eye(w.shape[1]) + w.T @ w / S**2)
    return Exact(marginal.logpdf(x), (x - B) @ w @ covariance / S**2, covariance)


def decoder_params(w=W):
    return {"dense_0": {"kernel": jnp.asarray(w.T), "bias": jnp.asarray(B)}}


def density_network():
    return models.DensityNetwork(models.standard_normal(2), models.mlp((2, 4)), families.normal(S))


def vae(**more):
    return models.VAE(
        models.standard_normal(2),
        models.mlp((4, 4)),
        models.mlp((2, 4)),
        families.normal(S),
        **more,
    )


def raw(log_scale):
    """What the encoder must give for a logarithm of a scale: the bound 10 tanh(raw / 10) undone."""
    return 10 * np.arctanh(np.asarray(log_scale) / 10)


def posterior_params(w=W, shift=0.0, log_scale=0.0):
    """Params of `vae` whose q is the posterior, if that is diagonal, its means and scales moved."""
    at = exact(w)
    to_mean = w @ at.covariance / S**2
    log_s = np.log(np.sqrt(np.diag(at.covariance))) + log_scale
    kernel = np.concatenate([to_mean, np.zeros((4, 2))], axis=1)
    bias = np.concatenate([-B @ to_mean + shift, raw(log_s)])
    encoder = {"dense_0": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}
    return {"encoder": encoder, "decoder": decoder_params(w)}


def kl_normal(mean_q, cov_q, mean_p, cov_p):
    """KLD[N(mean_q, cov_q) || N(mean_p, cov_p)] of full covariances."""
    inverse = np.linalg.inv(cov_p)
    d = np.asarray(mean_p) - np.asarray(mean_q)
    quadratic = np.einsum("...i,ij,...j->...", d, inverse, d)
    log_dets = np.linalg.slogdet(cov_p)[1] - np.linalg.slogdet(cov_q)[1]
    return (np.trace(inverse @ cov_q) - len(cov_p) + log_dets + quadratic) / 2
