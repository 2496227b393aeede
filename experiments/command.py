"""The manners of a command: options from a dataclass, one line for what a user got wrong.

Exit codes: 0; 2 for bad options, files and settings; 130 for Ctrl-C; 143 for SIGTERM. Nothing
heavy is imported here, so that ``--help`` is instant.
"""

import contextlib
import inspect
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

from jaxdl import cache

typed: str | None = None  # what the user typed instead of `python -m ...`: see __main__
NO_CACHE = "--no-cache"
KEPT = (
    "Compiled programs are kept in the user's cache folder, so that the next start is quicker; "
    f"{NO_CACHE} compiles anew."
)


def command(
    name: str, config: type, main: Callable[[Any], Any], arguments=None, *, keeps: bool = True
) -> None:
    """Parse ``config`` from the command line and run ``main(config)``; always exits.

    ValueError and OSError are what a user can mend: they become one line on stderr and code 2.
    Anything else is our mistake and keeps its traceback. Compiled programs are kept on disk, unless
    ``--no-cache`` is among the arguments, or not ``keeps``: what times compilation must compile.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    name = typed or name
    warnings.formatwarning = lambda message, *_, **__: f"{name}: warning: {message}\n"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _open_what_is_closed()
    try:
        options = parse(
            name, config, [a for a in arguments if a != NO_CACHE], KEPT if keeps else ""
        )
        if keeps and NO_CACHE not in arguments:
            cache.keep_programs()
        main(options)
        print_whole("")
    except KeyboardInterrupt:
        _stop(name, "interrupted", 130)
    except BrokenPipeError:  # nobody reads on: `... | head`
        _write_no_more()
        sys.exit(1)
    except (ValueError, OSError) as error:
        _stop(name, _message(error), 2)
    sys.exit(0)


def _open_what_is_closed() -> None:
    """Standard streams that the shell closed: nothing to read, no way to write, no place to complain.

    Were they left closed, the next file to be opened would get their numbers, and whatever is
    printed.
    """
    modes = {
        "stdin": (os.O_RDONLY, "r"),
        "stdout": (os.O_RDONLY, "w"),
        "stderr": (os.O_WRONLY, "w"),
    }
    for number, (name, (flags, mode)) in enumerate(modes.items()):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # it gets the least number that is free
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


def print_whole(text: str) -> None:
    """Write to standard output what a command is for; an OSError that names it where it fails."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from None


def _write_no_more() -> None:
    # Python writes what is left once more at its end, and would say so if that failed.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def parse(name: str, config: type, arguments=None, more: str = "") -> Any:
    """A config from command-line arguments; what tyro complains about becomes a ValueError.

    ``more`` stands in the help, behind what the config says of itself.
    """
    import tyro

    is_rule = lambda line: not line.strip("─-╰╯")  # of tyro's boxes
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                config,
                prog=typed or f"python -m experiments.{name}",
                description=f"{inspect.getdoc(config)}\n\n{more}",
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
    Where a folder is in the way of a file nothing is replaced, and an OSError is raised.
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
        files = sorted(scratch.iterdir())
        for file in files:  # before any is replaced
            if (folder / file.name).is_dir():
                raise IsADirectoryError(21, "is a folder in the way", str(folder / file.name))
        for file in files:
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
    # Another Ctrl-C ends the process at once, and without a word.
    with contextlib.suppress(ValueError):  # in another thread than the main one
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        sys.stdout.flush()
    except OSError:
        _write_no_more()
    line = " ".join(message.split())
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    print(f"{name}: {line}", file=sys.stderr)
    sys.exit(code)
