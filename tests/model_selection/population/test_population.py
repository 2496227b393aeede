"""Strategies: the same results, one program, and a choice that is said aloud."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_study import study

from jaxdl import models, parallel, programs
from jaxdl.model_selection.population import (
    Execution,
    ExecutionPlan,
    choose_plan,
    execute,
    run_members,
)
from jaxdl.model_selection.population.placement import arrange
from jaxdl.model_selection.population.plan import CACHE_BYTES, STRATEGIES, Work, balance, work_of


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_results_do_not_depend_on_the_way(strategy, size):
    members = {
        "a": jnp.arange(size, dtype=jnp.float32),
        "k": jax.random.split(jax.random.key(0), size),
    }
    fn = lambda m: {"y": m["a"] ** 2 + jax.random.normal(m["k"], (3,))}
    out, chosen = run_members(fn, jax.tree.map(jax.random.clone, members), Execution(strategy))
    expected = [
        m**2 + jax.random.normal(k, (3,)) for m, k in zip(members["a"], members["k"], strict=True)
    ]
    np.testing.assert_allclose(out["y"], expected, rtol=1e-6)
    assert strategy in ("auto", chosen.strategy)
    assert chosen.reason


def test_auto_maps_what_loops_over_data_and_says_so():
    def newton(x):  # a loop whose length depends on the data
        return jax.lax.while_loop(lambda r: jnp.abs(r * r - x) > 1e-3, lambda r: (r + x / r) / 2, x)

    roots, chosen = run_members(newton, jnp.array([4.0, 9.0, 100.0]))
    np.testing.assert_allclose(roots, [2, 3, 10], rtol=1e-3)
    assert chosen.strategy == "map" and "lockstep" in chosen.reason


@pytest.mark.parametrize(
    ("fn", "work"),
    [
        (lambda x: x + 1, (True, False)),
        (lambda x: jax.lax.fori_loop(0, 3, lambda i, v: v * 2, x), (True, False)),
        (jax.jit(lambda x: jax.lax.while_loop(lambda u: u < 9, lambda u: u + 1, x)), (False, False)),
        (lambda x: jnp.convolve(jnp.stack([x, x]), jnp.ones(2)), (False, False)),
        (lambda x: jnp.linalg.eigh(x * jnp.eye(2)), (True, True)),
        (lambda x: jnp.linalg.solve(x * jnp.eye(2), jnp.ones(2)), (True, True)),
    ],
)  # fmt: skip
def test_loops_convolutions_and_factorisations_are_found(fn, work):
    assert work_of(fn, 1.0)[:2] == work


def test_numbers_written_are_counted_by_the_turns_of_loops():
    def step(x):  # a product and a sum in each of five turns, a sum behind them
        return jax.lax.scan(lambda c, _: (jnp.sum(x * 2 + c), None), 0.0, length=5)[0] + x

    count = lambda n: work_of(step, jnp.ones(n)).numbers
    assert count(30) - count(20) == 10 + 5 * 2 * 10


def test_short_studies_leave_the_fusion_emitters_out(monkeypatch):
    seen = []
    options = programs.compiler_options
    monkeypatch.setattr(
        programs, "compiler_options",
        lambda platform=None, *, short=False: seen.append(short) or options(platform, short=short),
    )  # fmt: skip
    study({"rate": [0.1]}, epochs=1)
    monkeypatch.setattr(programs, "SHORT", 10.0)
    study({"rate": [0.1]}, epochs=1)
    assert seen[1::2] == [True, False]  # the others fit the transform


@pytest.mark.parametrize("norm", [None, "batch", "mlp"])
def test_studies_of_images_are_never_short(norm):
    """With batch normalisation XLA took 157 s to compile one without fusion emitters, and 10 s with."""
    image = (6, 6, 1)
    net = models.mlp((36, 3)) if norm == "mlp" else models.cnn(image, 3, filters=(2,), norm=norm)
    params, state = net.init(jax.random.key(0))
    x = jnp.zeros((4, 36) if norm == "mlp" else (4, *image))
    work = work_of(lambda p: net.apply(p, state, x, train=norm == "batch")[0], params)
    assert work.in_lockstep and (work.axes == 2) == (norm == "mlp")
    assert programs.is_short(work.numbers, work.axes) == (norm == "mlp")
    assert not programs.is_short(1e10, 2)


def test_members_with_large_arrays_run_one_by_one_on_cpus():
    def step(x, batch=8):
        return jnp.sum(jnp.tile(jnp.outer(x, x), (batch, 1)))

    small, large = (work_of(step, jnp.ones(n)) for n in (4, 512))
    assert small.largest_bytes == 8 * 4 * 4 * 4 and large.largest_bytes == 8 * 512 * 512 * 4
    assert choose_plan(6, Execution(devices=jax.devices()[:1]), work=small).chunk == 6
    chosen = choose_plan(6, work=large)
    assert chosen.strategy == "map" and len(chosen.devices) == 2 and "caches" in chosen.reason
    half = Work(largest_bytes=CACHE_BYTES // 2)
    assert (
        choose_plan(8, Execution(devices=jax.devices()[:1]), work=half, member_bytes=16).chunk == 2
    )

    class Accelerator:
        platform = "gpu"

    assert choose_plan(6, Execution(devices=[Accelerator()]), work=large).strategy == "vmap"


def test_lapack_never_runs_in_batches_on_several_host_devices():
    """They would wait for one another for ever."""
    assert len(jax.devices()) == 2
    factorise = Work(lapack=True)
    assert choose_plan(9, work=factorise).strategy == "map"
    assert len(choose_plan(9, work=factorise).devices) == 2
    for execution in (Execution("vmap"), Execution("chunked"), Execution(chunk=3)):
        chosen = choose_plan(9, execution, work=factorise)
        assert len(chosen.devices) == 1 and "LAPACK" in chosen.reason
    matrices = np.random.default_rng(0).normal(size=(64, 9, 5)).astype(np.float32)
    for strategy in ("auto", "vmap"):
        values, _ = run_members(lambda x: jnp.linalg.svd(x)[1], matrices, Execution(strategy))
        np.testing.assert_allclose(values, np.linalg.svd(matrices)[1], rtol=1e-4)


def test_products_with_constants_are_right():
    """XLA's YNNPACK fusions get this one wrong on CPUs (JAX issue 39103)."""
    matrices = np.random.default_rng(0).normal(size=(3, 64, 64)).astype(np.float32)
    norms, _ = run_members(lambda x: jnp.linalg.norm(x @ jnp.ones((64, 64))), matrices)
    np.testing.assert_allclose(norms, 8 * np.linalg.norm(matrices.sum(2), axis=1), rtol=1e-4)


