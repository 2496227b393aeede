"""Momentum, Adam, AdamW, RMSProp: trajectories of optax and PyTorch, hand-worked numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim
from jaxdl.optim import adaptive

STEPS = 50
START = {"w": np.array([[1.5, -0.7], [0.2, 2.0]]), "b": np.array([0.3, -1.1])}


def loss(params):
    """Not convex, with curvatures from 0.1 to 10."""
    w, b = params["w"], params["b"]
    return jnp.sum(jnp.array([[10.0, 1.0], [0.1, 3.0]]) * w**2) / 2 + jnp.sum(
        jnp.cos(b) + 0.1 * b**4
    )


def trajectory(optimizer):
    @jax.jit
    def run(params):
        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params), state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        return jax.lax.scan(step, (params, optimizer.init(params)), None, length=STEPS)[1]

    return run(jax.tree.map(jnp.asarray, START))


def torch_trajectory(torch, make):
    params = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in START.items()}
    optimizer = make(list(params.values()))
    scale = torch.tensor([[10.0, 1.0], [0.1, 3.0]], dtype=torch.float64)
    kept = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        w, b = params["w"], params["b"]
        ((scale * w**2).sum() / 2 + (torch.cos(b) + 0.1 * b**4).sum()).backward()
        optimizer.step()
        kept.append({k: v.detach().numpy().copy() for k, v in params.items()})
    return {k: np.stack([p[k] for p in kept]) for k in START}


def assert_same(ours, theirs, rtol=1e-12):
    for name in START:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=rtol, atol=1e-13)


PEERS = {
    "sgd": (lambda: optim.gradient_descent(0.05), lambda: optax.sgd(0.05)),
    "momentum": (lambda: optim.momentum(0.02, 0.9), lambda: optax.sgd(0.02, 0.9)),
    "nesterov": (
        lambda: optim.momentum(0.02, 0.9, nesterov=True),
        lambda: optax.sgd(0.02, 0.9, nesterov=True),
    ),
    "adam": (lambda: optim.adam(0.1), lambda: optax.adam(0.1)),
    "notes' adam": (
        lambda: optim.adam(0.1, eps=0.0, eps_root=1e-3),
        lambda: optax.adam(0.1, eps=0.0, eps_root=1e-3),
    ),
    "adamw": (
        lambda: optim.adamw(0.1, 0.8, 0.95, weight_decay=0.1),
        lambda: optax.adamw(0.1, 0.8, 0.95, weight_decay=0.1),
    ),
    "masked adamw": (
        lambda: optim.adamw(0.1, weight_decay=0.1, mask={"w": True, "b": False}),
        lambda: optax.adamw(0.1, weight_decay=0.1, mask={"w": True, "b": False}),
    ),
    "rmsprop": (
        lambda: optim.rmsprop(0.02, eps=0.0, eps_root=1e-8),
        lambda: optax.rmsprop(0.02),
    ),
    "schedule": (
        lambda: optim.adam(optim.schedules.cosine(0.1, 40)),
        lambda: optax.adam(optax.cosine_decay_schedule(0.1, 40)),
    ),
    "clipped": (
        lambda: optax.chain(optim.clip_by_global_norm(1.0), optim.momentum(0.1)),
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9)),
    ),
    "clipped entries": (
        lambda: optax.chain(optim.clip_by_value(0.5), optim.gradient_descent(0.1)),
        lambda: optax.chain(optax.clip(0.5), optax.sgd(0.1)),
    ),
}


@pytest.mark.equation("L895", "L897", "L901", "L903", "L905", "L907")
@pytest.mark.parametrize("name", PEERS)
def test_fifty_steps_equal_optax(name, x64):
    ours, theirs = PEERS[name]
    assert_same(trajectory(ours()), trajectory(theirs()))


@pytest.mark.equation("L895", "L897", "L901", "L903", "L905", "L907")
@pytest.mark.parametrize(
    "name", ["sgd", "momentum", "nesterov", "dampened", "adam", "adamw", "rmsprop"]
)
def test_fifty_steps_equal_pytorch(name, x64):
    torch = pytest.importorskip("torch")
    ours, theirs = {
        "sgd": (optim.gradient_descent(0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
        "momentum": (
            optim.momentum(0.02, 0.9),
            lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
        ),
        "nesterov": (
            optim.momentum(0.02, 0.9, nesterov=True),
            lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
        ),
        "dampened": (None, lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, dampening=0.3)),
        "adam": (optim.adam(0.1), lambda p: torch.optim.Adam(p, lr=0.1)),
        "adamw": (
            optim.adamw(0.1, weight_decay=0.1),
            lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1),
        ),
        "rmsprop": (
            optim.rmsprop(0.02, 0.99),
            lambda p: torch.optim.RMSprop(p, lr=0.02, alpha=0.99),
        ),
    }[name]
    if name == "dampened":
        # PyTorch starts with V_1 = g_1; that is our recursion from V_0 = g_1 dampening / decay.
        inner = optim.momentum(0.02, 0.9, dampening=0.3)
        gradient = jax.grad(loss)(jax.tree.map(jnp.asarray, START))
        first = jax.tree.map(lambda g: g * 0.3 / 0.9, gradient)
        ours = optax.GradientTransformation(
            lambda p: (optim.MomentumState(first), *inner.init(p)[1:]), inner.update
        )
    assert_same(trajectory(ours), torch_trajectory(torch, theirs), rtol=1e-11)


def steps_under(optimizer, gradient, count):
    params = jnp.zeros_like(gradient)
    state = optimizer.init(params)
    taken = []
    for _ in range(count):
        updates, state = optimizer.update(gradient, state, params)
        taken.append(updates)
    return jnp.stack(taken)


@pytest.mark.equation("L895")
def test_momentum_grows_to_the_steady_state(x64):
    """D-59: without dampening ten times the gradient at beta 0.9, with it the gradient itself."""
    g = jnp.array([2.0])
    np.testing.assert_allclose(steps_under(optim.momentum(1.0, 0.9), g, 400)[-1], -20.0, rtol=1e-12)
    averaged = optim.momentum(1.0, 0.9, dampening=0.9)
    np.testing.assert_allclose(steps_under(averaged, g, 400)[-1], -2.0, rtol=1e-12)
    first = steps_under(optim.momentum(0.5, 0.9), g, 2)
    np.testing.assert_allclose(first[:, 0], [-1.0, -1.9], rtol=1e-12)


@pytest.mark.equation("L907")
def test_where_epsilon_stands_decides_for_small_gradients(x64):
    """D-57: five steps under gradients of 1e-5 with alpha 1e-3 and eps 1e-8."""
    g = jnp.array([1e-5])
    travelled = lambda optimizer: -float(steps_under(optimizer, g, 5).sum())
    outside, inside = optim.adam(1e-3), optim.adam(1e-3, eps=0.0, eps_root=1e-8)
    np.testing.assert_allclose(travelled(outside), 5 * 1e-3 * 1e-5 / (1e-5 + 1e-8), rtol=1e-10)
    np.testing.assert_allclose(
        travelled(inside), 5 * 1e-3 * 1e-5 / np.sqrt(1e-10 + 1e-8), rtol=1e-10
    )
    assert travelled(outside) > 9 * travelled(inside)
    one = jnp.array([1.0])
    np.testing.assert_allclose(steps_under(outside, one, 5), steps_under(inside, one, 5), rtol=1e-7)


@pytest.mark.equation("L905")
def test_adam_counts_from_one(x64):
    """D-58: with t from 0 the first correction divides by zero."""
    g = jnp.array([3.0, -0.02, 1e-4])
    first = steps_under(optim.adam(0.1, eps=0.0), g, 1)[0]
    np.testing.assert_allclose(first, -0.1 * jnp.sign(g), rtol=1e-12)
    moment = (1 - 0.9) * g
    with np.errstate(divide="ignore"):
        assert np.isinf(np.asarray(moment) / (1 - 0.9**0)).all()


def rising(step):
    return 0.1 * (step + 1)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (optim.gradient_descent(rising), [2, 2]),
        (optim.momentum(rising, 0.5), [2, 3]),
        (optim.momentum(rising, 0.5, dampening=0.25), [1.5, 2.25]),
        (optim.momentum(rising, 0.5, nesterov=True), [3, 3.5]),
        (optim.momentum(rising, 0.5, dampening=0.25, nesterov=True), [2.25, 2.625]),
        (optim.adam(rising, eps=0.0), [1, 1]),
        (optim.rmsprop(rising, 0.75, eps=0.0), [2, 2 / np.sqrt(1.75)]),
    ],
)
def test_schedules_and_dampening_by_hand(optimizer, expected):
    """Under a gradient of 2; the first step has alpha_0, the second alpha_1."""
    taken = steps_under(optimizer, jnp.array([2.0]), 2)[:, 0]
    np.testing.assert_allclose(taken, -np.array([0.1, 0.2]) * expected, rtol=1e-6)


@pytest.mark.equation("L895", "L905")
@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (optim.trace(0.5), [2, 3]),
        (optim.trace(0.5, dampening=0.25), [1.5, 2.25]),
        (optim.trace(0.5, nesterov=True), [3, 3.5]),
        (optim.scale_by_adam(0.5, 0.5, eps=2.0), [0.5, 0.5]),
        (optim.scale_by_rms(0.75, eps=0.0), [2, 2 / np.sqrt(1.75)]),
        (optim.scale_by_learning_rate(rising), [-0.2, -0.4]),
    ],
)
def test_each_part_alone_by_hand(part, expected):
    """Under a gradient of 2; directions go uphill, the learning rate turns them round."""
    np.testing.assert_allclose(steps_under(part, jnp.array([2.0]), 2)[:, 0], expected, rtol=1e-6)


def test_parts_of_sixteen_bits_are_rounded_at_the_end():
    """V_2 = 1 + 2^-9 is no number of bfloat16, but 512 (V_2 - 1) = 1 is."""
    one = jnp.ones(1, jnp.bfloat16)
    part = optim.trace(2.0**-9)
    assert steps_under(part, one, 2)[:, 0].tolist() == [1, 1 + 2.0**-9]
    whole = optim.chain(part, optax.add_decayed_weights(-1.0), optax.scale(512.0))
    state = whole.init(one)
    _, state = whole.update(one, state, one)
    update, _ = whole.update(one, state, one)
    assert update.dtype == jnp.bfloat16 and update == 1


SIXTEEN = {
    "momentum": optim.momentum(0.1),
    "nesterov": optim.momentum(0.1, nesterov=True),
    "adam": optim.adam(0.1),
    "adamw": optim.adamw(0.1),
    "rmsprop": optim.rmsprop(0.1),
}


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("name", SIXTEEN)
def test_sixteen_bits_take_the_steps_of_float32(name, dtype):
    """Squares of 300 overflow and those of 1e-3 vanish in float16."""
    gradient = jnp.array([0.0, -1e-3, 1e-4, 300.0], dtype)
    short = steps_under(SIXTEEN[name], gradient, 12)
    long = steps_under(SIXTEEN[name], gradient.astype(jnp.float32), 12)
    assert short.dtype == dtype
    np.testing.assert_allclose(short.astype(jnp.float32), long, rtol=4e-3)


def test_the_share_seen_has_a_slope_everywhere():
    """``d/dr (1 - (1 - r)^t) = t (1 - r)^(t - 1)``, without a memory, r = 1, too."""
    slope = jax.vmap(jax.grad(adaptive.share_seen), (0, None))
    np.testing.assert_allclose(
        slope(jnp.array([1.0, 0.5, 0.1]), jnp.asarray(3)), [0, 0.75, 2.43], rtol=1e-5
    )


@pytest.mark.parametrize("decay", [0.9999, 0.99999, 0.99999999])
def test_memories_without_an_end_start_right_in_float32(decay):
    """1 - b^t keeps its digits: Adam's steps and averages of what does not change."""
    steps = steps_under(optim.adam(0.1, 0.9, decay), jnp.array([2.0, -1e-3]), 5)
    np.testing.assert_allclose(steps, -0.1 * np.sign([[2.0, -1e-3]] * 5), rtol=2e-5)
    for b2 in (1e-4, decay):  # the memory of V too
        steps = steps_under(optim.adam(0.1, decay, b2), jnp.array([2.0]), 2)
        np.testing.assert_allclose(steps, -0.1, rtol=2e-6)
    average = optim.average_init(jnp.zeros(1), decay)
    assert np.isnan(optim.average_params(average)).all()
    for w, mean in ((1.0, 1.0), (1.0, 1.0), (4.0, 2.0)):
        average = optim.average_update(average, jnp.full(1, w))
        np.testing.assert_allclose(optim.average_params(average), mean, rtol=2e-4)


