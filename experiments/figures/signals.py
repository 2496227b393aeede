"""What goes through a deep network: signals that vanish, skips that carry them, batch statistics."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures.claims import canvas, claim
from jaxdl import autodiff, layers, models, plotting
from jaxdl.autodiff import diagnostics

LAYERS, WIDTH, ROWS = 20, 100, 64
SIZES = (WIDTH,) * (LAYERS + 1)
BATCHES = (8, 16, 32, 64, 128)


def _std_reading(key, shape, dtype=None):
    """The notes' Eq. (29) with 2 / D taken for the standard deviation (D-48)."""
    return jax.random.normal(key, shape, dtype or float) * 2 / shape[0]


NETWORKS = {
    "tanh, Xavier": ("tanh", layers.xavier_uniform()),
    "logistic, Xavier": ("logistic", layers.xavier_uniform()),
    "logistic, Xavier, gain 4": ("logistic", layers.xavier_uniform(4.0)),
    "ReLU, Xavier": ("relu", layers.xavier_uniform()),
    "ReLU, He": ("relu", layers.he_normal()),
    "ReLU, He with 2/D as deviation": ("relu", _std_reading),
}


def vanishing(key):
    """Twenty layers: how much of a gradient comes back, by activation and initialisation."""
    x_key, y_key, key = jax.random.split(key, 3)
    x, delta = jax.random.normal(x_key, (ROWS, WIDTH)), jax.random.normal(y_key, (ROWS, WIDTH))
    rms = lambda values: np.array([float(jnp.sqrt(jnp.mean(v**2))) for v in values])
    forward, backward = {}, {}
    for name, (activation, init) in NETWORKS.items():
        net = models.mlp((*SIZES, WIDTH), activation=activation, kernel_init=init)
        params, _ = net.init(jax.random.clone(key))  # the same draws for each
        cache = autodiff.forward(params, x, activation=activation)
        deltas, _ = autodiff.backprop_deltas(params, cache, delta, activation=activation)
        forward[name], backward[name] = rms(cache.hidden[1:]), rms(deltas[:-1])
    figure, panels = canvas(1, 2, size=(4.4, 3.4))
    for panel, values, title in zip(
        panels, (forward, backward), ("activations", "gradients of pre-activations"), strict=True
    ):
        for name, v in values.items():
            panel.semilogy(range(1, LAYERS + 1), v, ".-", lw=1, label=name)
        panel.set(title=title, xlabel="layer, from the input", xticks=range(0, LAYERS + 1, 5))
    panels[0].set_ylabel("root mean square")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  frameon=False, fontsize=8)  # fmt: skip
    ratio = {name: v[0] / v[-1] for name, v in backward.items()}
    says = {name: diagnostics.verdict(jnp.asarray(v)) for name, v in backward.items()}
    deviation = forward["ReLU, He with 2/D as deviation"][-1]
    return figure, [
        claim("logistic units lose the gradient, and far less of it with a gain of 4",
              ratio["logistic, Xavier"] < 1e-10 and says["logistic, Xavier"].vanishing
              and ratio["logistic, Xavier, gain 4"] > 1e6 * ratio["logistic, Xavier"],
              first_to_last=ratio),
        claim("tanh with Xavier's and ReLU with He's initialisation keep it",
              all(0.01 < ratio[n] < 100 for n in ("tanh, Xavier", "ReLU, He")),
              tanh=ratio["tanh, Xavier"], relu=ratio["ReLU, He"]),
        claim("2/D is a variance: read as a deviation, no signal arrives",
              deviation < 1e-10 and 0.1 < forward["ReLU, He"][-1] < 10,
              deviation=deviation, variance=forward["ReLU, He"][-1]),
    ]  # fmt: skip


