"""Figures 1 and 2: gradient descent with three step sizes, and a unit that computes."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures.claims import canvas, claim
from jaxdl import losses, optim
from jaxdl.data import synthetic
from jaxdl.models import mcculloch_pitts

STEP_SIZES = (0.02, 0.05, 1.5)
STEPS = 10


def figure_1(key):
    """Ten steps on the loss of logistic regression: too short, right and too long ones."""
    sample = synthetic.logistic(key)
    loss = lambda w: jnp.mean(losses.binary_cross_entropy_with_logits(w * sample.x, sample.y))
    start = jnp.array(-1.0)
    best = optim.newton(loss, start, tolerance=1e-10).params
    descend = lambda alpha: optim.minimize(
        loss, start, step_size=alpha, max_steps=STEPS, tolerance=0.0, record=True
    )
    paths = jax.vmap(descend)(jnp.array(STEP_SIZES))
    w, values = np.asarray(paths.iterates), np.asarray(paths.loss_history)
    distance = np.abs(w - best)

    figure, axes = canvas(1, 3, size=(3.4, 3.0))
    for panel, path, value, alpha, letter in zip(axes, w, values, STEP_SIZES, "abc", strict=True):
        line = np.linspace(min(-1.2, path.min() - 0.2), max(1.0, path.max() + 0.2), 300)
        panel.plot(line, jax.vmap(loss)(line), color="C0")
        panel.plot(path, value, ":o", color="C3", ms=4, lw=1)
        panel.axvline(best, color="0.6", lw=0.8)
        panel.set(title=f"({letter}) step size {alpha:g}", xlabel="w")
    axes[0].set_ylabel("loss")
    return figure, [
        claim(
            "(a) goes down at every step and has not arrived after ten",
            np.all(np.diff(values[0]) < 0) and distance[0, -1] > 0.1,
            distance=distance[0],
        ),
        claim(
            "(b) goes down at every step and has arrived",
            np.all(np.diff(values[1]) < 0) and distance[1, -1] < 0.02,
            distance=distance[1],
        ),
        claim(
            "(c) jumps over the minimum to the right and has not arrived",
            w[2].max() > best + 1 and distance[2, -1] > 0.5,
            distance=distance[2],
        ),
    ]


def figure_2(key):
    """A schematic of a unit: inputs, weights, a sum, a threshold. Nothing is random in it."""
    del key
    figure, (axes,) = canvas(size=(6.0, 3.2))
    axes.set(xlim=(0, 10), ylim=(0, 6), aspect="equal")
    axes.axis("off")
    circle = {"boxstyle": "circle,pad=0.5", "fc": "w", "ec": "C0", "lw": 1.5}
    arrow = {"arrowstyle": "-|>", "color": "0.3", "shrinkA": 16, "shrinkB": 20}
    inputs = (("$1$", 5, "$b$"), ("$x_1$", 3, "$w_1$"), ("$x_2$", 1, "$w_2$"))
    for text, height, weight in inputs:
        axes.annotate("", (5, 3), (1, height), arrowprops=arrow)
        axes.text(1, height, text, ha="center", va="center", bbox=circle)
        axes.text(2.8, (height + 3) / 2 + 0.3, weight, ha="center", va="center",
                  bbox={"fc": "w", "ec": "none", "pad": 1})  # fmt: skip
    axes.annotate("", (7.2, 3), (5, 3), arrowprops={**arrow, "shrinkB": 16})
    axes.annotate("", (9.4, 3), (7.2, 3), arrowprops={**arrow, "shrinkB": 8})
    axes.text(5, 3, r"$\Sigma$", ha="center", va="center", fontsize=14, bbox=circle)
    axes.text(7.2, 3, r"$\psi$", ha="center", va="center", fontsize=14, bbox=circle)
    axes.text(9.6, 3, r"$\hat y$", ha="center", va="center", fontsize=12)
    axes.text(7.2, 1.6, "fires at its\nthreshold", ha="center", va="center", fontsize=9)

    pairs = jnp.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    fires = lambda threshold: np.asarray(
        mcculloch_pitts.unit(
            pairs, excitatory=jnp.ones(2), inhibitory=jnp.zeros(2), threshold=threshold
        )
    ).astype(int)
    conjunction, disjunction = fires(2), fires(1)
    return figure, [
        claim(
            "with weights 1 a unit of threshold 2 is AND, of threshold 1 it is OR",
            conjunction.tolist() == [0, 0, 0, 1] and disjunction.tolist() == [0, 1, 1, 1],
            conjunction=conjunction,
            disjunction=disjunction,
        )
    ]


FIGURES: dict = {1: figure_1, 2: figure_2}
