"""Plans on paper: counted by hand, against real models' shapes, and against what XLA counts."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import plans
from jaxdl import families, models, parallel, training

SEVEN = models.TransformerConfig(
    32_000, features=4096, num_heads=32, num_layers=32, norm_position="pre", positions="rotary",
    tied=False, remat=True,
)  # fmt: skip


def sizes(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@pytest.mark.smoke
def test_parameters_are_those_of_the_models():
    net = models.mlp(plans.Members(1).widths)
    assert plans.num_parameters((64, 100, 10)) == 7510
    assert sizes(jax.eval_shape(net.init, jax.random.key(0))[0]) == 7510
    params = jax.eval_shape(models.language_model(SEVEN).init, jax.random.key(0))[0]
    assert plans.transformer_parameters(plans.Transformer()) == sizes(params) == 6_705_782_784


def test_state_is_what_the_sharding_rules_leave_on_a_device():
    """But for norms and biases, which are on all."""
    params = jax.eval_shape(models.language_model(SEVEN).init, jax.random.key(0))[0]
    parts = {"parameters": 128, "tensor": 4}
    held = 0.0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        spec = parallel.transformer_spec("/".join(str(entry.key) for entry in path))
        held += 18 * leaf.size / math.prod(parts[axis] for axis in spec if axis)
    plan = plans.plan_transformer(plans.Transformer(), plans.H100_BFLOAT16, **parts)
    assert plan.devices == 512 and plan.state == pytest.approx(18 * sizes(params) / 512)
    assert plan.state < held < 1.1 * plan.state


def test_state_of_a_member_is_what_a_learner_carries():
    net = models.mlp((64, 100, 10))
    objective = training.negative_log_likelihood(net, families.categorical(10))
    learner = training.gradient_learner(net, objective, optax.adam(0.1))
    state = jax.eval_shape(learner.init, jax.random.key(0))
    carried = 4 * sizes((state.params, state.opt_state))
    plan = plans.plan_members(plans.Members(1000), plans.CORE, 10, cached=True)
    assert plan.state / 100 == pytest.approx(carried + 4 * 60, abs=4)  # Adam's count


def flops(fn, *args):
    cost = jax.jit(fn).lower(*args).compile().cost_analysis()
    return (cost[0] if isinstance(cost, list) else cost)["flops"]


def test_operations_are_those_that_xla_counts():
    """Of a transformer's gradient, layers computed anew; full attention is twice the causal one."""
    work = plans.Transformer(
        layers=2, features=64, hidden=256, tokens=64, length=16, batch=4, seen=64
    )
    config = models.TransformerConfig(64, features=64, num_heads=2, hidden=256, num_layers=2,
                                      norm_position="pre", positions="rotary", tied=False, remat=True,
                                      implementation="plain")  # fmt: skip
    net = models.language_model(config)
    params, _ = net.init(jax.random.key(0))
    tokens = jnp.zeros((4, 16), jnp.int32)
    loss = lambda p: jnp.sum(jax.nn.log_softmax(net.apply(p, {}, tokens)[0])[..., 0])
    device = plans.H100_BFLOAT16
    counted = flops(jax.grad(loss), params)
    planned = plans.plan_transformer(work, device).compute * device.flops
    assert 0.85 < planned / counted < 1.15


def test_a_population_by_hand():
    """1e6 members of 7510 parameters, 12 steps of 128 rows in each of 40 epochs, on one GPU."""
    plan = plans.plan_members(plans.Members(10**6), plans.H100_FLOAT32, 1, cached=False)
    assert plan.state == pytest.approx(90.36e9, rel=1e-4)
    assert plan.compute == pytest.approx(38.68, rel=1e-3)  # 6 * 7510 * 1438 * 40 * 1e6 / 67e12
    assert plan.traffic == pytest.approx(43.04, rel=1e-3)  # 480 * 40 * 7510 * 1e6 / 3.35e12
    assert plan.sent == 240e6 and plan.seconds == plan.traffic
    many = plans.plan_members(plans.Members(10**6), plans.H100_FLOAT32, 64, cached=False)
    np.testing.assert_allclose(64 * np.array(many)[[1, 3, 4, 5]], np.array(plan)[[1, 3, 4, 5]])


def test_a_training_by_hand():
    """64 GPUs: 8 sequences each; 64 000 steps of 2.1e6 tokens."""
    work = plans.Transformer()
    plan = plans.plan_transformer(work, plans.H100_BFLOAT16, parameters=64)
    steps = 134e9 / (512 * 4096)
    weights = 2 * 6.7058e9
    assert plan.messages == pytest.approx(steps * 3 * weights * 63 / 64 / 50e9, rel=1e-3)
    a_step = 8 * (6.7058e9 - 0.1311e9) * 2.097e6 + 8 * 32 * 4096 * 4096 * 2.097e6
    assert plan.compute == pytest.approx(steps * a_step / 64 / 989e12, rel=1e-3)
    assert plan.state + plan.working < plans.H100_BFLOAT16.memory
    alone = plans.plan_transformer(work, plans.H100_BFLOAT16)
    assert alone.sent == 0 and alone.state == pytest.approx(120.7e9, rel=1e-3)
    wide = plans.plan_transformer(work, plans.H100_BFLOAT16, data=2, parameters=32)
    more = 2 * weights / 32 / 2 - 3 * weights * (1 / 32 - 1 / 64)
    assert wide.sent - plan.sent == pytest.approx(steps * more, rel=1e-2)
    split = plans.plan_transformer(work, plans.H100_BFLOAT16, tensor=8)
    sums = 6 * 32 * 2 * (7 / 8) * 2 * 512 * 4096 * 4096
    assert split.messages == pytest.approx(steps * sums / 450e9, rel=1e-6)


def test_the_readme_has_the_plans(capsys):
    readme = (Path(plans.__file__).parents[1] / "README.md").read_text()
    assert plans.main(plans.Config()) in readme
    assert capsys.readouterr().out == plans.table()
