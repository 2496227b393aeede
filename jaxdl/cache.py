"""Compiled programs on disk, so that the next process need not compile them again.

Nothing here imports JAX, so that it can be asked for before anything heavy is loaded.
"""

import os
import platform
import sys
import tempfile
import warnings
from pathlib import Path

MOST_BYTES = 1 << 30
SHORTEST_SECONDS = 0.1  # of a compilation that is worth a file


def keep_programs(folder: str | os.PathLike | None = None) -> Path | None:
    """Let JAX keep compiled programs in a folder, of this process and of those that it starts.

    The default is ``jaxdl/<host>`` in the user's cache folder (``XDG_CACHE_HOME``, else
    ``~/.cache``): hosts that share a home may have other processors. ``JAX_COMPILATION_CACHE_DIR``
    of the user wins. Where there are more than a gibibyte of them, the oldest go. To be called
    before anything is compiled.

    Returns:
      The folder; None, with one warning, where it cannot be written or belongs to somebody else,
      who could put other programs there.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    if folder is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "jaxdl" / (platform.node() or "host")
    folder = Path(folder).absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            raise PermissionError(13, "belongs to another user")
        tempfile.TemporaryFile(dir=folder).close()
        _trim(folder)
    except OSError as error:
        warnings.warn(
            f"programs are not kept: {error.filename or folder}: {error.strerror}", stacklevel=2
        )
        return None
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(SHORTEST_SECONDS))
    if "jax" in sys.modules:  # it has read its environment already
        config = sys.modules["jax"].config
        seconds = float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"])
        config.update("jax_compilation_cache_dir", str(folder))
        config.update("jax_persistent_cache_min_compile_time_secs", seconds)
    return folder


def _trim(folder: Path) -> None:
    """Take the oldest files away until at most half of ``MOST_BYTES`` are left, if there are more."""
    found = sorted(
        ((about.st_mtime, about.st_size, path) for path, about in _files(folder)), reverse=True
    )
    if sum(size for _, size, _ in found) <= MOST_BYTES:
        return
    total = 0
    for _, size, path in found:
        total += size
        if total > MOST_BYTES // 2:
            path.unlink(missing_ok=True)


def _files(folder: Path):
    """The files that JAX wrote, and what is known of them."""
    for path in folder.glob("jit*-cache"):
        try:
            yield path, path.stat()
        except FileNotFoundError:  # another process was quicker
            continue
