"""A model whose posterior is known, and networks that can say what a discriminator should.

``z ~ N(0, I)`` [2], ``x = A z + S e`` [2]: p(z|x) = N(M x, C).
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxdl import models
from jaxdl.base import stateless

A, S = np.array([[1.0, 0.6], [-0.3, 0.8]]), 0.7
C = np.linalg.inv(np.eye(2) + A.T @ A / S**2)
M = C @ A.T / S**2
MARGINAL = A @ A.T + S**2 * np.eye(2)

# z = e'K_e + x'K_x + bias, whose density is N(K_x'x + bias, K_e'K_e).
POSTERIOR = models.conditioned(models.mlp((2 + 2, 2)))


def data(n, seed=0):
    draws = scipy.stats.multivariate_normal(np.zeros(2), MARGINAL).rvs(n, random_state=seed)
    return draws.astype(np.float32)


def simulate(key, z):
    return jnp.asarray(A, z.dtype) @ z + S * jax.random.normal(key, (2,), z.dtype)


def decoder():
    """``E[x|z] = A z``, known: it has no parameters."""
    return stateless(lambda key: {}, lambda p, z, *, key, train: z @ jnp.asarray(A.T, z.dtype))


def kernels(params):
    """``(K_e, K_x, bias)`` of POSTERIOR's params."""
    dense = params["dense_0"]
    return dense["kernel"][:2], dense["kernel"][2:], dense["bias"]


def params_of(to_noise, to_x, bias):
    kernel = jnp.concatenate([jnp.asarray(to_noise), jnp.asarray(to_x)])
    return {"dense_0": {"kernel": kernel, "bias": jnp.asarray(bias)}}


def exact_params():
    return params_of(np.linalg.cholesky(C).T, M.T, np.zeros(2))


def log_normal(z, mean, covariance):
    """Of rows, by solving; it is not the library's."""
    d = z - mean
    quadratic = jnp.sum(d * jnp.linalg.solve(covariance, d.T).T, axis=-1)
    return -(quadratic + jnp.linalg.slogdet(2 * jnp.pi * covariance)[1]) / 2


def log_q(params, z, x):
    to_noise, to_x, bias = kernels(params)
    return log_normal(z, x @ to_x + bias, to_noise.T @ to_noise)


def quadratic_score(width):
    """Logistic regression on all products of two of (z, x, 1): any ratio of normals is among them."""
    rows, columns = np.triu_indices(width + 1)

    def apply(params, inputs, *, key, train):
        v = jnp.concatenate([inputs["x"], inputs["condition"]], axis=-1)
        v = jnp.concatenate([v, jnp.ones((len(v), 1), v.dtype)], axis=-1)
        products = v[:, :, None] * v[:, None, :]
        return (products[:, rows, columns] @ params["w"])[:, None]

    return stateless(lambda key: {"w": jnp.zeros(len(rows))}, apply)
