"""Programs on disk: where, whose, how many, and that another process need not compile."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import pytest

from jaxdl import cache

OPTIONS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """An environment without a cache; JAX's own settings come back afterwards."""
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    for name in OPTIONS:
        monkeypatch.setenv(name.upper(), "")
        monkeypatch.delenv(name.upper())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_default_folder_is_of_this_host_in_the_users_cache(clean):
    folder = cache.keep_programs()
    assert folder.parent == clean / "home" / "jaxdl" and folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder)
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert jax.config.jax_persistent_cache_min_compile_time_secs == cache.SHORTEST_SECONDS


def test_what_the_user_has_set_wins(clean, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(clean / "own"))
    assert cache.keep_programs() == clean / "own" and not (clean / "home").exists()
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "7")
    cache.keep_programs(clean / "other")
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 7


def test_a_folder_that_cannot_be_written_costs_one_warning(clean):
    (clean / "file").write_text("")
    with pytest.warns(UserWarning, match="programs are not kept: .*/file: File exists") as told:
        assert cache.keep_programs(clean / "file" / "x") is None
    assert len(told) == 1 and "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_a_folder_of_another_user_is_not_trusted(clean, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    with pytest.warns(UserWarning, match="belongs to another user"):
        assert cache.keep_programs(clean) is None


def test_the_oldest_go_where_there_are_too_many(clean, monkeypatch):
    monkeypatch.setattr(cache, "MOST_BYTES", 100)
    names = [f"jit_f-{k}-cache" for k in range(6)]
    for age, name in enumerate(names):
        (clean / name).write_bytes(bytes(20))
        os.utime(clean / name, (1e9 - age, 1e9 - age))
    (clean / "letter").write_bytes(bytes(500))  # not ours
    cache.keep_programs(clean)
    assert sorted(path.name for path in clean.glob("*e*")) == [*names[:2], "letter"]
    (clean / "jit_f-9-cache").write_bytes(bytes(60))  # 100 in all: not too many
    cache.keep_programs(clean)
    assert len(list(clean.glob("jit*"))) == 3


PROGRAM = """
import sys
import warnings
from jaxdl import cache
assert "jax" not in sys.modules
cache.keep_programs()
import jax, jax.numpy as jnp
found = []
jax.monitoring.register_event_listener(lambda name, **about: found.append(name))
jax.jit(lambda x: jnp.sort(jnp.sin(x)).sum())(jnp.arange(100.0))
print(*(name.split("/")[-1] for name in found if "cache_" in name))
"""


def test_the_next_process_does_not_compile(tmp_path):
    environment = {
        **os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1]),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }  # fmt: skip
    del environment["JAX_COMPILATION_CACHE_DIR"]
    run = lambda: subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    first, second = run(), run()
    assert "cache_misses" in first and "cache_hits" not in first
    assert "cache_hits" in second and "cache_misses" not in second


def test_commands_keep_programs_unless_told(clean, capsys):
    import dataclasses

    from experiments.command import command

    @dataclasses.dataclass
    class Config:
        """Do nothing."""

        size: int = 3
        """Of nothing."""

    def run(*arguments, **how):
        with pytest.raises(SystemExit) as stop, warnings.catch_warnings():
            warnings.simplefilter("error")
            command("nothing", Config, lambda config: print(config.size), arguments, **how)
        return stop.value.code, capsys.readouterr().out

    assert run("--size", "4", "--no-cache") == (0, "4\n")
    assert run("--size", "4", keeps=False) == (0, "4\n")
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    assert "compiles anew" not in run("--help", keeps=False)[1]
    code, text = run("--help")
    assert code == 0 and "Do nothing." in text and "--no-cache compiles anew" in text
    assert run("--size", "5") == (0, "5\n")
    assert os.environ["JAX_COMPILATION_CACHE_DIR"].startswith(str(clean))
