"""A population's program: members spread over chunks and devices by plan, compiled and called."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from jaxdl import parallel, programs
from jaxdl.arrays import num_rows, unconsumed
from jaxdl.checks import filled_in, is_key
from jaxdl.model_selection.population.plan import (
    AUTO,
    Execution,
    ExecutionPlan,
    balance,
    choose_plan,
    work_of,
)


class Compiled(NamedTuple):
    """A population's program: ``call(shared, members) -> results``, and what it cost to build."""

    call: Callable
    plan: ExecutionPlan | None
    compile_seconds: float
    num_programs: int
    bytes: int


NOTHING = Compiled(lambda *_: None, None, 0.0, 0, 0)  # where other processes have all members


def pad(members: Any, total: int) -> Any:
    """Repeat the last of the members, leading axis [M], until there are ``total``."""
    size = num_rows(members)
    index = np.minimum(np.arange(total), size - 1)
    return members if total == size else jax.tree.map(lambda x: x[index], members)


def spread(fn: Callable, plan: ExecutionPlan) -> Callable:
    """``(shared, *members [M, ...]) -> results [M, ...]``: apply ``fn(shared, *member)`` by plan.

    What it returns is a pure function to be jitted, for every strategy but ``sequential``; M is as
    ``balance`` says.
    """

    def local(shared, *members):
        one = lambda member: fn(shared, *member)
        size = num_rows(members)
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
    plan: ExecutionPlan,
    shared: Any,
    *members: Any,
    auto: bool = False,
    donate: bool = False,
    short: bool = False,
    resident: int | None = None,
) -> Compiled:
    """Compile a population's program for inputs of these shapes (``members`` as ``balance`` says).

    Args:
      fn: ``(shared, *member) -> result``, pure.
      plan: from ``choose_plan``.
      shared, members: the arguments, or their ``jax.ShapeDtypeStruct``s.
      auto: where the program would take more memory than the device has, leave half of the members
        on the host, to take turns, or halve the number that run at once, until it fits; each
        attempt counts as a program.
      donate: give up the buffers of the last of ``members``.
      short: as in ``programs.compiler_options``.
      resident: at most so many members are on the devices, but at least those that run at once.
    """
    began = time.perf_counter()
    shape = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype)
    shared = jax.tree.map(shape, shared)
    members = tuple(jax.tree.map(shape, member) for member in members)
    first, donated = plan.devices[0], (len(members),) if donate else ()
    options = programs.compiler_options(plan.devices[0].platform, short=short)
    where = (plan.devices, tuple((options or {}).items()))
    if plan.strategy == "sequential":
        one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), members)
        jitted = jax.jit(fn, compiler_options=options)
        program = programs.compile_once(jitted, shared, *one, where=where)
        seconds = time.perf_counter() - began
        return Compiled(_one_by_one(program), plan, seconds, 1, _bytes(program))
    if len(plan.devices) > 1:
        mesh = parallel.mesh(plan.devices)
        everywhere = NamedSharding(mesh, PartitionSpec())
        each = NamedSharding(mesh, PartitionSpec("members"))
    else:
        everywhere = each = SingleDeviceSharding(first)
    attempts, size = 0, num_rows(members)
    waves = 1 if resident is None else most_waves(size, plan, resident)
    while True:
        attempts += 1
        wave = in_waves(size, plan, waves)
        resting = jax.tree.map(
            lambda x, rows=wave.shape[1]: jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype),
            members,
        )
        jitted = jax.jit(
            spread(fn, plan),
            in_shardings=(everywhere, *(each for _ in members)),
            out_shardings=each,
            donate_argnums=donated,
            compiler_options=options,
        )
        program = programs.compile_once(jitted, shared, *resting, where=where)
        needs = _bytes(program)
        limit = parallel.memory_limit(first)
        if not auto or needs <= limit:
            break
        more = most_waves(size, plan, wave.shape[1] // 2)
        if more > waves and _bytes_outside(program) > limit // 2:
            waves = more
            continue
        if plan.chunk <= 1:
            break
        local = size // len(plan.devices)
        half = max(c for c in range(1, plan.chunk // 2 + 1) if local % c == 0)
        plan = ExecutionPlan(
            "chunked", half, plan.devices, f"{half} at once fit in {limit / 2**30:.1f} GiB"
        )
    if waves > 1:
        plan = plan._replace(reason=f"in {waves} waves, the others wait on the host")

    def call(shared, *members):
        shared = jax.device_put(shared, everywhere)
        run = lambda *members: program(shared, *(jax.device_put(m, each) for m in members))
        return run(*members) if waves == 1 else _by_waves(run, wave, members)

    return Compiled(call, plan, time.perf_counter() - began, attempts, needs)


def most_waves(size: int, plan: ExecutionPlan, resident: int) -> int:
    """The waves in which ``size`` members run, ``resident`` of them on the devices at a time."""
    at_once = len(plan.devices) * plan.chunk
    return -(-(size // at_once) // max(1, resident // at_once))


def in_waves(size: int, plan: ExecutionPlan, waves: int) -> np.ndarray:
    """The members of each wave, [W, r]: as many turns of each device; the last may be repeated."""
    cores = len(plan.devices)
    local = size // cores
    turns = -(-(local // plan.chunk) // waves) * plan.chunk
    of_device = np.minimum(np.arange(waves * turns), local - 1).reshape(waves, 1, turns)
    return (of_device + local * np.arange(cores)[:, None]).reshape(waves, cores * turns)


def _by_waves(run: Callable, waves: np.ndarray, members: Any) -> Any:
    """The results of all members, on the host, of which one wave at a time is on the devices."""
    back = np.empty(waves.max() + 1, int)
    back[waves.ravel()] = np.arange(waves.size)
    rows = lambda leaf, index: unconsumed(leaf)[index] if is_key(leaf) else np.asarray(leaf)[index]
    host = lambda leaf: leaf if is_key(leaf) else np.asarray(leaf)
    results = []
    for index in waves:
        part = jax.tree.map(lambda leaf, index=index: rows(leaf, index), members)
        results.append(jax.tree.map(host, run(*part)))
    join = lambda *parts: (jnp if is_key(parts[0]) else np).concatenate(parts)[back]
    return jax.tree.map(join, *results)


def _one_by_one(program) -> Callable:
    def call(shared, *members):
        size = num_rows(members)
        pick = lambda i: jax.tree.map(lambda x: unconsumed(x)[i], members)
        results = [program(shared, *pick(i)) for i in range(size)]
        return jax.tree.map(lambda *parts: jnp.stack(parts), *results)

    return call


def run_members(
    fn: Callable, members: Any, execution: Execution = AUTO
) -> tuple[Any, ExecutionPlan]:
    """Apply a pure function to every member of a population, as one program.

    Args:
      fn: ``(member) -> result``, pytrees of arrays.
      members: pytree with a leading axis [M, ...].
      execution: how.

    Returns:
      The results, stacked along an axis [M], and the plan that was chosen.

    >>> import jax.numpy as jnp
    >>> squares, plan = run_members(lambda x: x**2, jnp.arange(5.0), Execution("chunked", 2))
    >>> squares.tolist(), plan.strategy
    ([0.0, 1.0, 4.0, 9.0, 16.0], 'chunked')
    """
    size = num_rows(members)
    first = jax.tree.map(lambda x: x[0], members)
    carried = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(fn, first)))
    chosen = choose_plan(size, execution, member_bytes=carried, work=work_of(fn, first))
    total, chosen = balance(size, chosen)
    members = pad(members, total)
    auto = execution.strategy == "auto"
    compiled = compile(
        lambda _, x: fn(x), chosen, (), members, auto=auto, resident=execution.resident
    )
    results = compiled.call((), members)
    return jax.tree.map(lambda x: x[:size], results), filled_in(compiled.plan)


def _bytes(program) -> int:
    """What a program takes in all."""
    analysis = program.memory_analysis()
    return 0 if analysis is None else analysis.temp_size_in_bytes + _bytes_outside(program)


def _bytes_outside(program) -> int:
    """What the members take that are on the devices, and their results, and what they share."""
    analysis = program.memory_analysis()
    return (
        0 if analysis is None else analysis.argument_size_in_bytes + analysis.output_size_in_bytes
    )
