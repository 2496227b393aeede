"""The peers of the benchmark of generative models compute the same as ours on the same parameters,
and it runs at a small size; nothing here looks at a clock."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import generative_work as kinds
from experiments.benchmarks.generative import Config, main
from jaxdl import flows
from jaxdl.models import diffusion

N, DIM = 6, 5
RNG = np.random.default_rng(0)
X = RNG.uniform(0.05, 0.95, (N, DIM)).astype(np.float32)
NOISE = RNG.normal(size=(N, DIM)).astype(np.float32)


def drawn(kind):
    """Parameters of a kind, all of them away from zero: last kernels would start there."""
    shapes = jax.eval_shape(kind.learner(1e-3).init, jax.random.key(0)).params
    return jax.tree.map(lambda a: RNG.normal(0, 0.4, a.shape).astype(np.float32), shapes)


def assert_close(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours), theirs.detach().numpy(), rtol=2e-5, atol=2e-5)


def test_vae_in_pytorch_has_the_same_loss_for_the_same_noise(monkeypatch):
    torch = pytest.importorskip("torch")
    kind = kinds.vae(DIM, (7,), 2)
    params = drawn(kind)
    noise = NOISE[:, :2]
    learner = kind.learner(1e-3)
    ts = learner.init(jax.random.key(0))._replace(params=params)
    # Ours draws by itself: what it draws is replaced while it is traced.
    monkeypatch.setattr(jax.random, "normal", lambda key, shape, dtype=float: noise.reshape(shape))
    _, info = jax.jit(learner.step)(ts, X)
    assert_close(info["loss"], kind.peer(params).loss_of(torch.tensor(X), torch.tensor(noise)))


@pytest.mark.parametrize("make", [kinds.realnvp, kinds.maf])
def test_flow_in_pytorch_has_the_same_density_and_the_same_samples(make):
    torch = pytest.importorskip("torch")
    kind = make(DIM, (7, 6), 2)
    params = drawn(kind)
    layer = (flows.affine_coupling if make is kinds.realnvp else flows.maf)(
        DIM, (7, 6), activation="silu"
    )
    own = kinds.density(layer, DIM, 2)
    forward = flows.stack(layer, DIM, 2).forward
    log_prob, x = jax.jit(
        lambda p, x, z: (own.log_prob(p, x), forward(p["bijector"], z)[0])
    )(params, X, NOISE)  # fmt: skip
    peer = kind.peer(params)
    assert_close(log_prob, peer.log_prob(torch.tensor(X)))
    with torch.inference_mode():
        assert_close(x, peer.forward(torch.tensor(NOISE)))


def test_diffusion_in_pytorch_has_the_same_loss_and_the_same_chain(monkeypatch):
    torch = pytest.importorskip("torch")
    steps = 5
    kind = kinds.diffusion(DIM, (7,), steps, 8)
    params, t = drawn(kind), np.array([1, 2, 3, 4, 5, 5])
    learner = kind.learner(1e-3)
    ts = learner.init(jax.random.key(0))._replace(params=params)
    monkeypatch.setattr(jax.random, "normal", lambda key, shape, dtype=float: jnp.asarray(NOISE))
    monkeypatch.setattr(jax.random, "randint", lambda key, shape, low, high: jnp.asarray(t))
    _, info = jax.jit(learner.step)(ts, X)
    x = jax.jit(lambda p: kind.sample(p, jax.random.key(0), N))(params)
    peer, noise = kind.peer(params), torch.tensor(NOISE)
    assert_close(info["loss"], peer.loss_of(torch.tensor(X), torch.tensor(t), noise))
    with torch.inference_mode():
        assert_close(x, peer.denoised(noise, lambda x: noise))
    np.testing.assert_allclose(
        peer.signal.numpy(),
        diffusion.scales(diffusion.cosine_schedule(steps), jnp.arange(steps + 1)).signal,
        rtol=1e-5, atol=1e-6,
    )  # fmt: skip


def test_batches_are_whole_and_of_rows_that_differ():
    work = kinds.Work(np.zeros((23, 1)), epochs=3, batch_size=5)
    batches = work.batches()
    assert len(batches) == work.steps == 12
    for epoch in range(3):
        rows = np.concatenate(batches[4 * epoch : 4 * epoch + 4])
        assert len(set(rows.tolist())) == 20 and rows.max() < 23


@pytest.mark.slow
def test_a_block_is_written(tmp_path):
    rows = main(Config(only=("vae",), scale=0.001, repeats=1, out=str(tmp_path / "b")))
    assert rows[0].way == "fit, one program" and "steps/s, loss" in rows[0].result
    written = json.loads((tmp_path / "b" / "generative.json").read_text())
    assert len(written["rows"]) == len(rows) and written["config"]["scale"] == 0.001
    assert len({row.block for row in rows}) == 2  # training, samples
    assert (tmp_path / "b" / "generative.md").read_text().count("\n") == len(rows) + 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"only": ("gan",)}, "only takes vae, .*, not 'gan'"),
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
        ({"scale": 0.0}, "scale must be above 0 and at most 100, not 0"),
    ],
)
def test_bad_settings(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(out=str(tmp_path / "b"), **settings))
