"""Devices: how many there are and a mesh over them, on any backend."""

import functools
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh


def use_all_cores() -> int:
    """Make a device of every host core, so that one program can use them all.

    XLA runs the elementwise work of one CPU program mostly on one core. Call this before JAX
    first touches a device; later it changes nothing. An ``XLA_FLAGS`` or ``JAX_NUM_CPU_DEVICES``
    of the user wins.

    Returns:
      The number of CPU devices that JAX now sees.
    """
    user_set = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not user_set and "JAX_NUM_CPU_DEVICES" not in os.environ:
        try:
            jax.config.update("jax_num_cpu_devices", usable_cores())
        except RuntimeError:  # the backend is up already
            pass
    return len(jax.local_devices(backend="cpu"))


def usable_cores() -> int:
    """The number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def mesh(devices=None, name: str = "members") -> Mesh:
    """A mesh of one axis over devices, by default all local ones, with automatic axis types."""
    devices = jax.local_devices() if devices is None else devices
    return Mesh(np.asarray(devices), (name,), axis_types=(AxisType.Auto,))


_ON_CPUS = {
    # Sums and products that XLA hands to YNNPACK since jaxlib 0.10.2 may come out wrong:
    # norm(x @ ones((64, 64))) for one. JAX issues 39103, 39257.
    "xla_cpu_experimental_ynn_fusion_type": "",
    # Training loops compile a quarter faster than at the default level and run as fast.
    "xla_backend_optimization_level": 1,
}


def compiler_options(platform: str | None = None) -> dict[str, str | int] | None:
    """What ``jax.jit`` takes as ``compiler_options`` for right numbers, soon, on a platform.

    None where there is nothing to set, and inside a function that is being traced: options are
    for the outermost. Source: JAX issues 39103, 39257.
    """
    traced = isinstance(jnp.zeros(()), jax.core.Tracer)
    if traced or (platform or jax.default_backend()) != "cpu":
        return None
    return {name: value for name, value in _ON_CPUS.items() if _known_on_cpus(name)} or None


def compiled(fn: Callable, donated: tuple[str, ...] = ()) -> Callable:
    """``fn`` under ``jit``, static in its first argument, kept from call to call.

    ``donated`` arguments are given up. Inside another transformation it has no compiler options of
    its own. ``fn`` must be a function of a module: one made anew would compile anew.
    """
    traced = isinstance(jnp.zeros(()), jax.core.Tracer)
    return _program(fn, donated, traced, jax.default_backend())


@functools.cache
def _program(fn: Callable, donated: tuple[str, ...], traced: bool, platform: str) -> Callable:
    options = None if traced else compiler_options(platform)
    return jax.jit(fn, static_argnums=0, donate_argnames=donated, compiler_options=options)


@functools.cache
def _known_on_cpus(name: str) -> bool:
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        try:
            jax.jit(lambda: 0, compiler_options={name: _ON_CPUS[name]}).lower().compile()
        except jax.errors.JaxRuntimeError:
            return False
    return True


def memory_limit(device=None) -> int:
    """Bytes that a program may take: 0.8 of the device's limit, or half of the host's memory."""
    device = jax.local_devices()[0] if device is None else device
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(0.8 * stats["bytes_limit"])
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 4 * 2**30
