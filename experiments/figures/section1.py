"""Figures 1 and 2: gradient descent with three step sizes, and two neurons."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures.claims import canvas, claim
from jaxdl import losses, models, optim
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

    def descend(alpha):
        return optim.minimize(
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


PAIRS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
THRESHOLD = 1  # of the unit of McCulloch and Pitts: one excitatory input is enough
PERCEPTRON = {"kernel": np.array([1.0, 1.0]), "bias": np.array(-1.0)}


def figure_2(key):
    """Two neurons and what they say to each pair of inputs: McCulloch and Pitts's, and a perceptron."""
    del key  # nothing is random in it
    unit = np.asarray(
        mcculloch_pitts.unit(PAIRS, excitatory=[1, 0], inhibitory=[0, 1], threshold=THRESHOLD)
    )
    perceptron = np.asarray(models.perceptron.predict(PERCEPTRON, PAIRS))
    figure, (left, right) = canvas(1, 2, size=(5.2, 3.4))
    _neuron(left, [("$x_1$", "excites"), ("$x_2$", "inhibits")], rf"$\geq {THRESHOLD}$",
            "(a) McCulloch and Pitts")  # fmt: skip
    (w1, w2), b = PERCEPTRON["kernel"], PERCEPTRON["bias"]
    weights = [("$x_1$", f"$w_1 = {w1:g}$"), ("$x_2$", f"$w_2 = {w2:g}$"), ("$1$", f"$b = {b:g}$")]
    _neuron(right, weights, r"$> 0$", "(b) perceptron")
    for axes, outputs in ((left, unit.astype(int)), (right, perceptron.astype(int))):
        rows = [f"{a:g}, {c:g} \u2192 {o:d}" for (a, c), o in zip(PAIRS, outputs, strict=True)]
        axes.text(
            9.9, 3, "\n".join(["$x_1, x_2 \u2192 y$", *rows]), ha="left", va="center", fontsize=9
        )

    threshold = -PERCEPTRON["bias"]
    activity = PAIRS @ PERCEPTRON["kernel"]
    rng = np.random.default_rng(0)
    weights, offsets, x = rng.normal(size=(200, 2)), rng.normal(size=200), rng.normal(size=(50, 2))
    fires = np.array(
        [
            models.perceptron.predict({"kernel": w, "bias": b}, x)
            for w, b in zip(weights, offsets, strict=True)
        ]
    )
    by_hand = np.where(x @ weights.T > -offsets, 1, -1).T
    return figure, [
        claim(
            "(a) fires where enough inputs excite it, at its threshold too, and none inhibits it",
            unit.tolist() == [False, False, True, False],
            fires=unit,
        ),
        claim(
            "(b) is +1 where w'x > -b and -1 elsewhere, at the threshold -b too",
            perceptron.tolist() == np.where(activity > threshold, 1, -1).tolist()
            and np.any(activity == threshold) and np.array_equal(fires, by_hand),
            activity=activity, says=perceptron, drawn_at_random=by_hand.size,
        ),
        claim(
            "with weights of 1 both count: thresholds on either side of 2 are OR and AND",
            [_says(-b) for b in (0.5, 1.5)] == [[-1, 1, 1, 1], [-1, -1, -1, 1]]
            and [_counts(t) for t in (1, 2)] == [[0, 1, 1, 1], [0, 0, 0, 1]],
            perceptron=[_says(-b) for b in (0.5, 1.5)], unit=[_counts(t) for t in (1, 2)],
        ),
    ]  # fmt: skip


def _says(bias):
    """The labels of a perceptron with weights of 1 for the four pairs."""
    return np.asarray(
        models.perceptron.predict({"kernel": np.ones(2), "bias": bias}, PAIRS)
    ).tolist()


def _counts(threshold):
    """What a unit that both inputs excite says to the four pairs."""
    unit = mcculloch_pitts.unit(PAIRS, excitatory=[1, 1], inhibitory=[0, 0], threshold=threshold)
    return np.asarray(unit).astype(int).tolist()


def _neuron(axes, inputs, rule, title):
    """Inputs with what is written on their arrows, a sum, a rule, an output."""
    axes.set(xlim=(0, 13.5), ylim=(0, 6.4), aspect="equal", title=title)
    axes.axis("off")
    circle = {"boxstyle": "circle,pad=0.4", "fc": "w", "ec": "C0", "lw": 1.5}
    arrow = {"arrowstyle": "-|>", "color": "0.3", "shrinkA": 13, "shrinkB": 15}
    heights = np.linspace(5.2, 0.8, len(inputs))
    for (text, weight), height in zip(inputs, heights, strict=True):
        axes.annotate("", (5, 3), (0.8, height), arrowprops=arrow)
        axes.text(0.8, height, text, ha="center", va="center", bbox=circle)
        axes.text(2.8, (height + 3) / 2 + 0.15, weight, ha="center", va="center", fontsize=9,
                  bbox={"fc": "w", "ec": "none", "pad": 1})  # fmt: skip
    axes.annotate("", (7.1, 3), (5, 3), arrowprops=arrow)
    axes.annotate("", (9.6, 3), (7.1, 3), arrowprops={**arrow, "shrinkB": 2})
    axes.text(5, 3, r"$\Sigma$", ha="center", va="center", fontsize=13, bbox=circle)
    axes.text(7.1, 3, rule, ha="center", va="center", fontsize=9, bbox=circle)


FIGURES: dict = {1: figure_1, 2: figure_2}
