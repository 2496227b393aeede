"""Figures 9 to 13: what the degree of a basis, a penalty and an ensemble do to a fit."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures.claims import canvas, claim, grid, regions
from jaxdl import features, metrics, models
from jaxdl.data import synthetic
from jaxdl.model_selection import ambiguity_decomposition, average
from jaxdl.model_selection.paths import degree_path

DEGREES = (1, 3, 5, 7, 9, 11, 13, 15, 17)
TRUTH = 5  # the degree of the borders
PENALTY = 1e-3
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
NEARLY_NONE = 1e-6  # separable classes have no optimum without any
SIDE = 120


def _classifiers(x, y, degrees, penalties):
    """Softmax regression on bases of some degrees and penalties, one after another in one program.

    Returns a function of the degree's position and points [M, 2] to logits [M, 3], and whether
    the fits converged.
    """
    # Powers of each coordinate apart: the notes leave cross terms open (D-22).
    basis = lambda degree: features.scaled_polynomial(degree, max(degrees), interactions=False)

    def fit(setting):
        degree, penalty = setting
        transform = basis(degree)
        params = transform.fit(x)
        design = transform.apply(params, x)[:, 1:]
        result = models.logistic.fit_softmax(design, y, 3, penalty=penalty, max_steps=200)
        return params, result.params, result.converged

    settings = jnp.array(degrees), jnp.broadcast_to(jnp.asarray(penalties), len(degrees))
    scaling, weights, converged = jax.jit(lambda s: jax.lax.map(fit, s))(settings)
    pick = lambda tree, i: jax.tree.map(lambda leaf: leaf[i], tree)

    def logits(i, points):
        design = basis(degrees[i]).apply(pick(scaling, i), points)[:, 1:]
        return models.linear.predict(pick(weights, i), design)

    return logits, np.asarray(converged)


def _border(classes) -> float:
    """The length of the borders between regions [G, G] of the square, in its sides."""
    across = np.sum(classes[1:] != classes[:-1]) + np.sum(classes[:, 1:] != classes[:, :-1])
    return float(across) / len(classes)


def _panels(sample, degrees, penalty):
    x, y = np.asarray(sample.x), np.asarray(sample.y)
    logits, converged = _classifiers(sample.x, sample.y, degrees, penalty)
    points = grid(1.0, SIDE)
    classes = [
        np.asarray(logits(i, points)).argmax(1).reshape(SIDE, SIDE) for i in range(len(degrees))
    ]
    figure, axes = canvas(-(-len(degrees) // 3), 3, size=(2.4, 2.5))
    for panel in axes[len(degrees) :]:
        panel.axis("off")
    for panel, degree, predicted in zip(axes, degrees, classes, strict=False):
        regions(panel, x, y, predicted, 1.0)
        panel.set_title(f"degree {degree}", fontsize=10)
    return figure, classes, converged


def figure_9(key):
    """Borders of classifiers on bases of rising degree."""
    figure, classes, _ = _panels(synthetic.quintic_bands(key), DEGREES, NEARLY_NONE)
    lengths = np.array([_border(c) for c in classes])
    ranks = np.corrcoef(np.argsort(np.argsort(lengths)), np.arange(len(lengths)))[0, 1]
    return figure, [
        claim("borders grow longer with the degree", ranks > 0.6 and lengths[-1] > 1.3 * lengths[0],
              lengths=lengths, rank_correlation=ranks)
    ]  # fmt: skip


def figure_10(key):
    """Cross-entropy and accuracy by degree, of the training and of the validation part."""
    train_key, valid_key = jax.random.split(key)
    train, valid = (synthetic.quintic_bands(k) for k in (train_key, valid_key))
    logits, converged = _classifiers(train.x, train.y, DEGREES, NEARLY_NONE)
    scores = {"cross-entropy": metrics.log_loss, "accuracy": metrics.accuracy}
    curves = {}
    for name, score in scores.items():
        for part, sample in (("training", train), ("validation", valid)):
            eta = [logits(i, sample.x) for i in range(len(DEGREES))]
            given = [
                jax.nn.softmax(e) if name == "cross-entropy" else jnp.argmax(e, 1) for e in eta
            ]
            curves[name, part] = np.array([score(sample.y, g) for g in given])

    figure, axes = canvas(1, 2)
    for panel, name, letter in zip(axes, scores, "ab", strict=True):
        for part, color in (("training", "k"), ("validation", "C3")):
            panel.plot(DEGREES, curves[name, part], "o-", color=color, label=part)
        panel.set(title=f"({letter})", xlabel="degree", ylabel=name, xticks=DEGREES)
    axes[0].set_yscale("log")
    axes[1].legend(frameon=False)
    ce, accuracy = curves["cross-entropy", "training"], curves["accuracy", "training"]
    held_out, right = curves["cross-entropy", "validation"], curves["accuracy", "validation"]
    best = DEGREES[held_out.argmin()]
    return figure, [
        claim("the training cross-entropy never rises with the degree",
              np.all(np.diff(ce) <= 1e-6), training=ce, converged=converged),
        claim("the validation cross-entropy has its minimum at the truth's degree, 5, or next to it, "
              "and more than doubles from there to the highest",
              abs(best - TRUTH) <= 2 and held_out[-1] > 2 * held_out.min(),
              validation=held_out, best=best),
        claim("the validation accuracy, too, is best not far from there",
              abs(DEGREES[right.argmax()] - TRUTH) <= 4, validation=right,
              best=DEGREES[right.argmax()]),
        claim("the training accuracy, which nothing minimises, rises by a fifth and ends above the "
              "validation part's all the same",
              accuracy[-1] > max(accuracy[0] + 0.2, right[-1] + 0.02), training=accuracy,
              falls=np.sum(np.diff(accuracy) < 0)),
    ]  # fmt: skip


def figure_11(key):
    """The classifiers of figure 9 with an L2 penalty."""
    sample = synthetic.quintic_bands(key)
    figure, with_penalty, converged = _panels(sample, DEGREES, PENALTY)
    _, without, _ = _panels(sample, DEGREES, NEARLY_NONE)
    lengths = np.array([[_border(c) for c in classes] for classes in (without, with_penalty)])
    high = [i for i, degree in enumerate(DEGREES) if degree >= 11]

    # Whether lambda matters less than the degree is measured, not assumed (E-27).
    held_out = synthetic.quintic_bands(jax.random.fold_in(key, 1))
    top = (DEGREES[-1],) * len(PENALTIES)
    losses = {}
    for name, degrees, penalties in (("degree", DEGREES, NEARLY_NONE), ("penalty", top, PENALTIES)):
        logits, _ = _classifiers(sample.x, sample.y, degrees, penalties)
        eta = [logits(i, held_out.x) for i in range(len(degrees))]
        losses[name] = np.array([metrics.log_loss(held_out.y, jax.nn.softmax(e)) for e in eta])
    spread = {name: values.max() / values.min() for name, values in losses.items()}
    return figure, [
        claim("beyond the truth's degree a penalty makes borders shorter",
              np.all(lengths[1, high] < lengths[0, high]) and converged.all(),
              without=lengths[0], with_penalty=lengths[1], penalty=PENALTY),
        claim("held-out cross-entropy depends less on the penalty, over four decades at the "
              "highest degree, than on the degree without a penalty",
              spread["penalty"] < spread["degree"], penalties=PENALTIES,
              by_penalty=losses["penalty"], by_degree=losses["degree"]),
    ]  # fmt: skip


def figure_12(key):
    """Fit and penalty of polynomial least squares, by degree; the truth has degree 3."""
    sample = synthetic.cubic(key)
    degrees = jnp.arange(1, 12, 2)
    path = degree_path(sample.x, sample.y, degrees, max_degree=11)
    fit, size = np.asarray(path.fit), np.asarray(path.size)

    figure, (axes,) = canvas(size=(5.6, 3.6))
    axes.semilogy(degrees, fit, "o-", color="C0", label="data fit: mean squared error")
    axes.set(xlabel="degree", xticks=degrees, ylabel="data fit")
    twin = axes.twinx()
    twin.semilogy(degrees, size, "o:", color="k", label=r"penalty without $\lambda$: $\sum w^2$")
    twin.set_ylabel("penalty")
    lines = [*axes.get_lines(), *twin.get_lines()]
    axes.legend(lines, [line.get_label() for line in lines], frameon=False, loc="upper center",
                bbox_to_anchor=(0.5, 1.22))  # fmt: skip
    drop, jump = fit[:-1] / fit[1:], size[1:] / size[:-1]
    return figure, [
        claim("the fit drops at the truth's degree 3 and gains little after",
              drop.argmax() == 0 and drop[0] > 5 and fit[-1] > fit[1] / 5, fit=fit),
        claim("the penalty jumps at 3", jump[0] > 20, size=size),
        claim("beyond 7 the penalty skyrockets while the fit hardly gains",
              size[-1] > 10 * size[3] and size[-1] / size[3] > 10 * fit[3] / fit[-1],
              growth=size[-1] / size[3], gain=fit[3] / fit[-1]),
    ]  # fmt: skip


def figure_13(key):
    """Polynomial regressors of degree 1 to 9 and their average."""
    sample = synthetic.cubic(key, noise=0.3)
    degrees = jnp.array([1, 3, 5, 7, 9])
    setting = {"max_degree": 9}
    fits = jax.vmap(
        lambda d: models.polynomial.fit_polynomial(sample.x, sample.y, d, **setting)
    )(degrees)  # fmt: skip

    def predict(x):
        return jax.vmap(lambda w, d: models.polynomial.predict_polynomial(w, x, d, **setting))(
            fits, degrees
        )

    line = jnp.linspace(-1, 1, 400)
    members = np.asarray(predict(line))
    mean = np.asarray(average(members))

    figure, (axes,) = canvas(size=(5.6, 3.8))
    axes.plot(sample.x, sample.y, ".", color="0.6")
    for degree, curve in zip(degrees, members, strict=True):
        axes.plot(line, curve, "--", lw=1, label=f"degree {degree}")
    axes.plot(line, mean, "k", lw=2, label="their average")
    axes.set(xlabel="x", ylabel="y")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    step = line[1] - line[0]
    curvature = lambda f: float(np.sum(np.diff(f, 2) ** 2) / step**3)
    fresh = np.asarray(4 * line**3 - 3 * line)  # without noise
    split = ambiguity_decomposition(members, fresh)
    errors = np.array([np.square(curve - fresh).mean() for curve in members])
    of_mean, variance = np.square(members.mean(0) - fresh).mean(), members.var(0).mean()
    return figure, [
        claim("measured one by one, the ensemble's squared error is the members' mean one minus "
              "their variance, as the library splits it",
              np.allclose([*split], [of_mean, errors.mean(), variance], rtol=1e-9)
              and abs(of_mean - (errors.mean() - variance)) < 1e-12, ensemble=of_mean,
              members=errors.mean(), variance=variance),
        claim("the average is not better than its best member, which has the truth's degree",
              errors.argmin() == 1 and errors[1] < of_mean, members=errors, ensemble=of_mean),
        claim("the average is smoother than degree 9",
              curvature(mean) < curvature(members[-1]) / 2,
              average=curvature(mean), degree_9=curvature(members[-1])),
    ]  # fmt: skip


FIGURES: dict = {9: figure_9, 10: figure_10, 11: figure_11, 12: figure_12, 13: figure_13}
