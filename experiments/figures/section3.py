"""Figures 6 to 8: a split in three, cross-validation, a confusion matrix."""

import jax
import numpy as np

from experiments.figures.claims import canvas, claim
from jaxdl import data, metrics, models, plotting
from jaxdl.model_selection import splits

ROWS = 40


def figure_6(key):
    """Training, validation and test part: every row is in one of them."""
    fractions = (0.6, 0.2, 0.2)
    split = splits.train_validation_test(ROWS, fractions, key=key)
    parts = {"training": split.train, "validation": split.validation, "test": split.test}

    figure, (axes,) = canvas(size=(7.0, 1.8))
    for color, (name, rows) in zip(("C0", "C1", "C3"), parts.items(), strict=True):
        axes.bar(rows, 1, width=0.9, color=color, label=f"{name}, {len(rows)} rows")
    axes.set(xlabel="row of the data", yticks=[], xlim=(-1, ROWS))
    axes.spines["left"].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.35), ncols=3, frameon=False)
    try:
        splits.train_validation_test(ROWS, (0.6, 0.3, 0.2), key=jax.random.fold_in(key, 1))
        refused = ""
    except ValueError as error:
        refused = str(error)
    sizes = [len(rows) for rows in parts.values()]
    return figure, [
        claim("the parts are disjoint and exhaustive",
              np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(ROWS)),
              sizes=sizes),
        claim("they have the sizes that were asked for",
              sizes == [round(f * ROWS) for f in fractions], fractions=fractions),
        claim("60 + 30 + 20 % is refused", "sum" in refused, error=refused),
    ]  # fmt: skip


def figure_7(key):
    """Five folds of what is not set aside for the test."""
    split = splits.train_validation_test(ROWS, (0.75, 0.0, 0.25), key=key)
    folds = splits.k_fold(len(split.train), 5, key=jax.random.fold_in(key, 1))
    table = np.full((5, ROWS), 2)
    for row, fold in zip(table, folds, strict=True):
        row[split.train[fold.train]], row[split.train[fold.valid]] = 0, 1

    figure, (axes,) = canvas(size=(7.0, 2.4))
    colors = np.array([(0.12, 0.47, 0.71), (1.0, 0.5, 0.05), (0.84, 0.15, 0.16)])
    axes.imshow(colors[table], aspect="auto", interpolation="none")
    axes.set(xlabel="row of the data", ylabel="fold", yticks=range(5), yticklabels=range(1, 6))
    axes.set_xticks(np.arange(ROWS + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(6) - 0.5, minor=True)
    axes.grid(which="minor", color="w", lw=1.5)
    axes.tick_params(which="minor", length=0)
    for color, name in zip(colors, ("training", "validation", "test"), strict=True):
        axes.bar(0, 0, color=color, label=name)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.25), ncols=3, frameon=False)
    validated = (table == 1).sum(0)
    return figure, [
        claim("each row outside the test part is validated exactly once",
              np.all(validated[split.train] == 1), validated=validated),
        claim("the test part is in no fold", np.all(table[:, split.test] == 2),
              test_rows=split.test),
        claim("training and validation part never meet, in any of the five folds",
              all(not set(f.train) & set(f.valid) for f in folds) and len(folds) == 5,
              sizes=[(len(f.train), len(f.valid)) for f in folds]),
    ]  # fmt: skip


def figure_8(key):
    """Truth by rows, prediction by columns: iris, by two of its features."""
    iris = data.load("iris")
    x, y = iris.x[:, :2].astype(float), np.asarray(iris.y)
    split = splits.train_validation_test(len(y), (0.6, 0.0, 0.4), key=key, stratify=y)
    fitted = models.logistic.fit_softmax(x[split.train], y[split.train], 3)
    predicted = np.asarray(models.linear.predict(fitted.params, x[split.test])).argmax(1)
    truth = y[split.test]
    counts = np.asarray(metrics.confusion_matrix(truth, predicted, num_classes=3))
    perfect = np.asarray(metrics.confusion_matrix(truth, truth, num_classes=3))
    figure = plotting.confusion_matrix(counts, iris.target_names)
    by_hand = [[int(np.sum((truth == i) & (predicted == j))) for j in range(3)] for i in range(3)]
    return figure, [
        claim("rows are the truth, columns the prediction", counts.tolist() == by_hand,
              counts=counts),
        claim("a perfect classifier's is diagonal",
              np.array_equal(perfect, np.diag(np.bincount(truth))), perfect=perfect),
        claim("its trace over its sum is the accuracy",
              abs(counts.trace() / counts.sum() - np.mean(predicted == truth)) < 1e-12,
              accuracy=np.mean(predicted == truth)),
    ]  # fmt: skip


FIGURES: dict = {6: figure_6, 7: figure_7, 8: figure_8}
