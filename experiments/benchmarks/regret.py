"""Regret of searches against their budget, in proposals and in CPU seconds.

On four embedded data sets a network with one hidden layer is tuned (rate, penalty, momentum) by the
validation loss of five folds, in four ways: ``search`` with TPE and with random proposals, a round
of them at a time; and one after the other, as an Optuna loop over a function under ``jit`` that
trains and scores one fold, with TPE and at random. All ways train the same networks on the same
folds from the same draws, so equal settings have equal scores, and a regret is the excess over the
best setting that any way found.
"""

import dataclasses
import json
import time
from typing import NamedTuple

import numpy as np

from experiments.benchmarks.timing import machine, on_all_cores
from experiments.command import command, written_whole

DATA = ("digits", "breast_cancer", "wine", "diabetes")
SPACE = {"rate": (1e-4, 10.0), "l2": (1e-6, 1.0), "momentum": (0.0, 0.99)}


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure how much a search costs until it has come as near to the best."""

    data: tuple[str, ...] = DATA
    """Data sets."""
    rounds: int = 8
    """Of a search by rounds."""
    per_round: int = 8
    """Proposals of each; the loops make as many in all."""
    epochs: int = 20
    """Of every network."""
    hidden: int = 32
    """Units of the hidden layer."""
    repeats: int = 3
    """Searches of each way, by other proposals."""
    out: str = "runs/benchmark_regret"
    """The folder to write to."""


class Track(NamedTuple):
    """A search: the score of each proposal [T], and the CPU seconds when it was known [T]."""

    scores: np.ndarray
    seconds: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """[T], the least score so far; infinite while all have diverged."""
        return np.minimum.accumulate(np.where(np.isnan(self.scores), np.inf, self.scores))


def main(config: Config) -> dict:
    """Tables of regrets and of the cost of equal regret, and a picture, in ``out``."""
    check(config)
    with written_whole(config.out) as folder:
        tracks = {name: measure(config, name) for name in config.data}
        found = {name: summary(by_way) for name, by_way in tracks.items()}
        text = table(found)
        print(text)
        (folder / "regret.md").write_text(text)
        about = {"machine": machine(), "config": dataclasses.asdict(config), "found": found}
        (folder / "regret.json").write_text(json.dumps(about, indent=1))
        draw(tracks, folder / "regret.png")
    return found


def check(config: Config) -> None:
    """Raise a ValueError for data sets that there are not and counts under 1."""
    for name in config.data:
        if name not in DATA:
            raise ValueError(f"data takes {', '.join(DATA)}, not {name!r}")
    for name in ("rounds", "per_round", "epochs", "hidden", "repeats"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(config, name)}")


def measure(config: Config, name: str) -> dict[str, list[Track]]:
    """The Tracks of all ways on a data set, ``repeats`` of each."""
    import jax

    task = Task(config, name)
    ways = {
        "search, TPE": lambda key: by_rounds(task, key, "tpe"),
        "search, random": lambda key: by_rounds(task, key, "random"),
        "Optuna loop, TPE": lambda key: one_by_one(task, key, "tpe"),
        "Optuna loop, random": lambda key: one_by_one(task, key, "random"),
    }
    tracks = {}
    for way, run in ways.items():
        print(f"{name}: {way} ...", flush=True)
        tracks[way] = [run(jax.random.key(seed)) for seed in range(config.repeats)]
    return tracks


class Task:
    """A data set with its folds, and the learner that is tuned."""

    def __init__(self, config: Config, name: str):
        import jax
        from sklearn.preprocessing import StandardScaler

        from jaxdl import data
        from jaxdl.model_selection import k_fold, stratified_k_fold

        loaded = data.load(name)
        self.config, self.classes = config, len(loaded.target_names or ())
        x = StandardScaler().fit_transform(loaded.x).astype(np.float32)
        y = loaded.y if self.classes else ((loaded.y - loaded.y.mean()) / loaded.y.std())
        self.x, self.y = x, y.astype(np.int32 if self.classes else np.float32)
        self.key = jax.random.key(7)  # of the networks, the same for all ways
        shuffled = jax.random.key(8)
        self.folds = (
            stratified_k_fold(y, 5, key=shuffled)
            if self.classes
            else k_fold(len(y), 5, key=shuffled)
        )
        self.training = {"epochs": config.epochs, "batch_size": 32}

    def make_learner(self, h):
        """A ReLU network by SGD with momentum, rate, momentum and penalty of ``h``."""
        import optax

        from jaxdl import families, models, training

        network = models.mlp((self.x.shape[1], self.config.hidden, self.classes or 1))
        family = families.categorical(self.classes) if self.classes else families.normal()
        loss = training.negative_log_likelihood(network, family, penalty=h["l2"])
        return training.gradient_learner(network, loss, optax.sgd(h["rate"], h["momentum"]))

    @property
    def metric(self) -> str:
        """What is minimised."""
        return "nll" if self.classes else "squared_error"


def by_rounds(task: Task, key, sampler: str) -> Track:
    """``search``, timed at the end of each round; nothing is kept from before."""
    from jaxdl import clear_programs
    from jaxdl.model_selection import Interval, search

    space = {k: Interval(*ends, log=ends[0] > 0) for k, ends in SPACE.items()}
    scores, seconds = [], []

    class Clock:
        def start(self, rows):
            del rows

        def add(self, rows):
            scores.extend(row["value"] for row in rows)
            seconds.extend([time.process_time() - began] * (len(scores) - len(seconds)))

    clear_programs()
    began = time.process_time()
    search(
        task.make_learner, space, (task.x, task.y), key=task.key, sampler=seeded(key, sampler),
        rounds=task.config.rounds, per_round=task.config.per_round, folds=task.folds,
        metric=task.metric, evaluate_every=task.config.epochs, log=Clock(), **task.training,
    )  # fmt: skip
    return Track(np.array(scores), np.array(seconds))


def one_by_one(task: Task, key, sampler: str) -> Track:
    """An Optuna loop over one function under ``jit``, which trains and scores one fold."""
    import jax
    import optuna

    from jaxdl import clear_programs, programs, training
    from jaxdl.model_selection import member_key

    clear_programs()
    jax.clear_caches()
    began = time.process_time()

    def score(setting, key, train, valid):
        fitted = training.fit(
            task.make_learner(setting), train, key=key, validation=valid,
            evaluate_every=task.config.epochs, **task.training,
        )  # fmt: skip
        bad = fitted.history.diverged >= 0
        return jax.numpy.where(bad, np.nan, fitted.history.validation[task.metric][-1])

    jitted = jax.jit(score, compiler_options=programs.compiler_options())
    parts = [
        ((task.x[fold.train], task.y[fold.train]), (task.x[fold.valid], task.y[fold.valid]))
        for fold in task.folds
    ]
    scores, seconds = [], []

    def objective(trial):
        setting = {
            name: np.float32(trial.suggest_float(name, *ends, log=ends[0] > 0))
            for name, ends in SPACE.items()
        }
        # All folds are asked for before any is waited for.
        found = [jitted(setting, member_key(task.key, 0, f), *part) for f, part in enumerate(parts)]
        mean = float(np.mean([float(value) for value in found]))
        scores.append(mean)
        seconds.append(time.process_time() - began)
        return mean if np.isfinite(mean) else np.inf

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=seeded(key, sampler))
    study.optimize(objective, n_trials=task.config.rounds * task.config.per_round)
    return Track(np.array(scores), np.array(seconds))


def seeded(key, name: str):
    """Optuna's sampler of that name."""
    import jax
    import optuna

    seed = int(jax.random.bits(key, (), np.uint32))
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def summary(by_way: dict[str, list[Track]]) -> dict[str, dict]:
    """Of each way the mean regret at the end, the CPU seconds in all and to the mark, and how often.

    The mark is the median regret with which the Optuna loop with TPE ends.
    """
    least = min(track.best[-1] for tracks in by_way.values() for track in tracks)
    mark = float(np.median([track.best[-1] for track in by_way["Optuna loop, TPE"]]))
    found = {}
    for way, tracks in by_way.items():
        costs = [cost(track, mark) for track in tracks]
        found[way] = {
            "regret": float(np.mean([track.best[-1] - least for track in tracks])),
            "seconds": float(np.mean([track.seconds[-1] for track in tracks])),
            "mark": mark - float(least),
            "to_mark": float(np.median(costs)) if np.isfinite(np.median(costs)) else None,
            "reached": int(np.sum(np.isfinite(costs))),
            "searches": len(tracks),
        }
    return found


