"""How the members of a population are run: at once, in chunks, one by one, over devices.

A strategy never changes a result, only its rounding and its speed.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from jaxdl import parallel

# Members whose training states together are larger than this fall out of a core's caches. Measured
# with small multi-layer perceptrons on two cores.
CACHE_BYTES = 2**20

# What a chunk costs on top of its members, in members.
CHUNK_OVERHEAD = 0.1

STRATEGIES = ("auto", "vmap", "chunked", "map", "sequential")


class Plan(NamedTuple):
    """The way that was chosen.

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
        size = f"({self.chunk})" if self.strategy == "chunked" else ""
        return f"{self.strategy}{size}{spread}: {self.reason}"


class Work(NamedTuple):
    """What members do that decides how they are run.

    in_lockstep: False where they have loops whose length depends on data, or convolutions: under
        ``vmap`` all would wait for the slowest, or be lowered badly.
    lapack: whether they factorise or solve. On CPUs, before JAX 0.11, batches of LAPACK calls on
        several devices wait for one another's threads for ever (seen with 0.10.2).
    """

    in_lockstep: bool = True
    lapack: bool = False


UNKNOWN = Work()


class Compiled(NamedTuple):
    """A population's program: ``call(shared, members) -> results``, and what it cost to build."""

    call: Callable
    plan: Plan
    compile_seconds: float
    num_programs: int
    bytes: int


def check_strategy(strategy: str) -> None:
    """Raise a ValueError for a name that is not in ``STRATEGIES``; no shape is involved."""
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")


