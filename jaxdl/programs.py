"""Programs: how XLA compiles them, and how long they are kept."""

import collections
import functools
import hashlib
import os
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

MOST_KEPT = 64  # compiled by ``compile_once``; each takes some megabytes

_ON_CPUS = {
    # Sums and products that XLA hands to YNNPACK since jaxlib 0.10.2 may come out wrong:
    # norm(x @ ones((64, 64))) for one. JAX issues 39103, 39257.
    "xla_cpu_experimental_ynn_fusion_type": "",
    # Training loops compile a quarter faster than at the default level and run as fast.
    "xla_backend_optimization_level": 1,
}
# Without fusion emitters LLVM has a quarter to a third less to do, and loops run slower: by a tenth
# for plain networks, by two thirds with dropout and normalisation. Programs of images may then take
# minutes to compile, one with batch normalisation 157 s for 10. Newer XLAs do without the option.
_SHORT_ON_CPUS = {"xla_cpu_use_fusion_emitters": False}
# Of YNNPACK only its products, one by one: they are right (tests/test_products.py), and quicker
# where they are large and not in a batch of products.
_WIDE_ON_CPUS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}

# What a program on CPUs may write in all, in numbers a device, to count as short. Measured at that
# length: what is saved, 0.7 to 1.1 s of compilation, is what dropout and normalisation lose.
SHORT = 5e9
# Entries of a kernel from which on one network counts as wide: steps of 1.1 to 1.6 times the speed.
WIDE = 2**18

_jitted: dict[tuple, Callable] = {}
_kept: collections.OrderedDict[tuple, Any] = collections.OrderedDict()


def compiler_options(
    platform: str | None = None, *, short: bool = False, wide: bool = False
) -> dict[str, str | int] | None:
    """What ``jax.jit`` takes as ``compiler_options`` for right numbers, soon, on a platform.

    None where there is nothing to set, and inside a function that is being traced: options are
    for the outermost. What ``XLA_FLAGS`` names stays as it is there. Source: JAX issues 39103, 39257.

    Args:
      platform: default JAX's default backend.
      short: whether the program runs for so short a time, see ``SHORT``, that compiling it counts.
      wide: whether it trains one network with large products, see ``WIDE``.
    """
    traced = isinstance(jnp.zeros(()), Tracer)
    if traced or (platform or jax.default_backend()) != "cpu":
        return None
    by_user = os.environ.get("XLA_FLAGS", "")
    options = {}
    for part in (_ON_CPUS, _SHORT_ON_CPUS if short else {}, _WIDE_ON_CPUS if wide else {}):
        options.update({k: v for k, v in part.items() if k not in by_user and _known_on_cpus(k, v)})
    return options or None


def compiled(fn: Callable, donated: tuple[str, ...] = (), *, wide: bool = False) -> Callable:
    """``fn`` under ``jit``, static in its first argument, kept from call to call.

    ``donated`` arguments are given up; ``wide`` as in ``compiler_options``. Inside another
    transformation it has no compiler options of its own. ``fn`` must be a function of a module: one
    made anew would compile anew.
    """
    traced = isinstance(jnp.zeros(()), Tracer)
    name = (fn, donated, wide, traced, jax.default_backend())
    if name not in _jitted:
        options = None if traced else compiler_options(wide=wide)
        _jitted[name] = jax.jit(
            fn, static_argnums=0, donate_argnames=donated, compiler_options=options
        )
    return _jitted[name]


def is_short(numbers: float, axes: int) -> bool:
    """Whether a program that writes so many numbers a device, in arrays of so many axes, is short.

    Images, with 4 axes, never are: see ``_SHORT_ON_CPUS``.
    """
    return numbers <= SHORT and axes < 4


def is_wide(state: Any) -> bool:
    """Whether an array of a training state has ``WIDE`` entries or more."""
    return any(leaf.size >= WIDE for leaf in jax.tree.leaves(state))


def compile_once(jitted: Callable, *args: Any, where: Hashable = None) -> Any:
    """The program of a function under ``jit`` for arguments of these shapes, compiled or kept.

    A program is known by what it says after tracing: its operations, constants, types and trees. So
    a function that is made anew and does the same compiles nothing, and one that does something
    else by now, whatever it closes over, never gets the program of before. At most ``MOST_KEPT``
    are kept, those that were asked for last.

    Args:
      jitted: what ``jax.jit`` gave.
      args: the arguments, or their ``jax.ShapeDtypeStruct``s.
      where: what the program does not say of itself: its devices and compiler options.
    """
    lowered = jitted.lower(*args)
    text = lowered.as_text()
    # Calls back to Python are there as addresses, and constants that are handed in not at all.
    says_all = "callback" not in text and not getattr(
        jax.config, "jax_use_simplified_jaxpr_constants", False
    )
    if not says_all:
        return lowered.compile()
    types = [
        (tuple(leaf.shape), str(leaf.dtype))
        for leaf in jax.tree.leaves((lowered.args_info, lowered.out_info))
    ]
    digest = hashlib.sha256(f"{types}{text}".encode()).digest()
    name = (digest, lowered.in_tree, lowered.out_tree, where)
    if name not in _kept:
        _kept[name] = lowered.compile()
    _kept.move_to_end(name)
    while len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)
    return _kept[name]


def clear_programs() -> None:
    """Forget all programs that jaxdl keeps from call to call."""
    for program in _jitted.values():
        program.clear_cache()
    _jitted.clear()
    _kept.clear()


@functools.cache
def _known_on_cpus(name: str, value: str | int | bool) -> bool:
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        try:
            jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
        except jax.errors.JaxRuntimeError:
            return False
    return True