def skips(key):
    """Twenty dead layers: what a skip connection lets through."""
    width = 16
    dead = {"kernel": jnp.eye(width), "bias": jnp.full(width, -1e3)}
    u, v, w_key = jax.random.split(key, 3)
    unit = lambda k: (lambda z: z / jnp.linalg.norm(z))(jax.random.normal(k, (width,)))
    skip = {
        "none": None,
        "0.1 I": 0.1 * jnp.eye(width),
        "rank 1": jnp.outer(unit(u), unit(v)),
        "normal, variance 1/D": jax.random.normal(w_key, (width, width)) / jnp.sqrt(width),
        "orthogonal": layers.orthogonal()(jax.random.fold_in(key, 1), (width, width), float),
        "identity": jnp.eye(width),
    }
    spectra: dict = {}
    for name, through in skip.items():
        # The last layer is linear and passes everything on.
        params = {f"dense_{i}": dead for i in range(LAYERS)} | {f"dense_{LAYERS}": {
            "kernel": jnp.eye(width), "bias": jnp.zeros(width)}}  # fmt: skip
        if through is not None:
            params |= {f"skip_{i}": {"kernel": through} for i in range(LAYERS)}
        chain = autodiff.chain_rule_jacobians(params, jnp.ones(width), skip=through is not None)
        spectra[name] = np.asarray(diagnostics.jacobian_spectrum(autodiff.accumulate(chain)))
    figure = plotting.spectrum(spectra)
    top = {name: s[0] for name, s in spectra.items()}
    return figure, [
        claim("without skips nothing comes through", top["none"] == 0, largest=top["none"]),
        claim("identity and orthogonal skips pass every direction unchanged",
              all(np.allclose(spectra[n], 1, atol=1e-10) for n in ("identity", "orthogonal")),
              smallest=[spectra[n][-1] for n in ("identity", "orthogonal")]),
        claim("a skip of other than zero is not enough: 0.1 I and one of rank 1 vanish",
              abs(top["0.1 I"] / 1e-20 - 1) < 1e-9 and top["rank 1"] < 1e-6,
              tenth=top["0.1 I"], rank_one=top["rank 1"]),
    ]  # fmt: skip


def batch_norm(key):
    """Batch normalisation at test time: the last batch's statistics against running ones."""
    features, steps, repeats = 4, 200, 8
    mean, deviation = 3.0, 2.0
    x = mean + deviation * jax.random.normal(jax.random.fold_in(key, 0), (512, features))
    ideal = (x - mean) / deviation

    def errors(key, batch, statistics):
        params, state = layers.batch_norm_init(features)

        def step(state, t):
            draws = jax.random.normal(jax.random.fold_in(key, t), (batch, features))
            rows = mean + deviation * draws
            kept = layers.batch_norm(params, state, rows, train=True, statistics=statistics)[1]
            return kept, None

        state, _ = jax.lax.scan(step, state, jnp.arange(steps))
        y, _ = layers.batch_norm(params, state, x, statistics=statistics)
        return jnp.mean((y - ideal) ** 2)

    run = jax.jit(jax.vmap(errors, in_axes=(0, None, None)), static_argnums=(1, 2))
    rms = {s: [float(jnp.sqrt(run(jax.random.split(jax.random.fold_in(key, b), repeats), b, s).mean()))
               for b in BATCHES] for s in ("last", "running")}  # fmt: skip
    rows = mean + deviation * jax.random.normal(jax.random.fold_in(key, 1), (100_000, features))
    params, _ = layers.batch_norm_init(features)
    y, _ = layers.batch_norm(params, layers.population_statistics(rows), x)
    exact = float(jnp.sqrt(jnp.mean((y - ideal) ** 2)))
    figure, (axes,) = canvas(size=(5.0, 3.4))
    axes.loglog(BATCHES, rms["last"], "o-", label="the last batch's")
    axes.loglog(BATCHES, rms["running"], "s-", label="running average")
    axes.axhline(exact, color="gray", ls="--", lw=1, label="of 100 000 rows")
    axes.set(xlabel="batch size", ylabel="error of a normalised value, RMS")
    axes.set_xticks(BATCHES, BATCHES)
    axes.minorticks_off()
    axes.legend(frameon=False)
    times = np.array(rms["last"]) / rms["running"]
    return figure, [
        claim("the last batch's statistics err at least three times as much, at each batch size",
              np.all(times > 3), batch=BATCHES, last=rms["last"], running=rms["running"]),
        claim("both errors fall with the batch size, and population statistics have hardly any",
              all(v[0] > v[2] > v[-1] for v in rms.values()) and exact < min(rms["running"]),
              population=exact),
    ]  # fmt: skip


FIGURES: dict = {"vanishing": vanishing, "skips": skips, "batch_norm": batch_norm}
