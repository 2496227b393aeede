"""Programs that are kept: nothing is compiled twice, and nobody gets another's program."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import classifier, softmax_learner, three_classes
from tiny_study import assert_same, study

import jaxdl
from jaxdl import features, programs, training
from jaxdl.arrays import padded_size
from jaxdl.model_selection import refit

COMPILED = "/jax/core/compile/backend_compile_duration"
_counts = [0]


@jax.monitoring.register_event_duration_secs_listener
def _count(name, seconds, **about):
    _counts[0] += name == COMPILED


@contextlib.contextmanager
def compilations():
    """A list that holds, after the block, the number of programs that were compiled in it."""
    before, found = _counts[0], []
    yield found
    found.append(_counts[0] - before)


@pytest.fixture(autouse=True)
def nothing_kept():
    jaxdl.clear_programs()


def test_a_second_study_compiles_nothing_and_is_its_own():
    with compilations() as first:
        study({"rate": [0.1, 0.01]}, seeds=2, transform=features.standardize())
    assert first[0] > 0
    others = [
        {"grid": {"rate": [0.3, 0.05]}, "seeds": [7, 3], "key": key} for key in range(1, 4)
    ]  # fmt: skip
    with compilations() as again:
        kept = [study(**other, transform=features.standardize()) for other in others]
    assert again == [0]
    for other, got in zip(others, kept, strict=True):
        jaxdl.clear_programs()
        with compilations() as anew:
            assert_same(got, study(**other, transform=features.standardize()))
        assert anew[0] > 0


@pytest.mark.parametrize("strategy", ["sequential", "map", "vmap"])
def test_so_with_every_strategy(strategy):
    study({"rate": [0.1, 0.01]}, strategy=strategy, devices=1)
    with compilations() as again:
        study({"rate": [0.1, 0.02]}, strategy=strategy, devices=1)
    assert again == [0]


def test_what_a_closure_holds_by_now_is_what_counts():
    """The same function, of which a number and then a shape changed."""
    about = {"scale": 1.0, "width": 3}

    def make(h):
        return classifier({"rate": about["scale"] * h["rate"], "width": about["width"]})

    first = study({"rate": [0.1]}, make=make)
    about["scale"] = 0.5
    slower = study({"rate": [0.1]}, make=make)
    about["width"] = 4
    wider = study({"rate": [0.1]}, make=make)
    assert first.num_params[0] == slower.num_params[0] < wider.num_params[0]
    jaxdl.clear_programs()
    alone = study({"rate": [0.05]}, make=lambda h: classifier({**h, "width": 3}))
    np.testing.assert_allclose(slower.train_loss, alone.train_loss, rtol=1e-6)
    assert np.abs(first.train_loss - alone.train_loss).max() > 1e-3


def test_a_function_made_anew_that_does_the_same_is_the_same_program():
    make = lambda: lambda h: softmax_learner(h)
    study({"rate": [0.1, 0.01]}, make=make())
    with compilations() as again:
        study({"rate": [0.1, 0.02]}, make=make())
    assert again == [0]


def test_a_second_refit_and_predict_compile_nothing():
    x, y = three_classes()
    found = study({"rate": [0.1, 0.01]}, (x, y), transform=features.standardize())
    first = refit(found, (x, y), index=0)
    first.predict(x), first.members(x)
    with compilations() as again:
        other = refit(found, (x, y), index=1, key=jax.random.key(9))
        other.predict(x), other.members(x)
    assert again == [0]


def test_batches_of_any_length_make_do_with_a_handful_of_programs():
    x, y = three_classes()
    fitted = refit(study({"rate": [0.1]}, (x, y)), (x, y), seeds=2)
    whole = np.asarray(fitted.members(x))
    with compilations() as many:
        for n in range(1, 41):
            np.testing.assert_allclose(fitted.members(x[:n]), whole[:, :n], rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(
                fitted.predict(x[:n]), whole[:, :n].mean(0), rtol=1e-5, atol=1e-7
            )
    assert many[0] <= 7 * 2  # 1, 2, 4, ..., 64 rows, members and their mean
    assert fitted.predict(x[:0]).shape == (0, 3) and fitted.members(x[:0]).shape == (2, 0, 3)


def test_padding_wastes_less_than_half_and_for_many_rows_a_quarter():
    sizes = [padded_size(n) for n in range(1, 20_000)]
    assert all(n <= size < 2 * n for n, size in enumerate(sizes, 1))
    assert all(size < 1.25 * n for n, size in enumerate(sizes, 1) if n > 1024)
    assert len(set(sizes)) == 11 + 4 * 4 + 1  # powers up to 1024; quarters up to 16384; 20480


def test_predictions_under_jit_and_grad():
    x, y = three_classes()
    fitted = refit(study({"rate": [0.1]}, (x, y)), (x, y))
    np.testing.assert_allclose(jax.jit(fitted.predict)(x), fitted.predict(x), rtol=1e-5)
    slope = jax.grad(lambda x: fitted.predict(x)[0, 0])(jnp.asarray(x))
    assert np.abs(slope[0]).max() > 0 and np.abs(slope[1:]).max() == 0


def compiled_once(fn, *args, **options):
    return programs.compile_once(jax.jit(fn, **options), *args)


def test_programs_of_other_constants_types_trees_and_devices_are_told_apart():
    x = jnp.arange(3.0)
    times = lambda c: lambda x: c * x
    of = compiled_once
    assert of(times(2.0), x) is of(times(2.0), x)
    assert of(times(3.0), x)(x).tolist() == [0, 3, 6]
    for many in (np.ones(2000), np.r_[np.ones(1999), 5.0]):  # differ in one number
        many = many.astype(np.float32)
        np.testing.assert_array_equal(of(times(many), jnp.ones(2000))(jnp.ones(2000)), many)
    assert set(of(lambda x: {"a": x + 1}, x)(x)) == {"a"}
    assert set(of(lambda x: {"b": x + 1}, x)(x)) == {"b"}
    words = jnp.zeros(2, jnp.uint32)
    as_key = of(lambda w: jax.random.wrap_key_data(w), words)(words)
    assert jnp.issubdtype(as_key.dtype, jax.dtypes.prng_key)
    assert of(lambda w: w, words)(words).dtype == jnp.uint32
    for device in jax.devices()[:2]:
        there = jax.sharding.SingleDeviceSharding(device)
        jitted = jax.jit(times(2.0), in_shardings=there, out_shardings=there)
        program = programs.compile_once(jitted, x, where=device)
        assert program(jax.device_put(x, device)).devices() == {device}


def test_programs_that_call_python_are_not_kept():
    def calling(fn):
        return lambda x: jax.pure_callback(fn, jax.ShapeDtypeStruct((), jnp.float32), x)

    x = jnp.float32(1)
    for add in (1, 2):
        program = compiled_once(calling(lambda x, add=add: np.float32(x + add)), x)
        assert program(x) == 1 + add
    assert not programs._kept


def test_only_so_many_are_kept_those_asked_for_last(monkeypatch):
    monkeypatch.setattr(programs, "MOST_KEPT", 2)
    x = jnp.arange(3.0)
    of = lambda c: compiled_once(lambda x: c + x, x)
    first, _ = of(1.0), of(2.0)
    assert of(1.0) is first
    of(3.0)
    assert len(programs._kept) == 2 and of(1.0) is first
    with compilations() as again:
        of(2.0)
    assert again[0] > 0


def test_clear_programs_forgets_all():
    x, y = three_classes()
    fitted = refit(study({"rate": [0.1]}, (x, y)), (x, y))
    fitted.predict(x)
    jaxdl.clear_programs()
    with compilations() as again:
        fitted.predict(x)
    assert again[0] > 0


def test_short_programs_are_compiled_sooner_and_what_the_user_says_is_left_alone(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    without = programs.compiler_options("cpu") or {}
    short = programs.compiler_options("cpu", short=True) or {}
    assert short.items() >= without.items()
    # From JAX 0.11 on XLA has no such option: then both are the same.
    extra = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}
    assert dict(short.items() - without.items()) == extra
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=true")
    assert (programs.compiler_options("cpu", short=True) or {}) == without
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=3")
    assert "xla_backend_optimization_level" not in (programs.compiler_options("cpu") or {})
    assert programs.compiler_options("gpu", short=True) is None


def test_one_wide_network_has_its_products_compiled_apart_and_a_study_has_not(monkeypatch):
    seen = []
    options = programs.compiler_options
    monkeypatch.setattr(
        programs, "compiler_options",
        lambda *args, wide=False, **how: seen.append(wide) or options(*args, wide=wide, **how),
    )  # fmt: skip
    train = lambda: training.fit(
        softmax_learner({"rate": 0.1}), three_classes(), key=jax.random.key(0), epochs=2
    )
    narrow = train()
    assert seen and not any(seen)
    monkeypatch.setattr(programs, "WIDE", 2)
    seen.clear()
    wide = train()
    assert any(seen)
    np.testing.assert_allclose(wide.history.loss, narrow.history.loss, rtol=1e-5)
    seen.clear()
    study({"rate": [0.1]}, epochs=1)
    assert seen and not any(seen)
