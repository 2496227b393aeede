"""Figures 14 and 15, and what networks can express: activations, width and depth."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.figures.claims import canvas, claim
from jaxdl import layers, losses, models, optim, programs

ACTIVATIONS = ("logistic", "tanh", "relu", "leaky_relu")
STARTS = 8
WIDTHS = (1, 2, 4, 8, 16)
FOLDINGS = (1, 2, 3, 4, 5)


def figure_14(key):
    """Activation functions and their derivatives."""
    a = jnp.linspace(-4, 4, 1601)
    figure, axes = canvas(1, len(ACTIVATIONS), size=(2.8, 2.8), sharex=True)
    slopes, agree = {}, []
    for panel, name in zip(axes, ACTIVATIONS, strict=True):
        phi, slope = layers.activation(name), layers.derivative(name)
        slopes[name] = np.asarray(slope(a))
        agree.append(np.abs(slopes[name] - jax.vmap(jax.grad(phi))(a)).max())
        panel.plot(a, phi(a), label="value")
        panel.plot(a, slopes[name], "--", label="derivative")
        panel.set(title=name.replace("_", " "), xlabel="a", ylim=(-1.2, 2.2))
    axes[0].legend(frameon=False, loc="upper left")
    top = {name: v.max() for name, v in slopes.items()}
    kinds = lambda name: np.unique(slopes[name]).tolist()
    return figure, [
        claim("the logistic's derivative is at most 1/4 and tanh's at most 1, both at 0",
              abs(top["logistic"] - 0.25) < 1e-12 and abs(top["tanh"] - 1) < 1e-12
              and all(abs(a[slopes[n].argmax()]) < 1e-12 for n in ("logistic", "tanh")),
              logistic=top["logistic"], tanh=top["tanh"]),
        claim("ReLU's derivative is 0 or 1, a leaky ReLU's its slope or 1",
              kinds("relu") == [0, 1] and kinds("leaky_relu") == [0.01, 1],
              relu=kinds("relu"), leaky_relu=kinds("leaky_relu")),
        claim("each is what automatic differentiation gives", max(agree) < 1e-12,
              largest_difference=max(agree)),
    ]  # fmt: skip


def best_of_starts(key, sizes, x, y, activation="tanh", starts=STARTS, steps=1000):
    """Mean squared errors [S] of S fits to x, y [N] by L-BFGS, and the best fit's values [N]."""
    net = models.mlp(sizes, activation=activation)
    predict = lambda params: net.apply(params, {}, x[:, None])[0][:, 0]

    def fit(key):
        place_key, slope_key, key = jax.random.split(key, 3)
        start = optax.tree_utils.tree_random_like(key, net.init(jax.random.clone(key))[0])
        # Units that bend somewhere among the x: with offsets of zero all would at the origin.
        place = jax.random.uniform(place_key, (sizes[1],), minval=x.min(), maxval=x.max())
        kernel = jax.random.normal(slope_key, (1, sizes[1])) * 5 / jnp.std(x)
        start["dense_0"] = {"kernel": kernel, "bias": -kernel[0] * place}
        error = lambda params: losses.mean_squared_error(predict(params), y)
        params = optim.lbfgs(error, start, max_steps=steps, tolerance=1e-9).params
        return error(params), predict(params)

    # Loops whose length depends on the data: one start after the other, in one program.
    run = jax.jit(partial(jax.lax.map, fit), compiler_options=programs.compiler_options())
    errors, values = map(np.asarray, run(jax.random.split(key, starts)))
    return errors, values[np.nanargmin(errors)]


def figure_15(key):
    """Networks of 1, 2 and 3 layers of three tanh units, fitted to a sine."""
    x = jnp.linspace(-3 * jnp.pi, 3 * jnp.pi, 200)
    y = jnp.sin(x)
    figure, axes = canvas(1, 3, size=(3.4, 2.8), sharey=True)
    errors = []
    for depth, panel in enumerate(axes, 1):
        sizes = (1, *[3] * depth, 1)
        fits, values = best_of_starts(
            jax.random.fold_in(key, depth), sizes, x, y, starts=4 * STARTS, steps=10_000
        )
        errors.append(fits)
        panel.plot(x, y, "k", lw=3, alpha=0.25, label="sine")
        panel.plot(x, values, "C0", label="best fit")
        panel.set(title=f"depth {depth}: error {fits.min():.1e}", xlabel="x")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False)  # fmt: skip
    best = np.array([e.min() for e in errors])
    return figure, [
        claim("the error of the best of the starts falls with depth", np.all(np.diff(best) < 0),
              best=best, all_starts=errors),
        claim("one layer of three units cannot follow three periods, more layers can",
              best[0] > 0.05 and max(best[1:]) < 1e-3, best=best),
    ]  # fmt: skip