def test_decays_of_zero_remember_nothing():
    def after(b):
        return steps_under(optim.adam(0.1, b, b), jnp.array([2.0, -3.0]), 2)[1, 0]

    np.testing.assert_allclose(jax.value_and_grad(after)(0.0), [-0.1, 0.0], rtol=1e-6)


def test_gradients_whose_squares_overflow():
    g = jnp.array([3e20, 0.0, -4e20])
    clipped, _ = optim.clip_by_global_norm(2.0).update(g, optax.EmptyState())
    np.testing.assert_allclose(clipped, [1.2, 0, -1.6], rtol=1e-6)
    half = jnp.array([300.0], jnp.float16)
    assert optim.clip_by_global_norm(1.0).update({"w": half}, optax.EmptyState())[0]["w"] == 1
    adam = optim.adam(0.1)
    _, state = adam.update(g, adam.init(g))
    updates, _ = adam.update(jnp.zeros(3), state)
    assert np.all(np.isfinite(updates)) and np.all(np.sign(updates) == [-1, 0, 1])


def test_zero_gradients_are_no_trouble():
    for optimizer in (optim.adam(0.1), optim.adam(0.1, eps=0.0, eps_root=1e-8), optim.rmsprop(0.1),
                      optim.clip_by_global_norm(1.0)):  # fmt: skip
        assert (steps_under(optimizer, jnp.zeros(3), 3) == 0).all()


