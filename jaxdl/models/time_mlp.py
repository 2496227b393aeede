"""A network that knows how far the noise has come: an MLP on x, time and label. Notes: §9.3."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.base import Model, stateless
from jaxdl.checks import positive_int
from jaxdl.models.mlp import mlp


def time_mlp(
    features: int,
    hidden: Sequence[int] = (128, 128),
    *,
    time_features: int = 32,
    num_classes: int | None = None,
    activation: str | Callable = "silu",
    dropout: float | jax.Array = 0.0,
) -> Model:
    """``eta = MLP([x, sinusoids(1000 tau), E_label])`` [N, D] for noisy x [N, D] at the time tau [N].

    x is ``{"x": x [N, D], "time": tau [N] in [0, 1]}``, and ``"label"`` [N] where there are
    ``num_classes`` K: whole numbers below K, or K for no label, which guidance needs.

    Params are ``{"network": the mlp's}`` and ``"label"``, an embedding of K + 1 rows. Raises
    ValueError for sizes under 1 and for x of another width.

    >>> model = time_mlp(2, (8,))
    >>> params, state = model.init(jax.random.key(0))
    >>> model.apply(params, state, {"x": jnp.ones((3, 2)), "time": jnp.ones(3)})[0].shape
    (3, 2)
    """
    features = positive_int("features", features)
    time_features = positive_int("time_features", time_features)
    labelled = num_classes is not None
    width = features + time_features * (2 if labelled else 1)
    network = mlp((width, *hidden, features), activation=activation, dropout=dropout)

    def init(key):
        keys = jax.random.split(key)
        params = {"network": network.init(keys[0])[0]}
        if labelled:
            rows = positive_int("num_classes", num_classes) + 1
            params["label"] = layers.embedding_init(keys[1], rows, time_features)
        return params

    def apply(params, x, *, key, train):
        noisy = x["x"]
        if noisy.shape[-1] != features:
            raise ValueError(f"the network expects x [..., {features}], got {list(noisy.shape)}")
        parts = [noisy, layers.sinusoids(1000 * x["time"], time_features).astype(noisy.dtype)]
        if labelled:
            parts.append(layers.embedding(params["label"], x["label"]))
        together = jnp.concatenate(parts, axis=-1)
        return network.apply(params["network"], {}, together, key=key, train=train)[0]

    return stateless(init, apply)
