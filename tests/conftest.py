"""Two host devices, typed keys, key-reuse checks; nothing here depends on the machine."""

import atexit
import contextlib
import os
import shutil
import signal
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Programs are compiled once for all workers and commands; they inherit the environment.
    CACHE = tempfile.mkdtemp(prefix="jaxdl-tests-")
    atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import pytest

# Compilation dominates; programs this small gain nothing from LLVM's costly passes, and XLA's older
# emitters, where it still has them, compile a third faster. XLA_FLAGS="" compiles as users do.
OLDER = "--xla_cpu_use_fusion_emitters=false " if jax.__version_info__ < (0, 11) else ""
os.environ.setdefault(
    "XLA_FLAGS",
    f"{OLDER}--xla_llvm_disable_expensive_passes=true --xla_backend_optimization_level=1 "
    "--xla_cpu_parallel_codegen_split_count=1",
)
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_debug_key_reuse", True)

enable_x64 = getattr(jax, "enable_x64", None)
if enable_x64 is None:
    from jax.experimental import enable_x64


@pytest.fixture
def x64():
    """Run a test in float64."""
    with enable_x64(True):
        yield


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def allow_key_reuse():
    """For the few tests that pass one key twice on purpose."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.debug_key_reuse(False))
        yield


@pytest.fixture
def heeds_interrupts():
    """Ctrl-C raises KeyboardInterrupt, also where whoever runs the tests in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
