"""What a text says of its subject: recurrent networks and a transformer, chosen among by their folds.

``python -m experiments.sentiment --help`` lists the options. Reviews from a grammar with negations
and contrasts, whose words alone tell little; a simple RNN, an LSTM, a GRU, a GRU in both directions
and a transformer are cross-validated in one study, the best is trained on all but the test part, and
tested once against scikit-learn's logistic regression on counts of words. ``--data FILE --text
COLUMN --target COLUMN`` takes a CSV file instead; ``--predict "..."`` reads a text with the model
that a run saved in ``--out``, as ``python -m experiments.predict OUT "..."`` does.
"""

import csv
import dataclasses
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.command import command, print_whole, write_whole, written_whole

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

NAMES = {
    "simple": "simple RNN", "lstm": "LSTM", "gru": "GRU", "bidirectional": "bidirectional GRU",
    "transformer": "transformer",
}  # fmt: skip
RIVAL = "bag of words"
UNKNOWN_BELOW = 2  # words that come less often have no token of their own


@dataclasses.dataclass(frozen=True)
class Config:
    """Cross-validate networks that read texts, train the one that the folds choose, and test it."""

    data: str | None = None
    """A CSV file; default, reviews from a grammar."""
    text: str | None = None
    """The file's column of texts."""
    target: str | None = None
    """The file's column of classes."""
    reviews: int = 3000
    """How many reviews to draw, where there is no file."""
    test_share: float = 0.3
    """Of the texts, held out for the test."""
    models: tuple[str, ...] = ("simple", "lstm", "gru", "bidirectional", "transformer")
    """Which networks to compare."""
    width: int = 32
    """Of embeddings and states."""
    learning_rates: tuple[float, ...] = (0.003, 0.01)
    """Adam's largest, to choose from."""
    dropouts: tuple[float, ...] = (0.1,)
    """To choose from."""
    epochs: int = 12
    """Passes over the training part."""
    batch_size: int = 32
    """Texts a step."""
    folds: int = 2
    """Of the cross-validation, stratified by class."""
    members: int = 2
    """Networks of the chosen setting whose probabilities are averaged."""
    max_length: int = 200
    """Tokens that are read of a text; of longer ones the end is cut off."""
    max_words: int = 5000
    """The vocabulary's size at most."""
    out: str = "runs/sentiment"
    """The folder to write to, and to read a model from."""
    predict: str | None = None
    """Train nothing: print the classes of this text by the saved model."""
    seed: int = 0
    """Of data, split and training."""
    progress: bool = True
    """Show a bar."""


