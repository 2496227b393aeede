"""What a study costs against its members, rows, features and devices: CPU seconds, and the slopes.

Each block varies one number and leaves the others as they are. A study is run twice: the first
compiles, the second is measured. CPU time of all threads, so that other work on the machine counts
little; over simulated devices, of which there are more than cores, it shows what dividing costs, and
not what it gains. A slope is that of the logarithms: 1 where cost is proportional, 0 where it is flat.
"""

import dataclasses
import time

import numpy as np

from experiments.benchmarks.timing import Row, check_blocks, measure
from experiments.command import command

BLOCKS = ("members", "rows", "features", "devices")
FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure what a study of small networks costs against its sizes."""

    only: tuple[str, ...] = BLOCKS
    """Blocks to run: members, rows, features, devices."""
    members: tuple[int, ...] = (100, 1000, 10_000)
    """Members of a study, settings x 5 folds."""
    rows: tuple[int, ...] = (100, 400, 1600)
    """Rows of the data."""
    features: tuple[int, ...] = (4, 32, 256)
    """Features of the data."""
    devices: tuple[int, ...] = (1, 2, 4, 8)
    """Host devices to spread over; so many are simulated as there is the largest of them."""
    others: int = 1000
    """Members of the studies of the other blocks."""
    epochs: int = 20
    """Of every member."""
    resident: int = 1000
    """Members on the devices at a time; the others wait on the host."""
    out: str = "runs/benchmark_scale"
    """The folder to write to."""


def main(config: Config) -> list[Row]:
    """The rows of all blocks, in a table and in ``out``."""
    check(config)
    import jax

    least = [min(getattr(config, block)) for block in BLOCKS]
    if max(config.devices) > len(jax.local_devices()):
        raise ValueError(f"there are {len(jax.local_devices())} devices, not {max(config.devices)}")

    def block(name):
        values, rows, costs = getattr(config, name), [], []
        for value in values:
            sizes = dict(zip(BLOCKS, least, strict=True)) | {"members": config.others, name: value}
            cpu, compiled, score = cost(config, **sizes)
            costs.append(cpu)
            each = f"{1e6 * cpu / sizes['members']:.0f} us a member, score {score:.3f}"
            rows.append(Row(name, f"{value} {name}", cpu, compiled, cpu + compiled, each))
        if len(values) > 1:
            rows[-1] = rows[-1]._replace(
                result=f"{rows[-1].result}; slope {slope(values, costs):.2f}"
            )
        return rows

    return measure(config, "scale", {name: lambda name=name: block(name) for name in config.only})


def check(config: Config) -> None:
    """Raise a ValueError for blocks that there are not, and numbers that make no study."""
    check_blocks(config, BLOCKS, ("epochs", "resident", "others"))
    if config.others < FOLDS:
        raise ValueError(f"others are members from {FOLDS}, not {config.others}")
    for name in BLOCKS:
        values = getattr(config, name)
        fewest = {"members": FOLDS, "rows": 10}.get(name, 1)
        if not values or min(values) < fewest or list(values) != sorted(set(values)):
            raise ValueError(f"{name} are ascending numbers from {fewest}, not {values}")


def slope(values, costs) -> float:
    """The slope of log cost over log value, by least squares.

    >>> round(slope([1, 2, 4], [3.0, 12.0, 48.0]), 6)
    2.0
    """
    return float(np.polyfit(np.log(values), np.log(costs), 1)[0])


def cost(
    config: Config, members: int, rows: int, features: int, devices: int
) -> tuple[float, float, float]:
    """CPU seconds of a study's second run, those that the first took more, and the mean score."""
    import jax
    import optax

    from jaxdl import families, models
    from jaxdl.model_selection import Execution, cross_validate
    from jaxdl.training import gradient_learner, negative_log_likelihood

    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int32)

    def make(h):
        net = models.mlp((features, 16, 2))
        objective = negative_log_likelihood(net, families.categorical(2))
        return gradient_learner(net, objective, optax.adam(h["rate"]))

    grid = {"rate": np.logspace(-3, -1, members // FOLDS).tolist()}
    execution = Execution(devices=jax.local_devices()[:devices], resident=config.resident)

    def run():
        began = time.process_time()
        study = cross_validate(make, grid, (x, y), key=jax.random.key(0), folds=FOLDS,
                               epochs=config.epochs, batch_size=32, execution=execution)  # fmt: skip
        return time.process_time() - began, float(np.mean(study.scores["accuracy"]))

    first, score = run()
    second, _ = run()
    return second, max(first - second, 0.0), score


def run(config: Config) -> None:
    """``main`` as a command runs it: checked, then with enough devices."""
    check(config)
    import jax

    jax.config.update("jax_num_cpu_devices", max(config.devices))
    main(config)


if __name__ == "__main__":
    command("benchmarks.scale", Config, run, keeps=False)
