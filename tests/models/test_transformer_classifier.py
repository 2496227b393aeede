"""The mean over positions is that of the positions that are there."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import models
from jaxdl.base import Sequences


def test_padding_does_not_thin_the_mean():
    """A padded sequence is classified as the same sequence without padding."""
    config = models.TransformerConfig(5, features=4, num_heads=2, num_layers=1, dropout=0.0)
    model = models.transformer_classifier(config, 3)
    params, state = model.init(jax.random.key(0))
    apply = jax.jit(lambda x: model.apply(params, state, x)[0])
    tokens = jnp.array([[1, 2, 4]])
    padded = Sequences(jnp.array([[1, 2, 4, 3, 0, 0]]), jnp.array([3], jnp.int32))
    np.testing.assert_allclose(apply(padded), apply(tokens), rtol=1e-5, atol=1e-6)
