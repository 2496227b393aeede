"""Plans on paper: what a million members and a model of 7e9 parameters take, by the roofline.

``python -m experiments.plans`` prints them. Times are bounds: no program is faster than its
operations at the device's peak, its memory traffic at the memory's, and its messages at the link's.
Source: Williams, Waterman and Patterson (2009).
"""

import dataclasses
import itertools
import math
from typing import NamedTuple

from experiments.command import command


class Device(NamedTuple):
    """Peak operations and bytes a second, of its memory, its link and to those beside it; its bytes."""

    name: str
    flops: float
    memory_rate: float
    link_rate: float
    near_rate: float
    memory: float


# Data sheets: NVIDIA H100 SXM, float32 without tensor cores, bfloat16 with; a 400 Gb/s link each,
# and NVLink between the eight of a machine.
H100_FLOAT32 = Device("H100, float32", 67e12, 3.35e12, 50e9, 450e9, 80e9)
H100_BFLOAT16 = Device("H100, bfloat16", 989e12, 3.35e12, 50e9, 450e9, 80e9)
# What studies of plain networks reach on a core here (README, Benchmarks: 190 GFLOP/s on two), with
# the states of a chunk in its caches; 4 GB a core, 10 Gb/s for the 32 cores of a machine.
CORE = Device("CPU core, float32", 95e9, 8e9, 1.25e9 / 32, 8e9, 4e9)


class Members(NamedTuple):
    """Networks of ``widths``, trained by Adam in float32: ``epochs`` over ``rows`` by ``batch``."""

    count: int
    widths: tuple[int, ...] = (64, 100, 10)
    rows: int = 1438
    batch: int = 128
    epochs: int = 40
    evaluations: int = 10


class Transformer(NamedTuple):
    """A language model with pre-LN layers and untied output, and the steps that it takes."""

    layers: int = 32
    features: int = 4096
    hidden: int = 16384
    tokens: int = 32_000  # of the vocabulary
    length: int = 4096
    batch: int = 512  # sequences a step
    seen: float = 134e9  # tokens of the whole training, 20 for each parameter


class Plan(NamedTuple):
    """What one device holds, sends and does; bytes, and seconds of the whole work.

    state: parameters, gradients and moments. working: activations. sent: in all, by a device.
    compute, traffic, messages: the seconds that each takes at its peak rate.
    """

    devices: int
    state: float
    working: float
    sent: float
    compute: float
    traffic: float
    messages: float

    @property
    def seconds(self) -> float:
        """The roofline's bound: the slowest of the three, if all overlap."""
        return max(self.compute, self.traffic, self.messages)


def num_parameters(widths: tuple[int, ...]) -> int:
    """Of a network with biases, ``sum of (d_in + 1) d_out``."""
    return sum((a + 1) * b for a, b in itertools.pairwise(widths))