def test_a_step_can_be_differentiated():
    def after(rate):
        return steps_under(optim.adam(rate), jnp.array([0.0, 1.0]), 2).sum()

    np.testing.assert_allclose(jax.grad(after)(0.1), -2, rtol=1e-5)  # two steps of the rate

    def through(g):
        return steps_under(optim.adam(0.1), g, 1).sum()

    assert jnp.isfinite(jax.grad(through)(jnp.array([0.0, 1.0]))).all()


def test_decoupled_decay_shrinks_all_weights_alike(x64):
    """With no gradient the weights are multiplied by 1 - alpha lambda, whatever Adam thinks."""
    params = jnp.array([1.0, -100.0])
    optimizer = optim.adamw(0.1, weight_decay=0.5)
    updates, _ = optimizer.update(jnp.zeros(2), optimizer.init(params), params)
    np.testing.assert_allclose(params + updates, 0.95 * params, rtol=1e-12)
    with pytest.raises(ValueError, match="params"):
        optimizer.update(jnp.zeros(2), optimizer.init(params))


def test_averages_of_parameters_equal_the_sum_written_out(x64):
    weights = np.random.default_rng(0).normal(size=(12, 3))
    average = optim.average_init(jnp.zeros(3), 0.8)
    for w in weights:
        average = optim.average_update(average, jnp.asarray(w))
    powers = 0.8 ** np.arange(12)[::-1]
    np.testing.assert_allclose(
        optim.average_params(average), powers @ weights / powers.sum(), rtol=1e-12
    )
    debiased = optax.ema(0.8, debias=True)
    state = debiased.init(jnp.zeros(3))
    for w in weights:
        theirs, state = debiased.update(jnp.asarray(w), state)
    np.testing.assert_allclose(optim.average_params(average), theirs, rtol=1e-12)


def test_an_optimizer_with_an_average_takes_the_same_steps(x64):
    plain = trajectory(optim.adam(0.1))
    averaged = optim.with_average(optim.adam(0.1), 0.9)
    assert_same(trajectory(averaged), plain)
    params = jax.tree.map(jnp.asarray, START)
    state = averaged.init(params)
    average = optim.average_init(params, 0.9)
    for t in range(3):
        _, state = averaged.update(jax.grad(loss)(params), state, params)
        params = jax.tree.map(lambda leaf, t=t: leaf[t], plain)
        average = optim.average_update(average, params)
    assert_same(optim.average_params(state.average), optim.average_params(average))
    with pytest.raises(ValueError, match="averaging needs the params"):
        averaged.update(params, state)


def test_clipping_keeps_what_is_short():
    g = {"a": jnp.array([0.3]), "b": jnp.array([-0.4])}
    short, _ = optim.clip_by_global_norm(1.0).update(g, optax.EmptyState())
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), short, g))