def cost(track: Track, mark: float) -> float:
    """The CPU seconds after which a search has come to a score of ``mark``; infinite if never."""
    there = np.flatnonzero(track.best <= mark)
    return float(track.seconds[there[0]]) if len(there) else np.inf


def table(found: dict[str, dict[str, dict]]) -> str:
    """Markdown; ``times`` is the cost of the mark over that of the first way."""
    lines = [
        "| data | way | regret | CPU s | CPU s to the mark | reached | times |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, by_way in found.items():
        ours = next(iter(by_way.values()))["to_mark"]
        for way, row in by_way.items():
            mark = row["to_mark"]
            times = f"{mark / ours:.1f}" if mark and ours else ""
            lines.append(
                f"| {name} | {way} | {row['regret']:.4f} | {row['seconds']:.1f} "
                f"| {f'{mark:.1f}' if mark else 'not reached'} "
                f"| {row['reached']} of {row['searches']} | {times} |"
            )
    return "\n".join(lines) + "\n"


def draw(tracks: dict[str, dict[str, list[Track]]], path) -> None:
    """Median regret of each way, by proposals and by CPU seconds, a column for each data set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(tracks), 5.6), layout="constrained")
    axes = figure.subplots(2, len(tracks), squeeze=False, sharey="col")
    for column, (name, by_way) in zip(axes.T, tracks.items(), strict=True):
        least = min(track.best[-1] for each in by_way.values() for track in each)
        for i, (way, each) in enumerate(by_way.items()):
            regret = np.median([track.best - least for track in each], axis=0)
            seconds = np.median([track.seconds for track in each], axis=0)
            style = {"color": f"C{i % 2}", "ls": "-" if i < 2 else "--", "label": way}
            shown = np.where(np.isfinite(regret), np.maximum(regret, 1e-5), np.nan)
            column[0].step(np.arange(1, len(shown) + 1), shown, where="post", **style)
            column[1].step(seconds, shown, where="post", **style)
        column[0].set(title=name, xlabel="proposals", yscale="log")
        column[1].set(xlabel="CPU seconds", yscale="log", xlim=(0, None))
    for axis in axes[:, 0]:
        axis.set_ylabel("regret (validation loss)")
    axes[0, 0].legend(fontsize="small")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    command("benchmarks.regret", Config, on_all_cores(check, main), keeps=False)
