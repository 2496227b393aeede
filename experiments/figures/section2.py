"""Figures 3 to 5: a polynomial basis, descent on a surface, a linear classifier of three classes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures.claims import canvas, claim, grid, regions
from jaxdl import features, losses, metrics, models, optim
from jaxdl.data import synthetic

MAX_DEGREE = 15
ITERATIONS = 1450


def figure_3(key):
    """Least squares on polynomial bases of degree 1 to 15, where the truth has degree 7."""
    sample = synthetic.seventh_degree(key)
    x = sample.x[:, None]
    degrees = jnp.arange(1, MAX_DEGREE + 1)

    def fit(degree):
        basis = features.orthogonal_polynomial(degree, MAX_DEGREE)
        q = basis.apply(basis.fit(x), x)[:, 1:]  # the offset takes the constant
        return models.linear.predict(models.linear.fit_least_squares(q, sample.y), q)

    fits = np.asarray(jax.jit(jax.vmap(fit))(degrees))
    error = np.asarray(jax.vmap(metrics.root_mean_squared_error, (None, 0))(sample.y, fits))

    figure, (left, right) = canvas(1, 2)
    left.plot(sample.x, sample.y, ".", color="0.6", ms=4, label="data")
    for degree, color in ((1, "C0"), (3, "C2"), (6, "C1"), (7, "C3")):
        left.plot(sample.x, fits[degree - 1], color=color, label=f"degree {degree}")
    left.set(xlabel="x", ylabel="y")
    left.legend(frameon=False, fontsize="small")
    right.semilogy(degrees, error, "o-")
    right.axhline(0.02, color="0.6", lw=0.8, ls="--")
    right.text(1, 0.0205, "noise", fontsize="small", color="0.4", va="bottom")
    right.set(xlabel="degree", ylabel="training RMSE", xticks=degrees[::2])
    drop = error[:-1] / error[1:]
    return figure, [
        claim("the training error never rises with the degree",
              np.all(np.diff(error) <= 1e-10), rmse=error),
        claim("the sharpest drop is from degree 6 to 7, down to the noise",
              drop.argmax() == 5 and drop[5] > 3 and error[6] < 1.2 * 0.02, drop=drop[5],
              rmse_at_7=error[6]),
    ]  # fmt: skip


def figure_4(key):
    """1450 steps of full-batch gradient descent on logistic regression with two parameters."""
    sample = synthetic.logistic(key, weight=jnp.array([1.0, -2.0]), scale=1.0)
    loss = lambda w: jnp.mean(losses.binary_cross_entropy_with_logits(sample.x @ w, sample.y))
    start = jnp.array([-3.0, 2.0])
    path = optim.minimize(
        loss, start, step_size=0.1, max_steps=ITERATIONS, tolerance=0.0, record=True
    )
    best = optim.newton(loss, start, tolerance=1e-10)
    w, value = np.asarray(path.iterates), np.asarray(path.loss_history)

    figure, (axes,) = canvas(size=(6.0, 5.0), subplot_kw={"projection": "3d"})
    a, b = np.meshgrid(np.linspace(-4, 3, 60), np.linspace(-4, 3, 60))
    surface = jax.vmap(jax.vmap(loss))(jnp.stack([a, b], axis=-1))
    axes.plot_surface(a, b, np.asarray(surface), cmap="Blues_r", alpha=0.6, lw=0)
    axes.plot(*w.T, value, color="C3", lw=2.5, zorder=5)
    axes.scatter(*w[-1], value[-1], color="C3", zorder=6)
    axes.set(xlabel="$w_1$", ylabel="$w_2$", zlabel="loss")
    axes.view_init(elev=35, azim=60)
    gap = value[-1] - best.loss_history[-1]
    return figure, [
        claim("the loss falls at every step", np.all(np.diff(value) < 0),
              first=value[0], last=value[-1]),
        claim("the path ends at the minimum that Newton's method finds",
              gap < 1e-4 and best.converged, gap=gap,
              distance=np.linalg.norm(w[-1] - best.params)),
    ]  # fmt: skip


def figure_5(key):
    """The regions of softmax regression with three classes and two features."""
    sample_key, pair_key = jax.random.split(key)
    sample = synthetic.three_classes(sample_key)
    x, y = np.asarray(sample.x), np.asarray(sample.y)
    bases = {
        "linear": lambda x: x,
        "cubic": lambda x: features.polynomial_multivariate(x, 3)[:, 1:],
    }
    fits = {
        name: models.logistic.fit_softmax(f(sample.x), sample.y, 3) for name, f in bases.items()
    }
    predict = {
        name: jax.jit(lambda x, f=f, fit=fits[name]: jnp.argmax(models.linear.predict(fit.params, f(x)), 1))
        for name, f in bases.items()
    }  # fmt: skip

    figure, (axes,) = canvas(size=(4.4, 4.2))
    side, extent = 200, 5.0
    plane = grid(extent, side)
    classes = {name: np.asarray(f(plane)) for name, f in predict.items()}
    regions(axes, x, y, classes["linear"].reshape(side, side), extent)
    axes.set(xlabel="$x_1$", ylabel="$x_2$")

    draw = functools.partial(jax.random.uniform, shape=(20_000, 2), minval=-extent, maxval=extent)
    one, two = (draw(k) for k in jax.random.split(pair_key))
    between = jax.random.uniform(jax.random.fold_in(key, 1), (20_000, 1))

    def convex(f):
        """How many pairs of one class have a point of another between them, and how many there are."""
        together = np.asarray(f(one) == f(two))
        left = np.asarray(f(between * one + (1 - between) * two) != f(one))
        return int(left[together].sum()), int(together.sum())

    left = {name: convex(f) for name, f in predict.items()}
    # The clouds are round and equally large, so the most likely is the nearest centre's.
    angle = np.pi / 2 + 2 * np.pi / 3 * np.arange(3)
    truth = (plane @ np.stack([np.cos(angle), np.sin(angle)])).argmax(1)
    agree = {name: np.mean(found == truth) for name, found in classes.items()}
    return figure, [
        claim("regions are convex: between two points of a class lies that class alone; those of "
              "a basis of degree 3, by the same measure, are not",
              left["linear"][0] == 0 < left["cubic"][0] and left["linear"][1] > 1000, left=left),
        claim("nine tenths of the plane go to the class that is likeliest in truth, more than by "
              "degree 3, which fits the points better",
              agree["linear"] > max(0.9, agree["cubic"])
              and fits["cubic"].loss_history[-1] < fits["linear"].loss_history[-1], agree=agree,
              accuracy={name: float(fit.scores["accuracy"]) for name, fit in fits.items()}),
    ]  # fmt: skip


FIGURES: dict = {3: figure_3, 4: figure_4, 5: figure_5}
