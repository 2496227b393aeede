"""The manners of a command: options from a dataclass, one line for what a user got wrong.

Exit codes: 0; 2 for bad options, files and settings; 130 for Ctrl-C; 143 for SIGTERM. Nothing
heavy is imported here, so that ``--help`` is instant.
"""

import contextlib
import io
import itertools
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def command(name: str, config: type, main: Callable[[Any], Any], arguments=None) -> None:
    """Parse ``config`` from the command line and run ``main(config)``; always exits.

    ValueError and OSError are what a user can mend: they become one line on stderr and code 2.
    Anything else is our mistake and keeps its traceback.
    """
    warnings.formatwarning = lambda message, *_, **__: f"{name}: warning: {message}\n"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main(parse(name, config, arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        _stop(name, "interrupted", 130)
    except BrokenPipeError:  # nobody reads on: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, OSError) as error:
        _stop(name, _message(error), 2)
    sys.exit(0)


def parse(name: str, config: type, arguments=None) -> Any:
    """A config from command-line arguments; what tyro complains about becomes a ValueError."""
    import tyro

    is_rule = lambda line: not line.strip("─-╰╯")  # of tyro's boxes
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                config,
                prog=f"python -m experiments.{name}",
                args=arguments,
                config=(tyro.conf.PositionalRequiredArgs,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
    lines = [line.strip(" │") for line in complaint.getvalue().splitlines()]
    rest = itertools.dropwhile(is_rule, lines[1:])  # the first is a title
    text = " ".join(itertools.takewhile(lambda line: not is_rule(line), rest)).rstrip(".")
    raise ValueError(f"{text}; see --help")


@contextlib.contextmanager
def written_whole(folder: str | os.PathLike) -> Iterator[Path]:
    """A scratch folder whose files move into ``folder`` if the block ends well, else vanish.

    Each file replaces an older one of its name atomically; other files of the folder stay. The
    scratch folder is made at once, so a folder that cannot be written raises OSError at the start.
    """
    folder = Path(folder)
    if os.path.lexists(folder) and not folder.is_dir():
        raise NotADirectoryError(20, "is not a folder", str(folder))
    near = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=near))
    except OSError as error:
        raise OSError(error.errno, f"cannot be written ({error.strerror})", str(folder)) from None
    try:
        yield scratch
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(scratch.iterdir()):
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_whole(path: str | os.PathLike, text: str) -> None:
    """Write a text file whole or not at all; OSError where that is impossible."""
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(21, "is a folder, not a file", str(path))
    if path.exists() and not path.is_file():  # a device or a pipe
        path.write_text(text, encoding="utf-8", newline="")
        return
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(partial, 0o666 & ~mask)  # mkstemp's files are for the owner alone
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _stop(name: str, message: str, code: int) -> None:
    line = " ".join(message.split())
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    print(f"{name}: {line}", file=sys.stderr)
    sys.exit(code)
