"""A file that one process holds, for as long as it has it open."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def lock_file(path: Path) -> BinaryIO:
    """The file that is to be locked, made where it is missing; nothing that a link points to.

    Raises an OSError where it cannot be opened or is no regular file.
    """
    nothing = 0  # where a system has no such flag
    careful = getattr(os, "O_NOFOLLOW", nothing) | getattr(os, "O_NONBLOCK", nothing)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | careful, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "its lock is not a regular file", str(path))
    return open(descriptor, "r+b")


def is_ours(file: BinaryIO) -> bool:
    """Take the lock of an open file; whether no other process holds it."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
