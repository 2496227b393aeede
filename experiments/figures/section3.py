"""Figures 6 to 8: a split in three, cross-validation, a confusion matrix."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures.claims import canvas, claim
from jaxdl import data, metrics, models, plotting
from jaxdl.model_selection import splits

ROWS = 40
SPLITS, SHUFFLES = 200, 40


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
    drawn = [bar.get_x() + bar.get_width() / 2 for bars in axes.containers for bar in bars]

    split_key, data_key = jax.random.split(jax.random.fold_in(key, 1))
    many = [
        splits.train_validation_test(ROWS, fractions, key=k)
        for k in jax.random.split(split_key, SPLITS)
    ]
    error, fresh = _errors(jax.random.split(data_key, SPLITS), [s.train for s in many])

    def mean(part):
        return np.array([e[getattr(s, part)].mean() for e, s in zip(error, many, strict=True)])

    seen, unseen = mean("train"), mean("test")
    apart = unseen.std() / SPLITS**0.5
    return figure, [
        claim("each row of the data is drawn once",
              np.allclose(np.sort(drawn), np.arange(ROWS)), drawn=len(drawn)),
        claim("60, 20 and 20 % of 40 rows are 24, 8 and 8",
              [len(rows) for rows in parts.values()] == [24, 8, 8], fractions=fractions),
        claim("rows that a model was fitted to make it look better than it is; others do not",
              seen.mean() < 0.8 * fresh.mean() and abs(unseen.mean() - fresh.mean()) < 4 * apart,
              training=seen.mean(), test=unseen.mean(), fresh_rows=fresh.mean(), splits=SPLITS),
    ]  # fmt: skip


def _errors(keys, parts):
    """Squared errors [R, N] of cubics fitted to parts of N = ROWS rows, and on other rows [R].

    ``parts`` are R arrays of row numbers, all of one length; the data are drawn by R ``keys``.
    """
    cubic = lambda x, e: 4 * x**3 - 3 * x + 0.3 * e
    masks = np.zeros((len(parts), ROWS), bool)
    np.put_along_axis(masks, np.stack(parts), True, axis=1)

    def fit(key, mask):
        x_key, noise_key = jax.random.split(key)
        x = jax.random.uniform(x_key, (10 * ROWS,), minval=-1, maxval=1)
        y = cubic(x, jax.random.normal(noise_key, x.shape))
        params = models.polynomial.fit_polynomial(x[:ROWS], y[:ROWS], 3, mask=mask)
        error = (models.polynomial.predict_polynomial(params, x, 3) - y) ** 2
        return error[:ROWS], jnp.mean(error[ROWS:])

    return map(np.asarray, jax.jit(jax.vmap(fit))(keys, masks))


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

    # Counted from the folds, not from the table, where one use would hide another.
    def times(part):
        return np.bincount(
            np.concatenate([split.train[getattr(fold, part)] for fold in folds]), minlength=ROWS
        )

    outside = ~np.isin(np.arange(ROWS), split.test)
    shuffle_key, data_key = jax.random.split(jax.random.fold_in(key, 2))
    five = [
        fold
        for k in jax.random.split(shuffle_key, SHUFFLES)
        for fold in splits.k_fold(ROWS, 5, key=k)
    ]
    same_data = jnp.broadcast_to(data_key, len(five))
    error, _ = _errors(same_data, [fold.train for fold in five])
    valid = [fold.valid for fold in five]
    scores = np.array([e[v].mean() for e, v in zip(error, valid, strict=True)]).reshape(-1, 5)
    return figure, [
        claim("each row outside the test part is validated once and trained on four times",
              np.array_equal(times("valid"), outside) and np.array_equal(times("train"), 4 * outside),
              validated=times("valid"), trained=times("train")),
        claim("no row of the test part is used", len(split.test) == ROWS // 4
              and not (times("valid") + times("train"))[split.test].any(), test_rows=split.test),
        claim("five folds' mean varies less from shuffle to shuffle than half of what one fold does",
              scores.mean(1).std() < scores[:, 0].std() / 2, mean=scores.mean(1).std(),
              one_fold=scores[:, 0].std(), shuffles=SHUFFLES),
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
    figure = plotting.confusion_matrix(counts, iris.target_names)
    axes = figure.axes[0]
    drawn = np.zeros((3, 3), int)
    for cell in axes.texts:
        column, row = cell.get_position()
        drawn[row, column] = int(cell.get_text())
    pairs = sorted(zip(truth.tolist(), predicted.tolist(), strict=True))
    by_hand = [[pairs.count((i, j)) for j in range(3)] for i in range(3)]
    recalls = np.asarray(metrics.recall(truth, predicted, num_classes=3))
    accuracy = float(metrics.accuracy(truth, predicted))
    return figure, [
        claim("what is drawn has the truth by rows and the prediction by columns",
              drawn.tolist() == by_hand and (axes.get_ylabel(), axes.get_xlabel())
              == ("true class", "predicted class"), drawn=drawn),
        claim("a part with 40 % of each kind has 20 of each", drawn.sum(1).tolist() == [20, 20, 20],
              by_truth=drawn.sum(1), by_prediction=drawn.sum(0)),
        claim("accuracy hides it: setosa is mistaken less often than that says, another kind more",
              recalls[0] > accuracy + 0.05 and recalls[1:].min() < accuracy - 0.02
              and abs(accuracy - sum(a == b for a, b in pairs) / 60) < 1e-7,
              accuracy=accuracy, recalls=recalls),
    ]  # fmt: skip


FIGURES: dict = {6: figure_6, 7: figure_7, 8: figure_8}
