"""How the members of a population are run: at once, in chunks, one by one, over devices.

A strategy never changes a result, only its rounding and its speed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from jaxdl.checks import one_of, positive_int

# Members whose training states, or whose largest arrays, together are larger than this fall out of
# a core's caches. Measured on two cores with small multi-layer perceptrons, convolutional networks
# (8 x 8 and 28 x 28 images) and LSTMs of 32 and 128 units: the last three are fastest one by one.
CACHE_BYTES = 2**20

# What a chunk costs on top of its members, in members.
CHUNK_OVERHEAD = 0.1

STRATEGIES = ("auto", "vmap", "chunked", "map", "sequential")
COMPACT = ("auto", "always", "never")


class Execution(NamedTuple):
    """How a population is to be run.

    strategy: one of ``STRATEGIES``; ``"auto"`` decides by the kind of device and of work.
    chunk: members at once on a device, for ``"chunked"``; given, it turns ``"auto"`` to that.
    devices: what to spread over; default all local devices of the default backend, for studies
        those of all processes that ``parallel.start`` met.
    compact: when members that go on are brought together in a smaller program: ``"auto"`` where
        compiling that takes less time than it saves, ``"always"`` once half of the places are
        empty, or ``"never"``.
    resident: members on the devices (of a process) at a time; the others wait on the host, and all
        take turns in each stretch. Default all, or as many as fit with ``"auto"``.
    """

    strategy: str = "auto"
    chunk: int | None = None
    devices: Sequence | None = None
    compact: str = "auto"
    resident: int | None = None


AUTO = Execution()


class ExecutionPlan(NamedTuple):
    """How a population is run, and why so.

    strategy: ``vmap`` (all at once), ``chunked`` (``chunk`` at once, chunk after chunk), ``map``
        (one after the other inside the program), ``sequential`` (a call for each).
    chunk: how many run at once on one device.
    devices: those that share the population.
    reason: why, in words.
    """

    strategy: str
    chunk: int
    devices: tuple
    reason: str

    def __str__(self) -> str:
        spread = f" over {len(self.devices)} devices" if len(self.devices) > 1 else ""
        processes = len({device.process_index for device in self.devices})
        spread += f" of {processes} processes" if processes > 1 else ""
        size = f"({self.chunk})" if self.strategy == "chunked" else ""
        return f"{self.strategy}{size}{spread}: {self.reason}"


class Work(NamedTuple):
    """What members do that decides how they are run.

    in_lockstep: False where they have loops whose length depends on data, or XLA's convolutions:
        under ``vmap`` all would wait for the slowest, or be lowered badly. Convolutions as slices
        and one product are none of XLA's.
    lapack: whether they factorise or solve. On CPUs, before JAX 0.11, batches of LAPACK calls on
        several devices wait for one another's threads for ever (seen with 0.10.2).
    largest_bytes: of the largest array that a step makes.
    numbers: that a step writes in all, loops of known length counted by their turns.
    axes: of the array that has the most; images have 4.
    """

    in_lockstep: bool = True
    lapack: bool = False
    largest_bytes: int = 0
    numbers: int = 0
    axes: int = 0


UNKNOWN = Work()


def check_execution(execution: Any) -> Execution:
    """The Execution. Raises a ValueError for what is none, or has a name or a chunk that is none."""
    if not isinstance(execution, Execution):
        raise ValueError(f'execution takes an Execution, Execution("map") say, not {execution!r}')
    one_of("strategy", execution.strategy, STRATEGIES)
    one_of("compact", execution.compact, COMPACT)
    if execution.chunk is not None:
        positive_int("chunk", execution.chunk)
    if execution.resident is not None:
        positive_int("resident", execution.resident)
    return execution


def choose_plan(
    size: int, execution: Execution = AUTO, *, member_bytes: int = 0, work: Work = UNKNOWN
) -> ExecutionPlan:
    """Choose how to run ``size`` members.

    Args:
      size: number of members.
      execution: what is asked for.
      member_bytes: what one member carries, for the choice of a chunk on CPUs.
      work: what members do, from ``work_of``.

    Raises a ValueError as ``check_execution``, and for sizes under 1.
    """
    strategy, chunk, devices, *_ = check_execution(execution)
    if size < 1:
        raise ValueError(f"a population has at least one member, not {size}")
    devices = tuple(jax.local_devices() if devices is None else devices)[:size]
    on_cpu = devices[0].platform == "cpu"
    asked = "asked for"
    if work.lapack and on_cpu and len(devices) > 1 and (strategy in ("vmap", "chunked") or chunk):
        devices, asked = (
            devices[:1],
            "asked for; batches of LAPACK calls share one device's threads",
        )
    share = math.ceil(size / len(devices))
    if strategy == "sequential":
        return ExecutionPlan("sequential", 1, devices[:1], asked)
    if strategy == "map":
        return ExecutionPlan("map", 1, devices, asked)
    if strategy == "vmap":
        return ExecutionPlan("vmap", share, devices, asked)
    if strategy == "chunked" or chunk is not None:
        return ExecutionPlan("chunked", min(chunk or 8, share), devices, asked)
    if not work.in_lockstep:
        return ExecutionPlan(
            "map", 1, devices, "members loop over data or convolve: not in lockstep"
        )
    if work.lapack and on_cpu:
        return ExecutionPlan(
            "map", 1, devices, "members call LAPACK, which gains nothing from batches"
        )
    if not on_cpu:
        return ExecutionPlan(
            "vmap", share, devices, "an accelerator is fastest on all members at once"
        )
    fitting = max(1, min(share, CACHE_BYTES // max(member_bytes, work.largest_bytes, 1)))
    if fitting == 1 and share > 1 and work.largest_bytes > member_bytes:
        reason = "the arrays of one member's step fill the CPU's caches"
        return ExecutionPlan("map", 1, devices, reason)
    return ExecutionPlan("chunked", fitting, devices, "as many at once as stay in the CPU's caches")


def balance(size: int, plan: ExecutionPlan) -> tuple[int, ExecutionPlan]:
    """How many members M to fill ``size`` up to, so that all chunks of all devices are equal.

    Unequal chunks would be two programs in one. Returns M and the plan with its even chunk: of
    those up to ``plan.chunk`` the one that costs least, with what is filled up.
    """
    cores = len(plan.devices)
    local = math.ceil(size / cores)
    turns = lambda chunk: math.ceil(local / chunk)
    cost = lambda chunk: turns(chunk) * (chunk + CHUNK_OVERHEAD)
    chunk = min(range(1, min(plan.chunk, local) + 1), key=cost)
    return cores * turns(chunk) * chunk, plan._replace(chunk=chunk)


_NOT_IN_LOCKSTEP = {"while", "conv_general_dilated"}

_LAPACK = {
    "cholesky", "eig", "eigh", "geqp3", "geqrf", "hessenberg", "householder_product", "lu", "qr",
    "schur", "svd", "symmetric_product", "triangular_solve", "tridiagonal", "tridiagonal_solve",
}  # fmt: skip


def work_of(fn: Callable, *args) -> Work:
    """The Work of a function, by the operations of its trace. Source: JAX issues 2947, 13800."""
    names, largest, axes = set(), 0, 0

    def search(jaxpr) -> int:
        nonlocal largest, axes
        numbers = 0
        for equation in jaxpr.eqns:
            names.add(equation.primitive.name)
            largest = max(largest, *(_num_bytes(out.aval) for out in equation.outvars), 0)
            axes = max(axes, *(len(getattr(out.aval, "shape", ())) for out in equation.outvars), 0)
            if inner := list(_inside(equation)):
                numbers += equation.params.get("length", 1) * sum(map(search, inner))
            else:
                numbers += sum(_num_entries(out.aval) for out in equation.outvars)
        return numbers

    numbers = search(jax.make_jaxpr(fn)(*args).jaxpr)
    return Work(not names & _NOT_IN_LOCKSTEP, bool(names & _LAPACK), largest, numbers, axes)


def _inside(equation) -> Iterator:
    """The traces that an equation holds."""
    for value in equation.params.values():
        for inner in value if isinstance(value, (tuple, list)) else (value,):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield inner


def _num_entries(aval) -> int:
    return math.prod(getattr(aval, "shape", ()))


def _num_bytes(aval) -> int:
    if not hasattr(aval, "shape") or jax.numpy.issubdtype(aval.dtype, jax.dtypes.extended):
        return 0
    return _num_entries(aval) * aval.dtype.itemsize