def main(config: Config) -> dict[str, Any]:
    """Run the study and write ``config.out``, or predict; returns the figures that matter."""
    check(config)
    if config.predict is not None:
        return predict(Path(config.out) / "model.npz", config.predict)
    with written_whole(config.out) as folder:
        figures = _study(config, folder)
        text = json.dumps(figures, indent=1, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        names = sorted(file.name for file in folder.iterdir())
    print(f"wrote {config.out}: {', '.join(names)}")
    return figures


def check(config: Config) -> None:
    """Raise a ValueError for options that make no sense, before anything heavy is imported."""
    least = {
        "reviews": 20,
        "width": 1,
        "epochs": 1,
        "batch_size": 1,
        "folds": 2,
        "members": 1,
        "max_length": 1,
        "max_words": 5,
    }
    for name, lowest in least.items():
        if getattr(config, name) < lowest:
            raise ValueError(f"{name} must be at least {lowest}, not {getattr(config, name)}")
    if not config.models or not set(config.models) <= set(NAMES):
        raise ValueError(f"models are some of {', '.join(NAMES)}, not {', '.join(config.models)}")
    if "transformer" in config.models and config.width % 4:
        raise ValueError(f"the transformer's width is a multiple of 4, not {config.width}")
    if not config.learning_rates or not all(0 < r < math.inf for r in config.learning_rates):
        raise ValueError(f"learning_rates must be positive, not {config.learning_rates}")
    if not config.dropouts or not all(0 <= d < 1 for d in config.dropouts):
        raise ValueError(f"dropouts must be from 0 to below 1, not {config.dropouts}")
    if not 0 < config.test_share < 1:
        raise ValueError(f"test_share must be between 0 and 1, not {config.test_share}")
    if not 0 <= config.seed < 2**31:
        raise ValueError(f"seed must be between 0 and 2^31 - 1, not {config.seed}")
    options = (config.data, config.text, config.target)
    if any(options) and not all(options):
        raise ValueError("a file needs all of --data, --text and --target")


def predict(path: Path, sentence: str, out: str | None = None) -> dict[str, Any]:
    """Print a text's class and the probabilities of all, or write them to ``out``."""
    import numpy as np

    from experiments import predict as predictions
    from experiments import text_networks as networks

    fitted, problem = networks.load_model(path)
    x = networks.as_tokens([sentence], problem)
    if int(x.lengths[0]) == 0:
        raise ValueError("there is no word in the text")
    p = np.asarray(fitted.predict(x))
    table = predictions.table(p, problem.target, list(problem.classes))
    if out is None:
        print_whole(table)
    else:
        write_whole(out, table)
    best = int(p[0].argmax())
    return {"class": problem.classes[best], "probability": float(p[0, best])}


def load(config: Config) -> tuple[list[str], "np.ndarray", tuple[str, ...], str]:
    """Texts, their classes [N], the names of the classes, and the name of the data."""
    import numpy as np

    from jaxdl.checks import one_of
    from jaxdl.data.reviews import make_reviews
    from jaxdl.data.tables.kinds import as_texts
    from jaxdl.data.tables.reading import read

    if config.data is None:
        reviews = make_reviews(config.seed, config.reviews, neutral=2)
        return reviews.texts, reviews.labels, ("negative", "positive"), "reviews"
    table = read(config.data)
    for option in ("text", "target"):
        one_of(option, getattr(config, option), tuple(table.columns))
    texts, labels = (as_texts(table.columns[c]).cells() for c in (config.text, config.target))
    empty = next((i for i, label in enumerate(labels) if not label.strip()), None)
    if empty is not None:
        raise table.error(f"{table.row(empty)} has no {config.target}")
    classes, y, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise table.error(f"two classes or more are needed; there is only {str(classes[0])!r}")
    rarest = counts.argmin()
    if counts[rarest] < 2 * config.folds:
        what = f"{str(classes[rarest])!r} has {counts[rarest]}"
        raise table.error(
            f"each class needs {2 * config.folds} texts for {config.folds} folds; {what}"
        )
    return texts, y.astype(np.int32), tuple(map(str, classes)), Path(config.data).name


def _study(config: Config, folder: Path) -> dict[str, Any]:
    from jaxdl import parallel

    parallel.use_all_cores()
    import jax
    import numpy as np
    from sklearn.model_selection import train_test_split

    from experiments import text_networks as networks
    from jaxdl import metrics, text
    from jaxdl.model_selection import cross_validate, refit, stratified_k_fold, tables

    began = time.perf_counter()
    texts, y, classes, name = load(config)
    texts, texts_test, y, y_test = train_test_split(
        texts, y, test_size=config.test_share, random_state=config.seed, stratify=y
    )
    words = [text.words(t) for t in texts]
    vocabulary = text.count_vocabulary(
        (w for row in words for w in row), size=config.max_words, min_count=UNKNOWN_BELOW
    )
    longest = max(map(len, words))
    problem = networks.TextProblem(
        name, config.target or "label", classes, vocabulary, max(1, min(longest, config.max_length))
    )
    cut = sum(len(row) > problem.length for row in words)
    print(
        f"{name}: {len(texts)} texts to choose by, {len(texts_test)} held out; {vocabulary.size} "
        f"tokens, up to {longest} a text" + (f", {cut} texts cut off" if cut else "")
    )
    x, x_test = (networks.as_tokens(t, problem) for t in (texts, texts_test))
    settings = [
        {"model": model, "width": config.width, "rate": rate, "dropout": dropout}
        for model in config.models
        for rate in config.learning_rates
        for dropout in config.dropouts
    ]
    steps = lambda count: config.epochs * math.ceil(count / config.batch_size)
    study = cross_validate(
        networks.make_learner(problem, steps(len(y) * (1 - 1 / config.folds))),
        settings,
        (x, y),
        key=jax.random.key(config.seed),
        folds=stratified_k_fold(y, config.folds),  # those of the bag of words too
        epochs=config.epochs,
        batch_size=config.batch_size,
        metric="nll",
        keep="predictions",
        progress=config.progress,
    )
    print(tables.caption(study))
    held, table = _best_of_each(config, study, y)
    rival, rival_held = _bag_of_words(config, texts, y)
    held[RIVAL] = rival_held
    table.append(
        {
            "model": RIVAL,
            "accuracy": float(np.mean(rival_held)),
            "nll": None,
            "rate": None,
            "dropout": None,
        }
    )
    print(show(table))

    choice = study.best("nll")
    recipe = study.recipe._replace(make_learner=networks.make_learner(problem, steps(len(y))))
    study = dataclasses.replace(study, recipe=recipe)
    fitted = refit(study, (x, y), index=choice.index, seeds=config.members)
    p = np.asarray(fitted.predict(x_test))
    networks.save_model(folder / "model.npz", fitted, problem)
    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["model", "accuracy", "nll", "rate", "dropout"])
        writer.writeheader()
        writer.writerows(table)
    lengths = np.array([len(row) for row in words])
    draw_lengths(lengths, held).savefig(folder / "accuracy_by_length.png", dpi=150)
    draw_table(table).savefig(folder / "models.png", dpi=150)
    figures = {
        "test_accuracy": float(np.mean(p.argmax(-1) == y_test)),
        "rival_accuracy": float(np.mean(rival(texts_test) == y_test)),
        "most_frequent_accuracy": float(np.bincount(y_test).max() / len(y_test)),
        "test_rows": len(y_test),
        "test_nll": float(metrics.log_loss(y_test, p)),
        "chosen": choice.hparams["model"],
        "chosen_rate": choice.hparams["rate"],
        "chosen_dropout": choice.hparams["dropout"],
        **{f"folds_accuracy {row['model']}": row["accuracy"] for row in table},
        "members": config.members,
        "tokens": vocabulary.size,
        "texts_cut_off": cut,
        "programs": study.num_programs,
        "compile_seconds": study.compile_seconds,
        "run_seconds": study.run_seconds,
        "seconds": time.perf_counter() - began,
    }
    print(
        f"on the {len(y_test)} held-out texts: {NAMES[figures['chosen']]} "
        f"{figures['test_accuracy']:.4f}, {RIVAL} {figures['rival_accuracy']:.4f}"
    )
    return figures


