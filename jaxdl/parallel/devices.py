"""Devices: how many there are, here and elsewhere, and a mesh over them, on any backend."""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh


class Elsewhere(NamedTuple):
    """Device ``number`` of another process, that of process ``process_index``."""

    process_index: int
    number: int
    platform: str


def is_here(device: Any) -> bool:
    """Whether a device is one that this process can use itself."""
    if isinstance(device, Elsewhere):
        return False
    return device.process_index == jax.process_index()


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


def grid(sizes: Mapping[str, int], devices=None) -> Mesh:
    """A mesh of several axes, ``{name: devices along it}``, by default over all devices there are.

    Raises a ValueError where the sizes multiply to another number than there are devices.

    >>> grid({"data": 1, "tensor": 1}, jax.devices()[:1]).axis_names
    ('data', 'tensor')
    """
    devices = jax.devices() if devices is None else devices
    if math.prod(sizes.values()) != len(devices):
        product = " x ".join(map(str, sizes.values()))
        raise ValueError(f"a grid of {product} has another number than the {len(devices)} devices")
    laid = np.asarray(devices).reshape(*sizes.values())
    return Mesh(laid, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


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