def plan_members(work: Members, device: Device, devices: int, *, cached: bool) -> Plan:
    """A population dealt out to devices, without a word between them until its scores are gathered.

    A step on B rows takes ``6 P B`` operations. Adam's state is 3 P numbers, and P of gradients while a
    member runs. Where states are not ``cached``, a step reads parameters in the forward and the backward
    pass, writes gradients, and reads 4 P and writes 3 P numbers for the update: 40 P bytes.
    """
    share = work.count / devices
    parameters = num_parameters(work.widths)
    steps = -(-work.rows // work.batch) * work.epochs
    histories = 4 * (work.epochs + 2 * work.evaluations)  # loss; two metrics
    compute = share * 6 * parameters * work.rows * work.epochs / device.flops
    traffic = 0.0 if cached else share * steps * 40 * parameters / device.memory_rate
    activations = 4 * work.batch * sum(work.widths)
    sent = share * histories
    return Plan(
        devices, share * (12 * parameters + histories), activations, sent,
        compute, traffic, sent / device.link_rate,
    )  # fmt: skip


def transformer_parameters(work: Transformer) -> int:
    """``L (4 D^2 + 2 D H + H + D + 4 D) + 2 V D + 2 D``: products, biases of both widths, norms."""
    d, h = work.features, work.hidden
    return work.layers * (4 * d * d + 2 * d * h + h + 5 * d) + 2 * work.tokens * d + 2 * d


def plan_transformer(
    work: Transformer, device: Device, *, data: int = 1, parameters: int = 1, tensor: int = 1
) -> Plan:
    """A training by Adam over a mesh, layers computed anew in the backward pass (``remat``).

    State, a parameter: 4 bytes each of the parameter, its gradient and two moments, and 2 of the
    bfloat16 copy that is computed with; divided over ``parameters`` and ``tensor``.
    Operations, a token: 6 P (but for the embedding), ``6 L T D`` of causal attention, a third more for
    the second forward pass.
    Messages, a step: over ``parameters`` weights are gathered twice and gradients scattered once, 2
    bytes each; over ``data`` gradients are summed (twice their share); over ``tensor``, within a
    machine, six sums of activations a layer. Memory traffic is that of the parameters. Activations:
    each layer's input, one layer's inner ones, the logits.
    """
    devices = data * parameters * tensor
    d, count = work.features, transformer_parameters(work)
    rows = work.batch / (data * parameters)  # sequences on a device
    positions = rows * work.length
    state = 18 * count / (parameters * tensor)
    inner = positions * (8 * d + 2 * work.hidden) / tensor
    kept = 2 * positions * (work.layers * d) + 2 * inner + 4 * positions * work.tokens / tensor
    steps = work.seen / (work.batch * work.length)
    products = count - work.tokens * d
    operations = 8 * products + 8 * work.layers * work.length * d  # a token, the third included
    compute = operations * work.batch * work.length / devices / device.flops
    moved = lambda over: (over - 1) / over  # of what is gathered or scattered, a device's own aside
    weights = 2 * count / tensor
    sent = 3 * weights * moved(parameters) + 2 * weights / parameters * moved(data)
    near = 6 * work.layers * 2 * moved(tensor) * 2 * positions * d
    traffic = (3 * 2 * count / tensor + 34 * count / (parameters * tensor)) / device.memory_rate
    return Plan(
        devices, state, kept, steps * (sent + near), steps * compute, steps * traffic,
        steps * (sent / device.link_rate + near / device.near_rate),
    )  # fmt: skip


def rows() -> list[tuple[str, Plan]]:
    """The README's plans."""
    million, model = Members(10**6), Transformer()
    return [
        ("10^6 members, 1024 CPU cores", plan_members(million, CORE, 1024, cached=True)),
        ("10^6 members, 1 H100", plan_members(million, H100_FLOAT32, 1, cached=False)),
        ("10^6 members, 64 H100", plan_members(million, H100_FLOAT32, 64, cached=False)),
        ("7B, 64 H100, parameters 64", plan_transformer(model, H100_BFLOAT16, parameters=64)),
        (
            "7B, 512 H100, data 8 x parameters 64",
            plan_transformer(model, H100_BFLOAT16, data=8, parameters=64),
        ),
        (
            "7B, 512 H100, parameters 128 x tensor 4",
            plan_transformer(model, H100_BFLOAT16, parameters=128, tensor=4),
        ),
    ]


def table() -> str:
    """The plans in Markdown."""
    lines = [
        "| plan | state a device | activations | sent by a device | compute | memory traffic | messages |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, plan in rows():
        cells = [*map(_size, (plan.state, plan.working, plan.sent))]
        cells += map(_time, (plan.compute, plan.traffic, plan.messages))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _size(size: float) -> str:
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    steps = min(len(units) - 1, int(math.log10(size) // 3))
    return f"{size / 1000**steps:.3g} {units[steps]}"


def _time(seconds: float) -> str:
    if seconds == 0:
        return "-"
    for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{1000 * seconds:.3g} ms"


@dataclasses.dataclass(frozen=True)
class Config:
    """Print the plans of a population and of a large model: memory, messages, bounds of time."""


def main(config: Config) -> str:
    """The table, printed."""
    text = table()
    print(text, end="")
    return text


if __name__ == "__main__":
    command("plans", Config, main)
