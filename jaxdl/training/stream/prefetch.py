"""Batches from a host thread, on the device before they are asked for."""

import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

from jaxdl.base import Responses
from jaxdl.training.host import inputs

_END = object()
WAIT = 0.1  # seconds between two looks at whether to go on


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
    iterator: Any = iter(batches)
    if start and saved is not None and hasattr(iterator, "set_state"):
        iterator.set_state(_decode(saved))
        return iterator
    skipped = sum(1 for _ in itertools.islice(iterator, start))
    if skipped < start:
        raise ValueError(f"{start} batches were trained on, but there are only {skipped}")
    return iterator


def state_of(iterator: Any) -> str | None:
    """Where an iterator stands, as text, or None if it cannot tell."""
    if not hasattr(iterator, "get_state"):
        return None
    import json

    state = iterator.get_state()
    return "bytes:" + state.decode("utf-8") if isinstance(state, bytes) else json.dumps(state)


def _decode(saved: str):
    import json

    return saved[6:].encode("utf-8") if saved.startswith("bytes:") else json.loads(saved)


def prefetch(
    make: Callable[[], Iterator],
    size: int,
    start: int,
    count: int,
    responses: Responses | None = None,
    weighs: bool = False,
) -> Iterator[tuple[Any, str | None] | None]:
    """Yield ``(batch on the device, state_of(iterator) after it)``, ``size`` of them ahead.

    Args:
      make: gives the iterator. It is called, and waited for, in a thread of its own.
      size: how many batches to fetch ahead.
      start: how many came before, for messages. count: how many to fetch at most.

    Where no batch comes for a while it yields None, so that whoever iterates can see to signals. An
    error of the iterator is raised where its batch would have come, and so is a ValueError for a
    batch without rows or of what are no numbers.
    """
    ready: queue.Queue = queue.Queue(maxsize=size)
    stopped = threading.Event()

    def put(item) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=WAIT)
                return True
            except queue.Full:
                continue
        return False

    def work():
        try:
            iterator = make()
            for number, batch in enumerate(itertools.islice(iterator, count), start + 1):
                name = f"examples of batch {number}"
                batch = inputs.as_arrays(batch, name, finite=False)
                inputs.check_responses(batch, responses, name)
                inputs.check_weights(batch, weighs, name)
                inputs.check_weights_of_batch(batch, name)
                if not put((jax.device_put(batch), state_of(iterator))):
                    return
            put(_END)
        except BaseException as error:  # it is raised where the batch is asked for
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = ready.get(timeout=WAIT)
            except queue.Empty:
                yield None
                continue
            if item is _END:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join(WAIT)  # one that waits for its source is left to wait