def width(key):
    """One hidden layer approximates a continuous function the better the wider it is."""
    x = jnp.linspace(-1, 1, 200)
    y = jnp.abs(x) * jnp.cos(9 * x) + jnp.where(x > 0.3, x - 0.3, 0)
    figure, (left, right) = canvas(1, 2, size=(4.6, 3.2))
    left.plot(x, y, "k", lw=4, alpha=0.25, label="function")
    best = []
    for i, hidden in enumerate(WIDTHS):
        errors, values = best_of_starts(jax.random.fold_in(key, i), (1, hidden, 1), x, y)
        best.append(np.sqrt(errors.min()))
        if hidden in WIDTHS[1::2]:
            left.plot(x, values, lw=1.2, label=f"{hidden} units")
    left.set(xlabel="x", xticks=[-1, 0, 1])
    left.legend(frameon=False, fontsize=8)
    right.loglog(WIDTHS, best, "o-")
    right.set(xlabel="tanh units in one hidden layer", ylabel="root mean squared error")
    right.set_xticks(WIDTHS, WIDTHS)
    right.minorticks_off()
    return figure, [
        claim("the error falls with every doubling of the width", np.all(np.diff(best) < 0),
              width=WIDTHS, error=best),
        claim("the widest errs by less than 2 % of the function's deviation",
              best[-1] < 0.02 * float(y.std()), error=best[-1], deviation=float(y.std())),
    ]  # fmt: skip


def sawtooth(foldings: int):
    """A ReLU network and its params, two units in each layer, with 2^(foldings - 1) teeth on [0, 1].

    Each layer is the tent ``t(x) = 2 relu(x) - 4 relu(x - 1/2)``. Source: Telgarsky (2016).
    """
    net = models.mlp((1, *[2] * foldings, 1))
    tent = jnp.array([[2.0], [-4.0]])
    bias = jnp.array([0.0, -0.5])
    params = {"dense_0": {"kernel": jnp.ones((1, 2)), "bias": bias}}
    for layer in range(1, foldings):
        params[f"dense_{layer}"] = {"kernel": tent @ jnp.ones((1, 2)), "bias": bias}
    params[f"dense_{foldings}"] = {"kernel": tent, "bias": jnp.zeros(1)}
    return lambda x: net.apply(params, {}, x[:, None])[0][:, 0]


def depth(key):
    """Depth buys bends: two units a layer fold a line into exponentially many teeth."""
    x = jnp.linspace(0, 1, 2**8 + 1)
    figure, (left, right) = canvas(1, 2, size=(4.6, 3.2))
    pieces, exact, shallow = [], [], []
    for k in FOLDINGS:
        teeth = sawtooth(k)(x)
        slopes = np.sign(np.diff(np.asarray(teeth)))
        pieces.append(1 + int(np.sum(slopes[1:] != slopes[:-1])))
        by_hand = 1 - jnp.abs(2 * ((x * 2 ** (k - 1)) % 1) - 1)
        exact.append(float(jnp.abs(teeth - by_hand).max()))
        # The same number of units in one layer.
        errors, values = best_of_starts(jax.random.fold_in(key, k), (1, 2 * k, 1), x, teeth, "relu")
        shallow.append(np.sqrt(errors.min()))
        if k == 4:
            left.plot(x, teeth, "k", lw=3, alpha=0.25, label=f"{k} layers of 2 units")
            left.plot(x, values, label=f"1 layer of {2 * k}, best fit")
    left.set(xlabel="x", ylim=(-0.1, 1.45))
    left.legend(frameon=False, fontsize=8, loc="upper center")
    units = 2 * np.array(FOLDINGS)
    right.plot(units, pieces, "o-", label="deep, 2 units a layer")
    right.plot(units, units + 1, "s--", label="one layer, at most")
    right.set(xlabel="ReLU units", ylabel="linear pieces")
    right.set_yscale("log", base=2)
    right.set_yticks(pieces, pieces)
    right.legend(frameon=False)
    return figure, [
        claim("k layers of two units have 2^k linear pieces", pieces == [2**k for k in FOLDINGS],
              layers=FOLDINGS, pieces=pieces),
        claim("they are the sawtooth exactly", max(exact) < 1e-12, largest_difference=max(exact)),
        claim("one layer of as many units follows two of them, and three or more no longer",
              max(shallow[:2]) < 1e-4 and min(shallow[2:]) > 0.02, rms_error=shallow),
    ]  # fmt: skip


FIGURES: dict = {14: figure_14, 15: figure_15, "width": width, "depth": depth}
