"""Batches from a host thread, on the device before they are asked for."""

import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

_END = object()


def position_batches(batches: Iterable | Callable, start: int, saved: str | None) -> Iterator:
    """An iterator over the batches from number ``start`` on.

    Args:
      batches: ``(start) -> iterable``; or an iterable. One whose iterator has ``set_state``, as
        Grain's have, takes up the ``saved`` state; of any other the first ones are skipped.
      start: how many have been trained on.
      saved: what ``state_of`` gave then, or None.

    Raises a ValueError where there are fewer than ``start``.
    """
    if callable(batches):
        return iter(batches(start))
    iterator = iter(batches)
    if start and saved is not None and hasattr(iterator, "set_state"):
        iterator.set_state(_decode(saved))
        return iterator
    skipped = sum(1 for _ in itertools.islice(iterator, start))
    if skipped < start:
        raise ValueError(f"{start} batches were trained on, but there are only {skipped}")
    return iterator


def state_of(iterator: Iterator) -> str | None:
    """Where an iterator stands, as text, or None if it cannot tell."""
    if not hasattr(iterator, "get_state"):
        return None
    import json

    state = iterator.get_state()
    return "bytes:" + state.decode("utf-8") if isinstance(state, bytes) else json.dumps(state)


def _decode(saved: str):
    import json

    return saved[6:].encode("utf-8") if saved.startswith("bytes:") else json.loads(saved)


def prefetch(iterator: Iterator, size: int) -> Iterator[tuple[Any, str | None]]:
    """Yield ``(batch on the device, state_of(iterator) after it)``, ``size`` of them ahead.

    An error of the iterator is raised where its batch would have come.
    """
    ready: queue.Queue = queue.Queue(maxsize=size)
    stopped = threading.Event()

    def put(item) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work():
        try:
            for batch in iterator:
                if not put((jax.device_put(batch), state_of(iterator))):
                    return
            put(_END)
        except BaseException as error:  # it is raised where the batch is asked for
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
