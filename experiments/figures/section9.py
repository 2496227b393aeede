"""Samples of neural generative models, and autoencoders as diagrams. Notes: §9."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures.claims import canvas, claim
from experiments.generative import evaluation
from experiments.generative.base import optimizer
from experiments.generative.data import in_units, load, units
from jaxdl import families, flows, metrics, models, training
from jaxdl.models import vae

STEPS, BATCH, DRAWN = {"vae": 1500, "glow": 400}, 256, 400
SHOWN = 64
FEATURES, HIDDEN, LATENT = 4, 3, 2


def vae_samples(key, data, own):
    """Pictures E[x|z] of latent points that are drawn from the prior; to x, noise would be added."""
    net = vae.VAE(
        models.standard_normal(16), models.mlp((64, 64, 64, 32), activation="silu"),
        models.reshaped(models.mlp((16, 64, 64, 128), activation="silu"), (64, 2)),
        families.heteroskedastic_normal(),
    )  # fmt: skip
    ts = _fitted(key, vae.as_model(net), training.negative_elbo(net), "vae", data, own)
    return own.outside(vae.sample(key, net, ts.params, ts.state, DRAWN, noise=False))


def glow_samples(key, data, own):
    """Draws of x by a flow of two levels."""
    shape = data.shape
    heavy = flows.base_density(families.student_t(4.0), jnp.zeros(shape))
    density = flows.flow(flows.glow(shape, hidden=32), heavy)
    event = lambda x, label=None: x.reshape(-1, *shape)
    some = own.inside(own.noisy(jax.random.fold_in(key, 1), data.train[:1024]))
    model = flows.density_model(density, event(some))
    ts = _fitted(key, model, training.flow_nll(density), "glow", data, own, event)
    x = density.sample(key, ts.params, DRAWN)
    return own.outside(x.reshape(DRAWN, -1))


def _fitted(key, model, objective, name, data, own, event=lambda x, label: x):
    adam = optimizer(0.003, STEPS[name], decay=0.1)
    learner = in_units(training.gradient_learner(model, objective, adam), own, event)
    how = {"steps": STEPS[name], "batch_size": BATCH}
    return training.fit(learner, data.train, key=jax.random.clone(key), **how).state


def samples(key):
    """Digits that nobody wrote: samples of a variational autoencoder and of Glow."""
    figure, panels = canvas(1, 3, size=(3.4, 3.9))
    seed = int(jax.random.randint(key, (), 0, 10_000))
    data = load("digits", seed, 0)
    own, sure, found = units(data), {}, {}
    ways = {"vae": vae_samples, "glow": glow_samples}
    drawn = {
        name: np.clip(way(jax.random.key(seed + i), data, own), 0, 1)
        for i, (name, way) in enumerate(ways.items())
    }
    keys = jax.random.split(jax.random.key(seed + 2), 3)
    judge = evaluation.classifier(keys[0], data, own)
    train, test = own.noisy(keys[1], data.train), own.noisy(keys[2], data.test)
    pixels = np.random.default_rng(seed).permuted(np.asarray(test)[:400], axis=0)
    nearest = lambda x: float(jnp.median(metrics.nearest_neighbours(train, x)[1]))
    everything = {"data": np.asarray(test)[:400], **drawn, "pixels by themselves": pixels}
    for name, x in everything.items():
        p = jax.nn.softmax(judge.logits(jnp.asarray(x)))
        sure[name] = float(jnp.mean(p.max(1) > 0.9))
        found[name] = np.bincount(np.asarray(p.argmax(1)), minlength=10) / len(x)
    for ax, name in zip(panels, ("data", "vae", "glow"), strict=True):
        side = int(SHOWN**0.5)
        tiles = everything[name][:SHOWN].reshape(side, side, 8, 8)
        tiles = np.pad(tiles, ((0, 0), (0, 0), (0, 1), (0, 1))).swapaxes(1, 2)
        ax.imshow(tiles.reshape(side * 9, side * 9), cmap="gray_r", vmin=0, vmax=1)
        title = {"data": "test part", "vae": "a VAE", "glow": "Glow"}[name]
        ax.set(title=title, xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    near, unseen = {name: nearest(jnp.asarray(x)) for name, x in drawn.items()}, nearest(test)
    return figure, [
        claim("a classifier of real digits is sure of most samples, and of fewer images whose pixels "
              "are drawn each by itself",
              min(sure["vae"], sure["glow"]) > max(0.5, sure["pixels by themselves"]),
              share_above_90_percent=[sure[k] for k in everything]),
        claim("every class is among the samples of both",
              min(found["vae"].min(), found["glow"].min()) > 0,
              vae=found["vae"], glow=found["glow"]),
        claim("they are no copies: the nearest training image is at least half as far as an unseen "
              "image's",
              min(near.values()) > 0.5 * unseen, samples=list(near.values()), unseen=unseen),
    ]  # fmt: skip


def diagrams(key):
    """An autoencoder and a variational one, drawn from their own parameters."""
    keys = jax.random.split(key, 5)
    net = models.mlp((FEATURES, HIDDEN), activation="tanh"), models.mlp((HIDDEN, FEATURES))
    plain = models.autoencoder(*net)
    params, state = plain.init(keys[0])
    x = jax.random.normal(keys[1], (5, FEATURES))
    by_hand = _mlp(params["decoder"], _mlp(params["encoder"], x))
    output = plain.apply(params, state, x)[0]

    nets = vae.VAE(
        models.standard_normal(LATENT), models.mlp((FEATURES, HIDDEN, 2 * LATENT), activation="tanh"),
        models.mlp((LATENT, HIDDEN, FEATURES), activation="tanh"), families.normal(),
    )  # fmt: skip
    both, both_state = vae.as_model(nets).init(keys[2])
    epsilon = jax.random.normal(keys[3], (len(x), LATENT))

    def generated(inference, epsilon):
        psi = _mlp(inference, x)
        z = psi[:, :LATENT] + jnp.exp(10 * jnp.tanh(psi[:, LATENT:] / 10)) * epsilon
        return _mlp(both["decoder"], z)

    at_mean = vae.reconstruct(nets, both, both_state, x)
    slopes = jax.grad(lambda inference: jnp.sum(generated(inference, epsilon) ** 2))(
        both["encoder"]
    )
    flows = min(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(slopes))
    moved = float(
        jnp.abs(generated(both["encoder"], epsilon) - generated(both["encoder"], 0)).max()
    )

    figure, (left, right) = canvas(1, 2, size=(6.2, 4.2), width_ratios=(1, 1.35))
    _draw_autoencoder(left, params)
    _draw_vae(right, both)
    return figure, [
        claim("the arrows of the autoencoder, followed by hand, are the model",
              np.abs(by_hand - output).max() < 1e-10, largest_difference=np.abs(by_hand - output).max()),
        claim("there are fewer hidden units than features, and an arrow for each weight",
              left.number_of_arrows == 2 * FEATURES * HIDDEN == sum(
                  part["kernel"].size for net in params.values() for part in net.values()),
              arrows=left.number_of_arrows),
        claim("with the noise at its mean, the two networks and r are the VAE's reconstruction",
              np.abs(generated(both["encoder"], 0) - at_mean).max() < 1e-10,
              largest_difference=np.abs(generated(both["encoder"], 0) - at_mean).max()),
        claim("through r, derivatives reach every parameter of the inference network, and the noise "
              "reaches the output",
              flows > 0 and moved > 1e-3, smallest_largest_derivative=flows, change=moved),
    ]  # fmt: skip


def _mlp(params, x):
    """Dense layers by hand, with tanh between them; a lone layer of an encoder has none."""
    layers = [params[name] for name in sorted(params)]
    for l, layer in enumerate(layers):
        x = x @ layer["kernel"] + layer["bias"]
        x = jnp.tanh(x) if l < len(layers) - 1 else x
    return x


ARROW = {"arrowstyle": "-|>", "color": "0.3", "lw": 1.1, "shrinkA": 0, "shrinkB": 0}


def _draw_autoencoder(ax, params):
    """Nodes in three columns; an arrow for each weight, as wide as the weight is large."""
    kernels = [params[name]["dense_0"]["kernel"] for name in ("encoder", "decoder")]
    widths = [kernels[0].shape[0], *(kernel.shape[1] for kernel in kernels)]
    place = lambda column, i: (column * 2.0, (i - (widths[column] - 1) / 2) * 1.0)
    count = 0
    for column, kernel in enumerate(np.asarray(k) for k in kernels):
        for i, j in np.ndindex(*kernel.shape):
            (x0, y0), (x1, y1) = place(column, i), place(column + 1, j)
            strength = abs(kernel[i, j]) / np.abs(kernel).max()
            style = {
                **ARROW,
                "lw": 0.4 + 1.6 * strength,
                "color": "C0" if kernel[i, j] > 0 else "C3",
            }
            ax.annotate("", (x1 - 0.24, y1), (x0 + 0.24, y0), arrowprops=style)
            count += 1
    names = (("x", "C7"), ("h", "C1"), (r"\hat{x}", "C7"))
    for column, (name, color) in enumerate(names):
        for i in range(widths[column]):
            x, y = place(column, i)
            ax.scatter([x], [y], s=560, color="white", edgecolor=color, lw=1.6, zorder=3)
            ax.text(x, y, f"${name}_{widths[column] - i}$", ha="center", va="center", zorder=4)
    for x, text in ((1.0, r"$\mathbf{W}_1$"), (3.0, r"$\mathbf{W}_2$")):
        ax.text(x, 1.95, text, ha="center", fontsize=12)
    ax.set(xlim=(-0.6, 4.6), ylim=(-2.2, 2.4), title="autoencoder", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.number_of_arrows = count


def _draw_vae(ax, params):
    """Boxes from left to right, with the shapes of their parameters; noise comes from below."""

    def shapes(net):
        return ", ".join(
            str(list(params[net][layer]["kernel"].shape)) for layer in sorted(params[net])
        )

    boxes = (
        (0.0, r"$\mathbf{x}$", "", "#eeeeee", 0.7),
        (1.9, "inference\nnetwork", shapes("encoder"), "#cfe5f3", 1.6),
        (3.8, r"$\mu_\psi, \sigma_\psi$", "", "#eef2c3", 1.0),
        (5.5, r"$\mathbf{r}(\epsilon; \psi)$", "", "#fbe3c0", 1.1),
        (7.0, r"$\mathbf{z}$", "", "#eef2c3", 0.7),
        (8.8, "generative\nnetwork", shapes("decoder"), "#cfead3", 1.6),
        (10.7, r"$\mathrm{E}[\mathbf{x}|\mathbf{z}]$", "", "#eeeeee", 1.0),
    )
    from matplotlib.patches import FancyBboxPatch

    before = None
    for x, title, below, color, width in boxes:
        ax.add_patch(FancyBboxPatch((x - width / 2, -0.45), width, 0.9, fc=color, ec="0.3",
                                    boxstyle="round,pad=0,rounding_size=0.12"))  # fmt: skip
        ax.text(x, 0, title, ha="center", va="center", fontsize=9)
        ax.text(x, -0.62, below, ha="center", va="top", fontsize=8, color="0.3")
        if before is not None:
            ax.annotate("", (x - width / 2, 0), (before, 0), arrowprops=ARROW)
        before = x + width / 2
    ax.add_patch(FancyBboxPatch((4.75, -2.3), 1.5, 0.8, fc="white", ec="0.3", ls="--",
                                boxstyle="round,pad=0,rounding_size=0.12"))  # fmt: skip
    ax.text(
        5.5,
        -1.9,
        r"$\epsilon \sim \mathrm{N}(0, \mathbf{I})$",
        ha="center",
        va="center",
        fontsize=9,
    )
    ax.annotate("", (5.5, -0.45), (5.5, -1.5), arrowprops=ARROW)
    ax.text(3.8, 0.75, "Eq. (50)", ha="center", fontsize=8, color="0.4")
    ax.set(
        xlim=(-0.6, 11.4), ylim=(-3.4, 2.4), title="variational autoencoder", xticks=[], yticks=[]
    )
    ax.spines[:].set_visible(False)


FIGURES: dict = {18: samples, 19: diagrams}
