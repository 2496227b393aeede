"""Devices and processes: how many there are, meshes over them, and what is divided over them."""

from jaxdl.parallel.devices import (
    Elsewhere,
    grid,
    is_here,
    memory_limit,
    mesh,
    usable_cores,
    use_all_cores,
)
from jaxdl.parallel.division import divided, local, spread
from jaxdl.parallel.environment import Place, from_environment
from jaxdl.parallel.processes import (
    Processes,
    agree,
    check_same,
    devices,
    gather,
    processes,
    read_once,
    send,
    start,
    stop,
    tell,
)
from jaxdl.parallel.rules import batch_spec, shardings, transformer_spec

__all__ = [
    "Elsewhere",
    "Place",
    "Processes",
    "agree",
    "batch_spec",
    "check_same",
    "devices",
    "divided",
    "from_environment",
    "gather",
    "grid",
    "is_here",
    "local",
    "memory_limit",
    "mesh",
    "processes",
    "read_once",
    "send",
    "shardings",
    "spread",
    "start",
    "stop",
    "tell",
    "transformer_spec",
    "usable_cores",
    "use_all_cores",
]
