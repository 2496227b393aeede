"""Which process this is, read from what launchers say."""

import socket

import pytest

from jaxdl import parallel
from jaxdl.parallel.environment import Place, first_host, from_environment

PLAIN = {"JAX_COORDINATOR_ADDRESS": "a:81", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}
SLURM = {"SLURM_JOB_ID": "4099", "SLURM_STEP_NODELIST": "n[07,12-13],m1", "SLURM_NTASKS": "8",
         "SLURM_PROCID": "5"}  # fmt: skip
NODES = {"SLURM_STEP_NUM_NODES": "2", "SLURM_LOCALID": "1"}
TPU = {"TPU_WORKER_HOSTNAMES": "t0,t1", "TPU_WORKER_ID": "1"}
SLICES = {"MEGASCALE_NUM_SLICES": "3", "MEGASCALE_SLICE_ID": "2", "MEGASCALE_COORDINATOR_ADDRESS": "c:9"}  # fmt: skip


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, None),
        (PLAIN, Place("a:81", 4, 3)),
        ({**SLURM, **PLAIN, **TPU}, Place("a:81", 4, 3)),
        ({k: v for k, v in PLAIN.items() if "ID" not in k} | {"JOB_COMPLETION_INDEX": "2"},
         Place("a:81", 4, 2)),
        ({"JAX_COORDINATOR_ADDRESS": "a:81"}, None),
        (SLURM, Place("n07:61443", 8, 5)),
        ({k: v for k, v in SLURM.items() if k != "SLURM_PROCID"}, None),  # not within srun
        ({**SLURM, **NODES, "CUDA_VISIBLE_DEVICES": "0,1,2,3"}, Place("n07:61443", 8, 5, 1)),
        ({**SLURM, **NODES, "CUDA_VISIBLE_DEVICES": "1"}, Place("n07:61443", 8, 5)),
        ({**SLURM, **NODES, "SLURM_STEP_NUM_NODES": "8", "CUDA_VISIBLE_DEVICES": "0,1"},
         Place("n07:61443", 8, 5)),
        (TPU, Place("t0:61440", 2, 1)),
        ({**TPU, **SLICES}, Place("c:61440", 6, 5)),
        ({"TPU_WORKER_HOSTNAMES": "t0", "TPU_WORKER_ID": "0"}, None),
    ],
)  # fmt: skip
def test_places(environment, place):
    assert from_environment(environment) == place


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"}, "no JAX_COORDINATOR_ADDRESS"),
        ({**PLAIN, "JAX_PROCESS_ID": "4"}, "no process 4 of 4"),
        ({**PLAIN, "JAX_PROCESS_ID": "-1"}, "JAX_PROCESS_ID in the environment is a whole"),
        ({**PLAIN, "JAX_COORDINATOR_ADDRESS": "a"}, "at host:port"),
        ({**PLAIN, "JAX_COORDINATOR_ADDRESS": "a:99999"}, "at host:port"),
        ({**SLURM, "SLURM_NTASKS": "x"}, "SLURM_NTASKS"),
    ],
)
def test_environments_that_make_no_sense(environment, said):
    with pytest.raises(ValueError, match=said):
        from_environment(environment)


def test_first_hosts():
    assert [first_host(n) for n in ("a", "a1,b", "g[10-12,3]", "g[7],h", "r[2-3]n[01,4]x")] == [
        "a", "a1", "g10", "g7", "r2n01x"]  # fmt: skip


def test_start(monkeypatch):
    for name in PLAIN:
        monkeypatch.delenv(name, raising=False)
    assert parallel.start() == (0, 1, False)
    assert parallel.start("localhost:1", 1, 0) == (0, 1, False)
    with pytest.raises(ValueError, match="all or none"):
        parallel.start("localhost:1", 2)
    with pytest.raises(OSError, match=r"1 did not come to localhost:.*: 1"):
        parallel.start(f"localhost:{free_port()}", 2, 0, timeout=0.05)
    with pytest.raises(OSError, match="process 1 cannot reach process 0"):
        parallel.start(f"localhost:{free_port()}", 2, 1, timeout=0.05)
    assert parallel.processes().count == 1


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
