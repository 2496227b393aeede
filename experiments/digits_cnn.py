"""Networks that read digits: an MLP, a CNN and a residual CNN, with shifted images, as ensembles.

``python -m experiments.digits_cnn --help`` lists the options. All rows of the table are
cross-validated together; the ensemble with the least held-out loss is trained on all but the test
part, and tested once. ``--data FOLDER`` takes MNIST's or Fashion-MNIST's files instead of the small
digits; ``--predict FILE`` reads images with the model that a run saved in ``--out``.
"""

import csv
import dataclasses
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.command import command, print_whole, written_whole

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Config:
    """Cross-validate networks for images, train the ensemble that the folds choose, and test it."""

    epochs: int = 40
    """Passes over the training part."""
    batch_size: int = 64
    """Images a step."""
    learning_rate: float = 0.003
    """Of Adam at the start; it falls to zero as a cosine."""
    filters: tuple[int, ...] = (16, 32)
    """Of the convolutional networks, layer by layer."""
    models: tuple[str, ...] = ("mlp", "cnn", "residual")
    """Which of the networks to compare."""
    folds: int = 4
    """Of the cross-validation, stratified by class."""
    folded_members: int = 2
    """Networks of each row in the ensembles that are cross-validated."""
    members: int = 5
    """Networks of each row in the ensemble that is tested."""
    data: str | None = None
    """A folder with MNIST's four IDX files, compressed or not; default, the digits of 8 x 8 pixels."""
    download: str | None = None
    """Fetch "mnist" or "fashion_mnist" into the folder first."""
    rows: int = 0
    """Train on so many images at most, drawn at random; 0 is all of them."""
    out: str = "runs/digits_cnn"
    """The folder to write to."""
    predict: str | None = None
    """Train nothing: print the classes of the images in this file, IDX or NPY, by the saved model."""
    seed: int = 0
    """Of all training; the test part is always the same."""
    progress: bool = True
    """Show a bar."""


# The rows of the table; a row named "+ shifts" differs from the one above it in its images alone.
ROWS: dict[str, dict[str, Any]] = {
    "MLP": {"model": "mlp", "shift": 0.0},
    "MLP + shifts": {"model": "mlp", "shift": 0.5},
    "CNN": {"model": "cnn", "shift": 0.0},
    "CNN + shifts": {"model": "cnn", "shift": 0.5},
    "residual CNN + shifts": {"model": "residual", "shift": 0.5},
}

# What is averaged: every row alone, and these.
ENSEMBLES: dict[str, tuple[str, ...]] = {
    "CNNs": ("CNN", "CNN + shifts"),
    "all CNNs": ("CNN", "CNN + shifts", "residual CNN + shifts"),
}


