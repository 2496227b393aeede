"""The neurons of McCulloch & Pitts (1943), and logic made of them. Notes: §1.7."""

import jax.numpy as jnp

from jaxdl.base import Array


def unit(x: Array, *, excitatory: Array, inhibitory: Array, threshold: int | Array) -> Array:
    """Fires if enough excitatory inputs do and no inhibitory one does.

    ``y = [sum_{d excitatory} x_d >= threshold] and not any_{d inhibitory} x_d``: a tie fires
    (D-14), and one active inhibitory input keeps the unit quiet whatever else happens. Notes: §1.7.

    Args:
      x: inputs [..., D], 1 or True where the input fires.
      excitatory: [D] bool, which inputs excite.
      inhibitory: [D] bool, which inputs inhibit.
      threshold: how many active excitatory inputs make it fire.

    Returns:
      [...] bool. ValueError where the inputs and their kinds differ in number.

    >>> unit(jnp.array([1, 1, 0]), excitatory=[1, 1, 0], inhibitory=[0, 0, 1], threshold=2).item()
    True
    """
    x, e, i = (jnp.asarray(a, bool) for a in (x, excitatory, inhibitory))
    if e.ndim != 1 or e.shape != i.shape or x.shape[-1:] != e.shape:
        raise ValueError(
            f"excitatory and inhibitory must be [D] for x [..., D]; got {e.shape}, {i.shape} and "
            f"x {x.shape}"
        )
    return (jnp.sum(x & e, axis=-1) >= threshold) & ~jnp.any(x & i, axis=-1)


def _unit(inputs, kinds, threshold):
    """A unit over separate inputs of the same shape; kinds are +1 (excites) and -1 (inhibits)."""
    x = jnp.stack([jnp.asarray(a, bool) for a in inputs], axis=-1)
    kinds = jnp.asarray(kinds)
    return unit(x, excitatory=kinds > 0, inhibitory=kinds < 0, threshold=threshold)


def logical_and(a: Array, b: Array) -> Array:
    """a and b, [...]: two excitatory inputs, threshold 2. Notes: §1.7."""
    return _unit((a, b), (1, 1), 2)


def logical_or(a: Array, b: Array) -> Array:
    """a or b, [...]: two excitatory inputs, threshold 1. Notes: §1.7."""
    return _unit((a, b), (1, 1), 1)


def logical_not(a: Array) -> Array:
    """not a, [...]: one inhibitory input, threshold 0. Notes: §1.7."""
    return _unit((a,), (-1,), 0)


def logical_nand(a: Array, b: Array) -> Array:
    """not (a and b), [...]: two units, one after the other; one alone cannot do it. Notes: §1.7."""
    return logical_not(logical_and(a, b))


def logical_xor(a: Array, b: Array) -> Array:
    """Either a or b, [...], which no single unit can be: (a, not b) or (b, not a), in two layers.

    Minsky & Papert (1969).
    """
    return logical_or(_unit((a, b), (1, -1), 1), _unit((a, b), (-1, 1), 1))
