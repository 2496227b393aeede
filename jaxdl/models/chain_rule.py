"""The four factors of a GLM's maximum-likelihood gradient. Notes: §1.4, L217."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Family
from jaxdl.models.linear import predict


class ChainRuleFactors(NamedTuple):
    """d KLD / dw = (d KLD / dp) (dp / dg^{-1}) (d g^{-1} / df) (df / dw), for each x_n.

    dkl_dp: [N, S], ``-P(y_s|x_n) / p(y_s)``: one value for each value y_s of the support.
    dp_dmean: [N, S], the derivative of ``p(y_s; mu)`` in the mean mu.
    dmean_df: [N], the derivative of the inverse link.
    df_dw: [N, D] (or [N]), the features.
    """

    dkl_dp: Array
    dp_dmean: Array
    dmean_df: Array
    df_dw: Array

    def gradient(self) -> Array:
        """Their product, averaged over x: the gradient in the shape of w.

        ``E_x[ (sum_y (d KLD / dp)(y) (dp / dmu)(y)) dmu/df df/dw ]``. The first two factors both
        depend on y, so together they are an inner product over y; averaging each factor apart,
        as L217 reads literally, is wrong (D-10).
        """
        inner = jnp.sum(self.dkl_dp * self.dp_dmean, axis=1)
        return jnp.mean(inner * self.dmean_df * self.df_dw.T, axis=-1)


def chain_rule_factors(
    w: Array, x: Array, support: Array, probabilities: Array, family: Family
) -> ChainRuleFactors:
    """The factors of the gradient of ``E_x KLD[P(y|x) || p(y; g^{-1}(w'x))]``.

    Args:
      w: weights [D], or [] for scalar features.
      x: features [N, D], or [N].
      support: the values y_s that the response can take, [S], or [N, S] if they differ by row. The
        data alone are ``support = y[:, None]`` with probabilities 1.
      probabilities: P(y_s|x_n), [N, S].
      family: p(y; eta) with one eta an example.

    Notes: L217 (D-10).
    """
    eta = predict(w, x)
    support = jnp.broadcast_to(support, jnp.shape(probabilities))
    if eta.ndim != 1 or support.shape[:1] != eta.shape:
        raise ValueError(
            f"one eta and one row of probabilities an example: eta {eta.shape}, "
            f"probabilities {jnp.shape(probabilities)}"
        )
    density = lambda eta: jnp.exp(family.log_prob(jnp.broadcast_to(eta, support.shape), support))
    p, dp_deta = jax.jvp(density, (eta[:, None],), (jnp.ones_like(eta)[:, None],))
    _, dmean_df = jax.jvp(family.mean, (eta,), (jnp.ones_like(eta),))
    return ChainRuleFactors(
        -probabilities / p, dp_deta / dmean_df[:, None], dmean_df, jnp.asarray(x)
    )
