"""Which process this is of how many, as launchers say it in environment variables."""

from collections.abc import Mapping
from typing import NamedTuple

_PLAIN = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID")
_PORT = 61440  # the first of the 4096 that jobs are spread over


class Place(NamedTuple):
    """A process: number ``index`` of ``count``; the first is reached at ``coordinator``.

    gpu: the one of its machine's that is its own, where the machine's processes see each other's.
    """

    coordinator: str
    count: int
    index: int
    gpu: int | None = None


def from_environment(environment: Mapping[str, str]) -> Place | None:
    """The Place that the environment names, or None where it names none.

    Plain: ``JAX_COORDINATOR_ADDRESS`` (host:port), ``JAX_NUM_PROCESSES``, ``JAX_PROCESS_ID`` (or
    ``JOB_COMPLETION_INDEX``, of Kubernetes' indexed jobs). SLURM: the variables of a step that
    ``srun`` started. GKE: ``TPU_WORKER_HOSTNAMES`` and ``TPU_WORKER_ID``, and those of several
    slices. The plain ones win. Raises a ValueError where they make no sense.

    >>> slurm = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "gpu[03-06,9]", "SLURM_NTASKS": "5"}
    >>> from_environment({**slurm, "SLURM_PROCID": "2"})
    Place(coordinator='gpu03:61447', count=5, index=2, gpu=None)
    """
    for read in (_plain, _slurm, _gke):
        place = read(environment)
        if place is not None:
            return checked(place)
    return None


def checked(place: Place) -> Place:
    """The place. Raises a ValueError where its numbers or its address make no sense."""
    coordinator, count, index, _ = place
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"the first process is at host:port, not at {coordinator!r}")
    if not 0 <= index < count:
        raise ValueError(f"processes are 0 to {count - 1}, there is no process {index} of {count}")
    return place


def _plain(env: Mapping[str, str]) -> Place | None:
    if not {*_PLAIN[1:]} & {*env}:
        return None  # the address alone may be there for JAX itself
    index = env.get(_PLAIN[2], env.get("JOB_COMPLETION_INDEX"))
    missing = [name for name in _PLAIN[:2] if name not in env] + [_PLAIN[2]] * (index is None)
    if missing:
        there = " and ".join(name for name in _PLAIN if name in env)
        raise ValueError(f"the environment has {there}, but no {' and no '.join(missing)}")
    return Place(env[_PLAIN[0]], _number(env, _PLAIN[1]), _whole(_PLAIN[2], index))


def _slurm(env: Mapping[str, str]) -> Place | None:
    if not all(name in env for name in _SLURM):
        return None
    port = _PORT + _number(env, "SLURM_JOB_ID") % 4096
    host = f"{first_host(env['SLURM_STEP_NODELIST'])}:{port}"
    count, gpu = _number(env, "SLURM_NTASKS"), None
    shared = count > _number(env, "SLURM_STEP_NUM_NODES", str(count))
    if (
        shared
        and "SLURM_LOCALID" in env
        and len(env.get("CUDA_VISIBLE_DEVICES", "").split(",")) > 1
    ):
        gpu = _number(env, "SLURM_LOCALID")
    return Place(host, count, _number(env, "SLURM_PROCID"), gpu)


def _gke(env: Mapping[str, str]) -> Place | None:
    hosts = [host for host in env.get("TPU_WORKER_HOSTNAMES", "").split(",") if host]
    slices = _number(env, "MEGASCALE_NUM_SLICES", "1")
    if not hosts or "TPU_WORKER_ID" not in env or len(hosts) * slices == 1:
        return None
    index = _number(env, "MEGASCALE_SLICE_ID", "0") * len(hosts) + _number(env, "TPU_WORKER_ID")
    host = env.get("MEGASCALE_COORDINATOR_ADDRESS", hosts[0]).split(":")[0]
    return Place(f"{host}:{_PORT}", len(hosts) * slices, index)


def first_host(nodes: str) -> str:
    """The first of SLURM's list of nodes.

    >>> [first_host(nodes) for nodes in ("n7", "n7,n9", "n[001-004,7],m1", "r[2,5]c[1-3]")]
    ['n7', 'n7', 'n001', 'r2c1']
    """
    host, rest = "", nodes
    while rest and rest[0] != ",":
        if rest[0] == "[":
            inside, _, rest = rest[1:].partition("]")
            host += inside.split(",")[0].split("-")[0]
        else:
            host, rest = host + rest[0], rest[1:]
    return host


def _number(env: Mapping[str, str], name: str, default: str | None = None) -> int:
    return _whole(name, env.get(name, default))


def _whole(name: str, value: str | None) -> int:
    if value is None or not value.strip().isdigit():
        raise ValueError(f"{name} in the environment is a whole number, not {value!r}")
    return int(value)