def plan(
    size: int,
    strategy: str = "auto",
    *,
    chunk: int | None = None,
    devices=None,
    member_bytes: int = 0,
    work: Work = UNKNOWN,
) -> Plan:
    """Choose how to run ``size`` members.

    Args:
      size: number of members.
      strategy: one of ``STRATEGIES``; ``auto`` decides by the kind of device and of work.
      chunk: members at once on a device, for ``chunked``; given, it turns ``auto`` to that.
      devices: what to spread over; default all local devices of the default backend.
      member_bytes: what one member carries, for the choice of a chunk on CPUs.
      work: what members do, from ``work_of``.

    Raises a ValueError on unknown names and sizes under 1; no shapes are involved.
    """
    check_strategy(strategy)
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1, not {chunk}")
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
        return Plan("sequential", 1, devices[:1], asked)
    if strategy == "map":
        return Plan("map", 1, devices, asked)
    if strategy == "vmap":
        return Plan("vmap", share, devices, asked)
    if strategy == "chunked" or chunk is not None:
        return Plan("chunked", min(chunk or 8, share), devices, asked)
    if not work.in_lockstep:
        return Plan("map", 1, devices, "members loop over data or convolve: not in lockstep")
    if work.lapack and on_cpu:
        return Plan("map", 1, devices, "members call LAPACK, which gains nothing from batches")
    if not on_cpu:
        return Plan("vmap", share, devices, "an accelerator is fastest on all members at once")
    fitting = max(1, min(share, CACHE_BYTES // max(member_bytes, 1)))
    return Plan("chunked", fitting, devices, "as many at once as stay in the CPU's caches")


def balance(size: int, plan: Plan) -> tuple[int, Plan]:
    """How many members [M] to fill ``size`` up to, so that all chunks of all devices are equal.

    Unequal chunks would be two programs in one. Returns M and the plan with its even chunk: of
    those up to ``plan.chunk`` the one that costs least, with what is filled up.
    """
    cores = len(plan.devices)
    local = math.ceil(size / cores)
    turns = lambda chunk: math.ceil(local / chunk)
    cost = lambda chunk: turns(chunk) * (chunk + CHUNK_OVERHEAD)
    chunk = min(range(1, min(plan.chunk, local) + 1), key=cost)
    return cores * turns(chunk) * chunk, plan._replace(chunk=chunk)


def pad(members: Any, total: int) -> Any:
    """Repeat the last of the members, leading axis [M], until there are ``total``."""
    size = jax.tree.leaves(members)[0].shape[0]
    index = np.minimum(np.arange(total), size - 1)
    return members if total == size else jax.tree.map(lambda x: x[index], members)


def spread(fn: Callable, plan: Plan, prepare: Callable = lambda shared: shared) -> Callable:
    """``(shared, *members [M, ...]) -> results [M, ...]``: apply ``fn(shared, *member)`` by plan.

    ``prepare(shared) -> shared`` runs once, before all members, inside the same program.

    The result, of shape [M, ...] leaf by leaf, is a pure function to be jitted, for every strategy but ``sequential``; M is as
    ``balance`` says.
    """

    def local(shared, *members):
        shared = prepare(shared)
        one = lambda member: fn(shared, *member)
        size = jax.tree.leaves(members)[0].shape[0]
        if plan.strategy == "vmap" or 1 < size <= plan.chunk:
            return jax.vmap(one)(members)
        return lax.map(one, members, batch_size=plan.chunk if plan.chunk > 1 else None)

    if len(plan.devices) == 1:
        return local
    each = PartitionSpec("members")
    mesh = parallel.mesh(plan.devices)

    def over_devices(shared, *members):
        specs = (PartitionSpec(), *(each for _ in members))
        # Nothing inside communicates, so there is no replication to check.
        mapped = jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=each, check_vma=False)
        return mapped(shared, *members)

    return over_devices


def compile(
    fn: Callable,
    plan: Plan,
    shared: Any,
    *members: Any,
    prepare: Callable = lambda shared: shared,
    auto: bool = False,
    donate: bool = False,
) -> Compiled:
    """Compile a population's program for inputs of these shapes (``members`` as ``balance`` says).

    Args:
      fn: ``(shared, *member) -> result``, pure.
      plan: from ``plan``.
      shared, members: the arguments, or their ``jax.ShapeDtypeStruct``s.
      prepare: see ``spread``.
      auto: where the program would take more memory than the device has, halve the number of
        members that run at once until it fits; each attempt counts as a program.
      donate: give up the buffers of the last of ``members``.
    """
    began = time.perf_counter()
    shape = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype)
    shared, *members = jax.tree.map(shape, (shared, *members))
    donated = (len(members),) if donate else ()
    options = parallel.compiler_options(plan.devices[0].platform)
    if plan.strategy == "sequential":
        one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), members)
        whole = lambda shared, *member: fn(prepare(shared), *member)
        program = jax.jit(whole, compiler_options=options).lower(shared, *one).compile()
        seconds = time.perf_counter() - began
        return Compiled(_one_by_one(program), plan, seconds, 1, _bytes(program))
    if len(plan.devices) > 1:
        mesh = parallel.mesh(plan.devices)
        everywhere = NamedSharding(mesh, PartitionSpec())
        each = NamedSharding(mesh, PartitionSpec("members"))
    else:
        everywhere = each = SingleDeviceSharding(plan.devices[0])
    attempts = 0
    while True:
        attempts += 1
        jitted = jax.jit(
            spread(fn, plan, prepare),
            in_shardings=(everywhere, *(each for _ in members)),
            out_shardings=each,
            donate_argnums=donated,
            compiler_options=options,
        )
        program = jitted.lower(shared, *members).compile()
        needs = _bytes(program)
        limit = parallel.memory_limit(plan.devices[0])
        if not auto or needs <= limit or plan.chunk <= 1:
            break
        size = jax.tree.leaves(members)[0].shape[0] // len(plan.devices)
        half = max(c for c in range(1, plan.chunk // 2 + 1) if size % c == 0)
        plan = Plan("chunked", half, plan.devices, f"{half} at once fit in {limit / 2**30:.1f} GiB")

    def call(shared, *members):
        return program(
            jax.device_put(shared, everywhere), *(jax.device_put(m, each) for m in members)
        )

    return Compiled(call, plan, time.perf_counter() - began, attempts, needs)


def _one_by_one(program) -> Callable:
    def call(shared, *members):
        size = jax.tree.leaves(members)[0].shape[0]
        pick = lambda i: jax.tree.map(lambda x: _fresh(x)[i], members)
        results = [program(shared, *pick(i)) for i in range(size)]
        return jax.tree.map(lambda *parts: jnp.stack(parts), *results)

    return call


def run(
    fn: Callable, members: Any, strategy: str = "auto", *, chunk: int | None = None, devices=None
) -> tuple[Any, Plan]:
    """Apply a pure function to every member of a population, as one program.

    Args:
      fn: ``(member) -> result``, pytrees of arrays.
      members: pytree with a leading axis [M, ...].
      strategy, chunk, devices: see ``plan``.

    Returns:
      The results, stacked along an axis [M], and the plan that was chosen.

    >>> import jax.numpy as jnp
    >>> squares, plan = run(lambda x: x**2, jnp.arange(5.0), "chunked", chunk=2)
    >>> squares.tolist(), plan.strategy
    ([0.0, 1.0, 4.0, 9.0, 16.0], 'chunked')
    """
    size = jax.tree.leaves(members)[0].shape[0]
    first = jax.tree.map(lambda x: x[0], members)
    carried = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(fn, first)))
    chosen = plan(
        size,
        strategy,
        chunk=chunk,
        devices=devices,
        member_bytes=carried,
        work=work_of(fn, first),
    )
    total, chosen = balance(size, chosen)
    members = pad(members, total)
    compiled = compile(lambda _, x: fn(x), chosen, (), members, auto=strategy == "auto")
    results = compiled.call((), members)
    return jax.tree.map(lambda x: x[:size], results), compiled.plan


def _fresh(x):
    """The same array; of keys, one that nothing has consumed."""
    return jax.random.clone(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


def _bytes(program) -> int:
    analysis = program.memory_analysis()
    if analysis is None:
        return 0
    return (
        analysis.temp_size_in_bytes
        + analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
    )


_NOT_IN_LOCKSTEP = {"while", "conv_general_dilated"}
_LAPACK = {
    "cholesky", "eig", "eigh", "geqp3", "geqrf", "hessenberg", "householder_product", "lu", "qr",
    "schur", "svd", "symmetric_product", "triangular_solve", "tridiagonal", "tridiagonal_solve",
}  # fmt: skip


def work_of(fn: Callable, *args) -> Work:
    """What a function does, traced on arguments of any shapes. Source: JAX issues 2947, 13800."""
    names = set()

    def search(jaxpr) -> None:
        for equation in jaxpr.eqns:
            names.add(equation.primitive.name)
            for value in equation.params.values():
                for inner in value if isinstance(value, (tuple, list)) else (value,):
                    inner = getattr(inner, "jaxpr", inner)
                    if hasattr(inner, "eqns"):
                        search(inner)

    search(jax.make_jaxpr(fn)(*args).jaxpr)
    return Work(in_lockstep=not names & _NOT_IN_LOCKSTEP, lapack=bool(names & _LAPACK))
