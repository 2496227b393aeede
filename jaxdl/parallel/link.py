"""Sockets between processes: bytes from each to all, and the news that one of them has gone.

All are connected to the first, twice. What is exchanged goes over one socket; over the other nothing
goes but farewells, so that it breaks when a process dies: at once where its kernel lives, after 45 s
where its machine is lost. No process waits for one that has gone, and none is taken for dead because
it is slow. What is read is never executed; but whoever reaches the port may take part, as with JAX's
own service, so this is for networks that are trusted.
"""

import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from typing import NoReturn

TRY_AGAIN = 75  # the exit code of a process that ends because another has gone, as in sysexits.h
_LEFT, _GAVE_UP, _GONE = b"l", b"x", b"g"
_HEAD = struct.Struct("!II")  # what is exchanged, and how many parts follow; who has gone, and how
_HOW = ("has died", "has ended before the others")


class Link:
    """The connections of process ``index`` of ``count``; the first listens at ``(host, port)``.

    Raises an OSError in one line where not all are there after ``timeout`` seconds.
    """

    def __init__(self, index: int, count: int, host: str, port: int, timeout: float = 300.0):
        self.index, self.count, self.calls = index, count, 0
        self.data: dict[int, socket.socket] = {}
        self.life: dict[int, socket.socket] = {}
        self.left: set[int] = set()
        self.gave_up: set[int] = set()
        self._ending, self._news = threading.Lock(), threading.Condition()
        meet = self._accept if index == 0 else self._connect
        meet(host, port, time.monotonic() + timeout)
        for other, line in self.life.items():
            threading.Thread(target=self._watch, args=(other, line), daemon=True).start()

    def exchange(self, name: str, part: bytes) -> list[bytes]:
        """The parts of all processes, in their order; all must call this with the same names.

        Raises a RuntimeError where they do not. Where one of them has gone, this process ends.
        """
        self.calls += 1
        tag = zlib.crc32(f"{self.calls} {name}".encode())
        if self.index:
            self._send(0, tag, [part])
            return self._receive(0, tag, name)
        others = range(1, self.count)
        parts = [part, *(self._receive(other, tag, name)[0] for other in others)]
        for other in others:
            self._send(other, tag, parts)
        return parts

    def leave(self) -> bool:
        """Say that this process needs nothing more, and wait until nobody does.

        Returns whether all others ended so too, and none because this one left them waiting.
        """
        for line in self.data.values():
            _close(line)
        if self.index:
            self._say(0, _LEFT)
        with self._news:
            self._news.wait_for(lambda: len(self.left | self.gave_up) == len(self.life))
        for other, line in self.life.items():
            if self.index == 0:
                self._say(other, _LEFT)
            _close(line)
        return not self.gave_up

    def _accept(self, host: str, port: int, until: float) -> None:
        at_home = host == "localhost" or host.startswith("127.")
        try:
            server = socket.create_server(("127.0.0.1" if at_home else "", port))
        except OSError as error:
            raise OSError(f"process 0 cannot listen at {host}:{port} ({error.strerror})") from None
        with server:
            while len(self.data) + len(self.life) < 2 * (self.count - 1):
                missing = [k for k in range(1, self.count) if k not in self.data]
                server.settimeout(max(until - time.monotonic(), 0.01))
                try:
                    line = server.accept()[0]
                except TimeoutError:
                    raise OSError(
                        f"of {self.count} processes {len(missing)} did not come to {host}:{port}: "
                        f"{', '.join(map(str, missing[:8]))}"
                    ) from None
                self._welcome(line)

    def _welcome(self, line: socket.socket) -> None:
        """Take in a connection that says whose it is, and refuse any other."""
        line.settimeout(10.0)
        try:
            hello = json.loads(_read(line, _HEAD.unpack(_read(line, _HEAD.size))[1] % 4096))
            other, count, kind = hello["process"], hello["of"], hello["for"]
            lines = {"data": self.data, "life": self.life}[kind]
            wanted = count == self.count and 0 < other < count and other not in lines
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            line.close()
            return
        line.sendall(b"y" if wanted else b"n")
        if not wanted:
            line.close()
            return
        lines[other] = _settled(line)

    def _connect(self, host: str, port: int, until: float) -> None:
        for kind, lines in (("data", self.data), ("life", self.life)):
            hello = json.dumps({"process": self.index, "of": self.count, "for": kind}).encode()
            while True:
                try:
                    left = max(until - time.monotonic(), 0.01)
                    line = socket.create_connection((host, port), timeout=left)
                    line.sendall(_HEAD.pack(0, len(hello)) + hello)
                    answer = line.recv(1)
                except OSError as error:
                    if time.monotonic() > until:
                        raise OSError(
                            f"process {self.index} cannot reach process 0 at {host}:{port} ({error})"
                        ) from None
                    time.sleep(0.1)
                    continue
                if answer == b"n":
                    raise OSError(
                        f"process 0 at {host}:{port} waits for no process {self.index} of "
                        f"{self.count}: another number of processes, or the same one twice"
                    )
                if answer == b"y":
                    lines[0] = _settled(line)
                    break
                time.sleep(0.1)

    def _send(self, other: int, tag: int, parts: Sequence[bytes]) -> None:
        lengths = struct.pack(f"!{len(parts)}Q", *map(len, parts))
        try:
            self.data[other].sendall(_HEAD.pack(tag, len(parts)) + lengths)
            for part in parts:
                self.data[other].sendall(part)
        except OSError:
            self._missing(other)

    def _receive(self, other: int, tag: int, name: str) -> list[bytes]:
        try:
            line = self.data[other]
            at, count = _HEAD.unpack(_read(line, _HEAD.size))
            if at != tag:
                raise RuntimeError(
                    f"process {other} does something else where this one is at {name!r}: all "
                    "processes must make the same calls, with the same data, in the same order"
                )
            lengths = struct.unpack(f"!{count}Q", _read(line, 8 * count))
            return [_read(line, length) for length in lengths]
        except (OSError, EOFError):
            self._missing(other)

    def _watch(self, other: int, line: socket.socket) -> None:
        """Wait for what a process says last; it has died where it says nothing."""
        while True:
            try:
                word = _read(line, 1)
                gone, how = other, 0
                if word == _GONE:
                    gone, how = _HEAD.unpack(_read(line, _HEAD.size))
            except (OSError, EOFError):
                word, gone, how = b"", other, 0
            if word in (_LEFT, _GAVE_UP):
                with self._news:
                    (self.left if word == _LEFT else self.gave_up).add(other)
                    self._news.notify_all()
                continue
            if word or other not in self.left | self.gave_up:
                self._end(gone, how)
            return

    def _missing(self, other: int) -> NoReturn:
        """End, since a process exchanges nothing more; if it has died its watch knows better why."""
        time.sleep(1.0)
        self._end(other, 1)

    def _end(self, gone: int, how: int) -> NoReturn:
        """Say why in one line, to the other processes too, and end."""
        with self._ending:
            for other in self.life:
                news = _GAVE_UP if other == gone else _GONE + _HEAD.pack(gone, how)
                if self.index == 0 or other == gone:
                    self._say(other, news)
            sys.stdout.flush()
            print(
                f"process {self.index} of {self.count} ends: process {gone} {_HOW[how]}; the same command "
                "with the same checkpoint folder goes on from the last checkpoint",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            os._exit(TRY_AGAIN)

    def _say(self, other: int, words: bytes) -> None:
        with contextlib.suppress(OSError):
            self.life[other].sendall(words)


def _read(line: socket.socket, size: int) -> bytes:
    """So many bytes. Raises an EOFError where there are no more."""
    read = bytearray(size)
    view, at = memoryview(read), 0
    while at < size:
        count = line.recv_into(view[at:])
        if count == 0:
            raise EOFError
        at += count
    return bytes(read)


def _settled(line: socket.socket) -> socket.socket:
    """A connection that waits, and whose kernel asks now and then whether the other is there."""
    line.settimeout(None)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return line


def _close(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