def test_chunks_are_halved_until_they_fit(monkeypatch):
    matrix = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    big = lambda x: jnp.linalg.norm((x * matrix) @ jnp.tanh(x + matrix))
    members = jnp.arange(8.0)
    device = jax.devices()[:1]
    roomy = execute.compile(lambda _, x: big(x), choose_plan(8, Execution("vmap", devices=device)), (), members,
                               auto=True)  # fmt: skip
    assert roomy.plan.strategy == "vmap" and roomy.num_programs == 1
    monkeypatch.setattr(parallel, "memory_limit", lambda device: roomy.bytes // 2)
    tight = execute.compile(lambda _, x: big(x), choose_plan(8, Execution("vmap", devices=device)), (), members,
                               auto=True)  # fmt: skip
    assert tight.plan.chunk in (1, 2, 4) and tight.num_programs > 1
    assert "fit in" in tight.plan.reason
    np.testing.assert_allclose(tight.call((), members), roomy.call((), members), rtol=1e-6)
    monkeypatch.setattr(parallel, "memory_limit", lambda device: roomy.bytes)
    just = execute.compile(lambda _, x: big(x), choose_plan(8, Execution("vmap", devices=device)), (), members,
                           auto=True)  # fmt: skip
    assert just.plan.strategy == "vmap" and just.num_programs == 1


@pytest.mark.parametrize("settings", [1, 2, 5, 12])
@pytest.mark.parametrize("groups", [1, 3, 10])
@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_blocks_hold_every_setting_and_keep_all_devices_busy(settings, groups, chunk):
    devices = tuple(jax.devices())
    blocks, size, rows = arrange(settings, groups, ExecutionPlan("chunked", chunk, devices, ""))
    assert (blocks - 1) * size < settings <= blocks * size  # all fit, and none is empty
    assert size <= chunk
    assert len(rows.devices) == min(2, settings * groups)
    total, even = balance(groups * blocks, rows)
    assert total % (len(even.devices) * even.chunk) == 0
    assert total >= groups * blocks


def test_plans_by_kind_of_device():
    class Accelerator:
        platform = "gpu"

    assert choose_plan(50, Execution(devices=[Accelerator()])).strategy == "vmap"
    on_host = choose_plan(50, member_bytes=CACHE_BYTES // 4)
    assert (on_host.strategy, on_host.chunk) == ("chunked", 4)
    assert choose_plan(50, member_bytes=10**12).chunk == 1
    assert choose_plan(3, Execution("chunked", 100)).chunk == 2
    assert "chunked(4) over 2 devices" in str(on_host)


def test_bad_plans():
    with pytest.raises(ValueError, match=r"strategy is one of auto, vmap, .*not 'pmap'"):
        choose_plan(3, Execution("pmap"))
    with pytest.raises(ValueError, match="chunk must be a positive whole number, not 0"):
        choose_plan(3, Execution("chunked", 0))
    with pytest.raises(ValueError, match=r"Execution\(\"map\"\) say, not 'map'"):
        choose_plan(3, "map")
    with pytest.raises(ValueError, match="at least one member, not 0"):
        choose_plan(0)


def test_memory_and_cores_are_known(monkeypatch):
    """Of a host with three cores for us, and with 2^20 pages of 4 KiB."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 2**12, "SC_PHYS_PAGES": 2**20}.get)
    assert parallel.usable_cores() == 3
    assert parallel.memory_limit() == 2**31  # half of it
    assert parallel.mesh().devices.size == len(jax.devices())