def _best_of_each(config, study, y):
    """Of each network's best setting: which texts [N] were right when held out, and a row."""
    import numpy as np

    held, table = {}, []
    mean = study.summary("nll")[0]
    usable = ~study.diverged.any((1, 2)) & np.isfinite(mean)
    for model in config.models:
        rows = [s for s, h in enumerate(study.hparams) if h["model"] == model and usable[s]]
        if not rows:
            print(f"{NAMES[model]}: all settings diverged")
            continue
        best = min(rows, key=lambda s: mean[s])
        right = np.asarray(study.predictions[best, 0]).argmax(-1) == y
        held[NAMES[model]] = right
        h = study.hparams[best]
        table.append(
            {
                "model": NAMES[model],
                "accuracy": float(right.mean()),
                "nll": float(mean[best]),
                "rate": h["rate"],
                "dropout": h["dropout"],
            }
        )
    return held, table


def _bag_of_words(config, texts, y):
    """A function from texts to classes, fitted, and which texts [N] it had right when held out."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline

    from jaxdl import text

    def make():
        return make_pipeline(
            CountVectorizer(analyzer=text.words), LogisticRegression(max_iter=1000)
        )

    held = cross_val_predict(make(), texts, y, cv=config.folds)
    return make().fit(texts, y).predict, held == y


def show(table: list[dict[str, Any]]) -> str:
    """The table as text."""
    lines = [f"{'held out in turn'.ljust(18)}  accuracy      nll    rate  dropout"]
    for row in table:
        line = f"{row['model'].ljust(18)}  {row['accuracy']:8.4f}"
        if row["nll"] is not None:
            line += f"  {row['nll']:7.4f}  {row['rate']:6.3g}  {row['dropout']:7.2g}"
        lines.append(line)
    return "\n".join(lines)


def draw_lengths(lengths: "np.ndarray", held: dict[str, "np.ndarray"], bins: int = 6) -> "Figure":
    """Accuracy on held-out texts against their lengths [N], in parts with equally many texts."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4), layout="constrained")
    axes = figure.subplots()
    parts = [part for part in np.array_split(np.argsort(lengths, kind="stable"), bins) if len(part)]
    middle = [float(np.mean(lengths[part])) for part in parts]
    for name, right in held.items():
        style = {"color": "0.4", "linestyle": "--"} if name == RIVAL else {}
        axes.plot(middle, [right[part].mean() for part in parts], marker="o", label=name, **style)
    axes.set_xlabel("tokens of a text")
    axes.set_ylabel("accuracy, held out in turn")
    axes.set_title("Accuracy by length")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)
    return figure


def draw_table(table: list[dict[str, Any]]) -> "Figure":
    """The accuracies of the networks and of the rival, best setting of each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    place = range(len(table))[::-1]
    colors = ["0.6" if row["model"] == RIVAL else "C0" for row in table]
    bars = axes.barh(place, [row["accuracy"] for row in table], height=0.6, color=colors)
    axes.bar_label(bars, [f"{row['accuracy']:.3f}" for row in table], padding=3)
    axes.set_yticks(place, [row["model"] for row in table])
    axes.set_xlim(0, 1.12)
    axes.set_xlabel("accuracy, held out in turn")
    axes.set_title("Networks that read in order, and one that counts words")
    return figure


if __name__ == "__main__":
    command("sentiment", Config, main)