def main(config: Config) -> dict[str, Any]:
    """Run the study and write ``config.out``, or predict; returns the figures that matter."""
    check(config)
    if config.predict is not None:
        return predict(config)
    with written_whole(config.out) as folder:
        figures = _study(config, folder)
        text = json.dumps(figures, indent=1, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        names = sorted(file.name for file in folder.iterdir())
    print(f"wrote {config.out}: {', '.join(names)}")
    return figures


def check(config: Config) -> None:
    """Raise a ValueError for numbers that make no sense, before anything heavy is imported."""
    least = {"epochs": 1, "batch_size": 2, "folds": 2, "members": 1, "folded_members": 1, "rows": 0}
    for name, lowest in least.items():
        if getattr(config, name) < lowest:
            raise ValueError(f"{name} must be at least {lowest}, not {getattr(config, name)}")
    if not config.models or not set(config.models) <= {row["model"] for row in ROWS.values()}:
        raise ValueError(f"models are some of mlp, cnn, residual, not {config.models}")
    if not config.filters or min(config.filters) < 1:
        raise ValueError(f"filters are positive numbers, not {config.filters}")
    if not (math.isfinite(config.learning_rate) and config.learning_rate > 0):
        raise ValueError(f"learning_rate must be positive, not {config.learning_rate:g}")
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2^32 - 1, not {config.seed}")
    if config.download is not None and config.data is None:
        raise ValueError("download needs a folder, data")


def predict(config: Config) -> dict[str, Any]:
    """Print a line for each image of a file: its class, and the probabilities of all."""
    import numpy as np

    from experiments import image_networks as networks
    from experiments.predict import table
    from jaxdl import files
    from jaxdl.data import load_idx

    fitted, problem = networks.load_model(Path(config.out) / "model.npz")
    file = Path(config.predict)
    values = files.read_npy(file) if file.suffix == ".npy" else load_idx(file)
    p = np.asarray(fitted.predict(networks.as_images(values, problem, str(file))))
    print_whole(table(p, "class", list(problem.classes)))
    return {"rows": len(p)}


def load(config: Config):
    """Training and test images [N, H, W, D] from 0 to 1 with their classes, and the name and scale.

    The small digits are split as in ``deep_digits``; MNIST comes split.
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    from jaxdl import data

    if config.data is None:
        digits, greatest = data.load("digits"), 16.0
        images = digits.x.reshape(-1, 8, 8).astype(np.float32)
        x, x_test, y, y_test = train_test_split(images, digits.y.astype(np.int32), random_state=0)
        name = "digits"
    else:
        if config.download is not None:
            data.download_idx(config.download, config.data)
        (x, y), (x_test, y_test) = (data.load_idx_images(config.data, p) for p in ("train", "test"))
        greatest, name = 255.0, Path(config.data).name
        if x.shape[1:] != x_test.shape[1:] or min(x.shape[1:]) < 2 ** len(config.filters):
            raise ValueError(f"{config.data}: images of {x.shape[1:]} and {x_test.shape[1:]}")
    if config.rows and config.rows < len(x):
        few = np.random.default_rng(config.seed).permutation(len(x))[: config.rows]
        x, y = x[few], y[few]
    scaled = lambda images: (images / np.float32(greatest)).astype(np.float32)[..., None]
    return (scaled(x), y), (scaled(x_test), y_test), name, greatest


def settings(models: tuple[str, ...], rate: float) -> dict[str, dict[str, Any]]:
    """The rows of the table that are of these models, as settings by name."""
    shared = {"rate": rate, "dropout": 0.3, "decay": 0.1}
    return {name: shared | row for name, row in ROWS.items() if row["model"] in models}


def _study(config: Config, folder: Path) -> dict[str, Any]:
    from jaxdl import parallel

    parallel.use_all_cores()
    import jax
    import numpy as np

    from experiments import image_networks as networks
    from jaxdl import metrics
    from jaxdl.model_selection import cross_validate, refit, stratified_k_fold, tables

    began = time.perf_counter()
    (x, y), (x_test, y_test), name, greatest = load(config)
    print(f"{name}: {len(x)} images to choose by, {len(x_test)} held out")
    problem = networks.ImageProblem(
        name=name,
        shape=x.shape[1:],
        greatest=greatest,
        classes=tuple(str(k) for k in range(int(y.max()) + 1)),
        sizes={"hidden": (128, 128), "filters": config.filters, "dense": 128},
    )
    rows = settings(config.models, config.learning_rate)
    steps = lambda count: config.epochs * math.ceil(count / config.batch_size)
    study = cross_validate(
        networks.make_learner(problem, steps(len(x) * (1 - 1 / config.folds))),
        list(rows.values()),
        (x, y),
        key=jax.random.key(config.seed),
        folds=stratified_k_fold(y, config.folds),
        seeds=config.folded_members,
        epochs=config.epochs,
        batch_size=config.batch_size,
        metric="nll",
        keep="predictions",
        progress=config.progress,
    )
    print(tables.caption(study))
    table = candidates(list(rows), np.asarray(study.predictions), y)
    chosen = min(table, key=lambda row: row["nll"])
    print(show(table))
    print(f"chosen by its held-out loss: {chosen['name']!r}")

    recipe = study.recipe._replace(make_learner=networks.make_learner(problem, steps(len(x))))
    index = [list(rows).index(row) for row in chosen["rows"]]
    study = dataclasses.replace(study, recipe=recipe)
    fitted = refit(study, (x, y), index=index, seeds=config.members, progress=config.progress)
    members = np.asarray(fitted.members(x_test))
    p = members.mean(0)
    wrong = np.flatnonzero(p.argmax(-1) != y_test)
    figures = {
        "test_accuracy": 1 - len(wrong) / len(y_test),
        "test_wrong": len(wrong),
        "test_rows": len(y_test),
        "test_nll": float(metrics.log_loss(y_test, p)),
        "members_test_accuracy": float(np.mean(members.argmax(-1) == y_test)),
        "members": len(members),
        "chosen": chosen["name"],
        "folds_accuracy": chosen["accuracy"],
        "folds_nll": chosen["nll"],
        **{f"folds_accuracy {row['name']}": row["accuracy"] for row in table},
    }
    if config.data is None:
        figures["svc_test_accuracy"] = _svc(x, y, x_test, y_test)
    print(
        f"on the {len(y_test)} held-out images: {len(members)} networks {figures['test_accuracy']:.4f}"
        f" ({len(wrong)} wrong), one of them {figures['members_test_accuracy']:.4f} on average"
        + (f", SVC() {figures['svc_test_accuracy']:.4f}" if config.data is None else "")
    )
    networks.save_model(folder / "model.npz", fitted, problem)
    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        lines = [[row[k] for k in ("name", "accuracy", "wrong", "nll")] for row in table]
        csv.writer(file).writerows([["name", "accuracy", "wrong", "nll"], *lines])
    for picture, figure in _pictures(problem, fitted, x_test, y_test, p, wrong, table):
        figure.savefig(folder / f"{picture}.png", dpi=150)
    return {
        **figures,
        "programs": study.num_programs,
        "compile_seconds": study.compile_seconds,
        "run_seconds": study.run_seconds,
        "seconds": time.perf_counter() - began,
    }


def candidates(
    names: list[str], predictions: "np.ndarray", y: "np.ndarray"
) -> list[dict[str, Any]]:
    """What averages of rows do: from probabilities [S, members, N, K] of named rows, held out."""
    from jaxdl import metrics

    together = {name: rows for name, rows in ENSEMBLES.items() if set(rows) <= set(names)}
    table = []
    for name, rows in ({name: (name,) for name in names} | together).items():
        p = predictions[[names.index(row) for row in rows]].mean((0, 1))
        wrong = int((p.argmax(-1) != y).sum())
        table.append(
            {
                "name": name,
                "rows": rows,
                "accuracy": 1 - wrong / len(y),
                "wrong": wrong,
                "nll": float(metrics.log_loss(y, p)),
            }
        )
    return table


def show(table: list[dict[str, Any]]) -> str:
    """The table as text."""
    width = max(len(row["name"]) for row in table)
    lines = [
        f"{row['name'].ljust(width)}  {row['accuracy']:8.4f}  {row['wrong']:5d}  {row['nll']:.4f}"
        for row in table
    ]
    return "\n".join([f"{'held out in turn'.ljust(width)}  accuracy  wrong     nll", *lines])


def _pictures(problem, fitted, x, y, p, wrong, table):
    import numpy as np

    from experiments import image_networks as networks
    from jaxdl import plotting

    yield "networks", draw(table)
    kinds = [h["model"] for h in fitted.hparams]
    place = kinds.index("cnn") if "cnn" in kinds else 0
    kernel, maps = networks.first_layer(problem, fitted.hparams[place], fitted.states[place], x[:1])
    yield "filters", plotting.filter_grid(np.asarray(kernel)[..., :1, :32])
    if maps is not None:
        yield "feature_maps", plotting.feature_map_grid(np.asarray(maps)[0, ..., :32])
    # The least certain stand in for mistakes where there are none.
    doubtful = wrong if len(wrong) else np.argsort(p.max(-1))[:8]
    doubtful = doubtful[:24]
    titles = [f"{problem.classes[y[i]]} read as {problem.classes[p[i].argmax()]}" for i in doubtful]
    yield "mistakes" if len(wrong) else "doubts", plotting.image_grid(x[doubtful], titles)


def draw(table: list[dict[str, Any]]) -> "Figure":
    """How many of a hundred held-out images each row gets wrong."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    place = range(len(table))[::-1]
    axes.barh(place, [100 * (1 - row["accuracy"]) for row in table], height=0.6)
    axes.set_yticks(place, [row["name"] for row in table])
    axes.set_xlabel("wrong of 100 images held out in turn")
    axes.set_title("Averages of networks, by their folds")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _svc(x, y, x_test, y_test):
    from sklearn.svm import SVC

    flat = lambda images: images.reshape(len(images), -1)
    return float(SVC().fit(flat(x), y).score(flat(x_test), y_test))


if __name__ == "__main__":
    command("digits_cnn", Config, main)
