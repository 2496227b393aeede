"""Models made of models: each part's parameters and state stand under its name."""

from typing import Any

import jax

from jaxdl.base import Key, Model, Params, State
from jaxdl.models.normalizations import without_empty


def init_parts(key: Key, parts: dict[str, Model]) -> tuple[Params, State]:
    """``({name: params}, {name: state})`` of all parts, without those that have no arrays."""
    params, state = {}, {}
    for number, (name, model) in enumerate(parts.items()):
        params[name], state[name] = model.init(jax.random.fold_in(key, number))
    return without_empty(params), without_empty(state)


def apply_part(
    name: str, model: Model, params: Params, state: State, x: Any, *, mask=None, **how: Any
) -> tuple[Any, State]:
    """``(eta, state of the part)`` of the model under this name.

    ``how`` is what its ``apply`` takes by name, key and train; a model that sees no mask gets none.
    """
    if model.sees_mask:
        how["mask"] = mask
    return model.apply(params.get(name, {}), state.get(name, {}), x, **how)


def keys_of(key: Key | None, count: int) -> list[Key | None]:
    """So many keys from one, which is consumed; without one, so many times None.

    >>> list(keys_of(None, 2))
    [None, None]
    """
    return [None] * count if key is None else list(jax.random.split(key, count))
