"""Several processes that do the same, each with its own devices: started, told apart, in step.

Each runs the same program from its first line to its last, and reaches each exchange of this
module in the same order. Alone, a process exchanges nothing and all of these functions are free.
"""

import atexit
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import is_key
from jaxdl.parallel.devices import Elsewhere
from jaxdl.parallel.environment import Place, checked, from_environment
from jaxdl.parallel.link import Link


class Processes(NamedTuple):
    """This process is number ``index`` of ``count``; devices are joined where JAX knows them all."""

    index: int = 0
    count: int = 1
    joined: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.index == 0


_processes = Processes()
_link: Link | None = None
_devices: tuple = ()  # of all processes


def start(
    coordinator: str | None = None,
    count: int | None = None,
    index: int | None = None,
    *,
    join: bool = True,
    timeout: float = 300.0,
) -> Processes:
    """Meet the other processes of this job; after that, studies and fits take all of their devices.

    Call it first, once: before JAX touches a device. Where nothing names other processes it does
    nothing, so the same script runs alone. A process that dies ends the others, at once, with one
    line and the exit code 75.

    Args:
      coordinator: where the first process is reached, ``host:port``; default, with the other two,
        what the environment says: see ``from_environment``.
      count, index: of processes, and which this one is, from 0.
      join: also start ``jax.distributed``, so that one program spans the devices of all processes:
        ``fit`` needs that, studies do not. If the first process dies, JAX's own service may then
        abort the others with its message before they say their line.
      timeout: seconds to wait for all processes.

    Returns:
      The Processes.

    Raises:
      ValueError: where the address and the numbers make no sense.
      OSError: where the others are not there in time.
    """
    global _processes, _link
    if _processes.count > 1:
        raise ValueError("parallel.start() is called once")
    named = (coordinator, count, index)
    if any(part is not None for part in named):
        if None in named:
            raise ValueError(
                "parallel.start takes coordinator, count and index, all or none of them"
            )
        place = checked(Place(str(coordinator), int(count), int(index)))  # type: ignore[arg-type]
    else:
        place = from_environment(os.environ)
    if place is None or place.count == 1:
        return _processes
    if place.gpu is not None:  # as jax.distributed does it; nothing where there is none
        jax.config.update("jax_cuda_visible_devices", str(place.gpu))
    host, port = place.coordinator.rsplit(":", 1)
    _link = Link(place.index, place.count, host, int(port), timeout)
    _processes = Processes(place.index, place.count, join)
    if join:
        _join(host, timeout)
    # Registered behind JAX's own farewell, so it comes before that.
    atexit.register(stop)
    return _processes


def stop() -> None:
    """Wait until all processes have come to their end; after that this one is alone.

    Called where the interpreter ends, if not before. If others had to end because this one left
    them waiting, a process whose devices were joined ends here with the exit code 1.
    """
    global _processes, _link, _devices
    link, joined = _link, _processes.joined
    _processes, _link, _devices = Processes(), None, ()
    if link is None:
        return
    in_peace = link.leave()
    if joined and in_peace:
        jax.distributed.shutdown()
    elif joined:
        # JAX would wait minutes for those that have ended; why they have has been said.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def processes() -> Processes:
    """Which process this is of how many; one of one unless ``start`` met others."""
    return _processes


def devices() -> tuple:
    """The devices of all processes, in their order; those of others as ``Elsewhere``."""
    global _devices
    if _processes.count == 1:
        return tuple(jax.local_devices())
    if not _devices:
        mine = jax.local_devices()
        told = tell("devices", [device.platform for device in mine])
        others = [
            Elsewhere(k, i, platform)
            for k, platforms in enumerate(told)
            for i, platform in enumerate(platforms)
            if k != _processes.index
        ]
        before = [device for device in others if device.process_index < _processes.index]
        _devices = (*before, *mine, *others[len(before) :])
    return _devices


def tell(name: str, value: Any) -> list[Any]:
    """What each process says, in their order; values in JSON's types."""
    if _link is None:
        return [value]
    return [json.loads(part) for part in _link.exchange(name, json.dumps(value).encode())]


def agree(name: str, value: Any) -> Any:
    """What the first process says; values in JSON's types."""
    if _link is None:
        return value
    return tell(name, value if _processes.first else None)[0]


