"""Optimizers on a surface: gradient descent, momentum, RMSProp and Adam in a narrow valley."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.figures.claims import canvas, claim
from jaxdl import optim

CURVATURES = np.array([1.0, 30.0])
START = np.array([-4.0, 1.0])
STEPS, RATE = 60, 0.03
OPTIMIZERS = {
    "gradient descent": optim.gradient_descent(RATE),
    "momentum": optim.momentum(RATE, 0.8),
    "RMSProp": optim.rmsprop(0.1, 0.9),
    "Adam": optim.adam(0.3),
}


def surface(z):
    """A quadratic valley, thirty times as steep across as along: z [..., 2] gives [...]."""
    return 0.5 * jnp.sum(CURVATURES * z**2, axis=-1)


def trajectory(optimizer, start=START, steps=STEPS):
    """The iterates [steps + 1, 2] on the surface from a start [2]."""

    def step(carry, _):
        z, state = carry
        updates, state = optimizer.update(jax.grad(surface)(z), state, z)
        z = optax.apply_updates(z, updates)
        return (z, state), z

    start = jnp.asarray(start, float)
    _, path = jax.lax.scan(step, (start, optimizer.init(start)), length=steps)
    return jnp.concatenate([start[None], path])


def optimizers(key):
    """Ways of optimizers down a narrow valley."""
    paths = {name: np.asarray(trajectory(o)) for name, o in OPTIMIZERS.items()}
    losses = {name: np.asarray(surface(path)) for name, path in paths.items()}
    figure, (left, right) = canvas(1, 2, size=(4.8, 3.4))
    x, y = np.meshgrid(np.linspace(-4.5, 2, 120), np.linspace(-1.6, 1.6, 120))
    levels = np.geomspace(0.01, 60, 12)
    left.contour(x, y, surface(np.stack([x, y], -1)), levels, colors="gray", linewidths=0.5)
    for name, path in paths.items():
        left.plot(*path.T, ".-", ms=3, lw=1, label=name)
        right.semilogy(np.maximum(losses[name], 1e-16), lw=1.3, label=name)
    left.plot(0, 0, "k*", ms=9)
    left.set(xlabel="along the valley", ylabel="across", xlim=(-4.5, 2), ylim=(-1.6, 1.6))
    right.set(xlabel="step", ylabel="height above the lowest point")
    right.legend(frameon=False)

    by_hand = START * (1 - RATE * CURVATURES) ** np.arange(STEPS + 1)[:, None]
    edge = 2 / CURVATURES.max()
    heights = {r: float(surface(trajectory(optim.gradient_descent(r * edge))[-1]))
               for r in (0.99, 1.01)}  # fmt: skip
    first = np.abs(paths["Adam"][1] - paths["Adam"][0])
    last = {name: v[-1] for name, v in losses.items()}
    return figure, [
        claim("gradient descent shrinks each direction by 1 - rate * curvature",
              np.allclose(paths["gradient descent"], by_hand, atol=1e-10),
              largest_difference=np.abs(paths["gradient descent"] - by_hand).max()),
        claim("it diverges just above 2 / curvature, and converges just below",
              heights[1.01] > float(surface(START)) > heights[0.99],
              below=heights[0.99], above=heights[1.01]),
        claim("momentum goes lower than gradient descent in as many steps",
              last["momentum"] < 0.1 * last["gradient descent"], height=last),
        claim("Adam's first step is as long in each direction, whatever the curvature",
              np.allclose(first, 0.3, rtol=1e-6), step=first),
    ]  # fmt: skip


FIGURES: dict = {"optimizers": optimizers}