def gather(name: str, tree: Any, like: Any = None) -> list[Any]:
    """The trees of arrays of all processes, in their order; a process may have None.

    Args:
      name: of what is exchanged.
      tree: a pytree of arrays, typed keys among them, of any shapes; or None.
      like: a pytree of the same structure; default, ``tree``.
    """
    if _link is None:
        return [tree]
    parts = _link.exchange(name, _packed(tree))
    like = tree if like is None else like
    return [
        tree if k == _processes.index else _unpacked(part, like) for k, part in enumerate(parts)
    ]


def send(name: str, tree: Any, like: Any = None) -> Any:
    """The first process's tree, of the structure of ``like``, which the others may have alone."""
    mine = tree if _processes.first else None
    return gather(name, mine, tree if like is None else like)[0]


def read_once(read: Callable[[], Any]) -> Any:
    """What ``read()`` gives in the first process, sent to the others, which need no file.

    It gives arrays in tuples, lists and dicts.

    >>> read_once(lambda: (np.ones((2, 1)), np.zeros(2)))[0].shape
    (2, 1)
    """
    if _link is None:
        return read()
    tree = read() if _processes.first else None
    described = agree("data", _described(tree))
    return send("data", tree, _empty(described))


def check_same(what: str, values: Mapping[str, Any]) -> None:
    """Raise a ValueError, in all processes, where they differ in one of the values; JSON's types."""
    for name in values:
        told = tell(name, values[name])
        other = [k for k, value in enumerate(told) if value != told[0]]
        if other:
            raise ValueError(
                f"process {other[0]} has another {what} than process 0: they differ in {name!r}; "
                "all processes must make the same call with the same data"
            )


def _join(host: str, timeout: float) -> None:
    """Start JAX's own service, at a port that is free in the first process."""
    # Device collectives of one process wait for one another in a pool of threads: see the README.
    cores = max(jax.config.jax_num_cpu_devices, 1)  # pyright: ignore[reportAttributeAccessIssue]
    os.environ.setdefault("PJRT_NPROC", str(2 * max(cores, os.cpu_count() or 1)))
    port = None
    if _processes.first:
        with socket.create_server(("", 0)) as free:
            port = free.getsockname()[1]
    jax.distributed.initialize(
        f"{host}:{agree('port', port)}",
        _processes.count,
        _processes.index,
        cluster_detection_method="deactivate",  # it would ask the network where it is
        initialization_timeout=int(timeout),
        # Who has died our sockets say at once; one that is slow is not to be taken for dead.
        heartbeat_timeout_seconds=600,
    )


def _packed(tree: Any) -> bytes:
    """The leaves of a tree: their dtypes and shapes in a line of JSON, then their bytes."""
    if tree is None:
        return b""
    leaves = [
        np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
        for leaf in jax.tree.leaves(tree)
    ]
    head = json.dumps([[leaf.dtype.name, leaf.shape] for leaf in leaves]).encode()
    return b"".join([head, b"\n", *(np.ascontiguousarray(leaf).tobytes() for leaf in leaves)])


def _unpacked(part: bytes, like: Any) -> Any:
    if not part:
        return None
    at = part.index(b"\n") + 1
    leaves, structure = jax.tree.flatten(like)
    read = []
    for (dtype, shape), leaf in zip(json.loads(part[: at - 1]), leaves, strict=True):
        dtype = jnp.dtype(dtype)
        count = int(np.prod(shape))
        array = np.frombuffer(part, dtype, count, at).reshape(shape).copy()
        at += count * dtype.itemsize
        if is_key(leaf):
            array = jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
        read.append(array)
    return jax.tree.unflatten(structure, read)


def _described(tree: Any) -> Any:
    """The structure of tuples, lists and dicts, in JSON's types."""
    if tree is None or type(tree) in (tuple, list):
        parts = [] if tree is None else [_described(part) for part in tree]
        return [type(tree).__name__, parts]
    if type(tree) is dict:
        return ["dict", [[name, _described(part)] for name, part in tree.items()]]
    if not hasattr(tree, "dtype"):
        raise ValueError(
            f"read_once sends arrays in tuples, lists and dicts, not {type(tree).__name__}"
        )
    return ["array", []]


def _empty(described: Any) -> Any:
    """A tree of that structure, with nothing in it."""
    kind, parts = described
    if kind == "dict":
        return {name: _empty(part) for name, part in parts}
    if kind in ("tuple", "list"):
        return {"tuple": tuple, "list": list}[kind](map(_empty, parts))
    return 0 if kind == "array" else None
