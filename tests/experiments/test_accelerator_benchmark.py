"""The accelerator's rows run on a CPU too, and their operations are those of the traced programs."""

import json
import math

import jax
import jax.numpy as jnp
import optax
import pytest

from experiments.benchmarks import accelerator
from experiments.benchmarks.accelerator import Config, Measured, main, peak, table
from jaxdl import families, models, training


def products(jaxpr) -> int:
    """Two operations for each multiplication of the matrix products in a program without loops."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            out = math.prod(equation.outvars[0].aval.shape)
            total += 2 * out * math.prod(shape[axis] for axis in contracted)
        for part in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(part):
                total += products(getattr(part, "jaxpr", part))
    return total


def _is_program(part) -> bool:
    return hasattr(part, "eqns") or hasattr(getattr(part, "jaxpr", None), "eqns")


def traced(model, objective, batch) -> int:
    learner = training.gradient_learner(model, objective, optax.sgd(0.1))
    state = jax.eval_shape(learner.init, jax.random.key(0))
    return products(jax.make_jaxpr(learner.step)(state, batch).jaxpr)


def test_operations_of_dense_layers_are_those_of_the_traced_step():
    net = models.mlp((5, 7, 3))
    objective = training.negative_log_likelihood(net, families.categorical(3))
    batch = jnp.zeros((11, 5)), jnp.zeros(11, jnp.int32)
    assert traced(net, objective, batch) == accelerator.dense_operations((5, 7, 3), 11)


def test_operations_of_a_transformer_are_those_of_the_traced_step():
    layers, width, length, tokens, rows = 2, 8, 6, 11, 3
    net = models.language_model(
        models.TransformerConfig(
            tokens, features=width, num_heads=2, num_layers=layers, norm_position="pre",
            tied=False, embedding_scale=False,
        )
    )  # fmt: skip
    objective = training.next_token_nll(net, tokens)
    found = traced(net, objective, jnp.zeros((rows, length + 1), jnp.int32))
    # Plain attention computes the half that is masked as well.
    masked = 3 * 2 * rows * length * layers * width * length
    counted = accelerator.transformer_operations(layers, width, length, tokens, rows)
    assert found == counted + masked


@pytest.mark.smoke
def test_rows_are_written_and_a_cpu_says_so(tmp_path, capsys):
    only = ("product", "copy", "attention")
    rows = main(Config(only=only, repeats=1, out=str(tmp_path / "b")))
    assert [row.numbers for row in rows] == ["float32", "bfloat16", "float32", "float32"]
    assert all(row.seconds > 0 for row in rows)
    single, half = (float(row.said.split()[2]) for row in rows[:2])
    assert single < 1e-5 < half < 0.1  # of bfloat16's eight bits
    assert rows[2].said == "all right: True" and rows[3].said.startswith("finite: True")
    assert float(rows[3].said.split()[-3]) < 1e-5
    out = capsys.readouterr().out
    assert out.startswith("no GPU or TPU here: a tiny size") and "| cpu | numbers |" in out
    written = json.loads((tmp_path / "b" / "accelerator.json").read_text())
    assert len(written["rows"]) == 4 and written["card"] == "cpu" and written["late"] == []


def test_what_time_did_not_allow_is_said(tmp_path, capsys):
    assert main(Config(only=("copy",), seconds=1e-9, out=str(tmp_path / "b"))) == []
    assert "Not run, for 1e-09 s were over: copy." in capsys.readouterr().out


@pytest.mark.slow
def test_every_block_runs_at_its_tiny_size(tmp_path):
    rows = main(Config(only=accelerator.BLOCKS[3:6], repeats=1, out=str(tmp_path / "b")))
    assert [row.numbers for row in rows] == ["float32"] * 3 + ["float32", "bfloat16"] * 2 + [
        "float32"
    ] * 2
    assert all("all rows alike: True" in row.said for row in rows[-2:])


def test_shares_are_of_the_cards_own_numbers():
    rows = [
        Measured("a", "bfloat16", 2.0, 989e12, 0, ""),
        Measured("b", "float32", 1.0, 494e12, 1e30, ""),
        Measured("c", "float32", 10.0, 0, 4.8e12, "as it is"),
        Measured("d", "float32", 10.0, 0, 0, ""),
    ]
    lines = table(rows, "NVIDIA H200").splitlines()[2:]
    shown = [[cell.strip() for cell in line.split("|")[4:6]] for line in lines]
    assert shown == [
        ["494.5 TFLOP/s", "50.0%"],
        ["494 TFLOP/s", "100.0%"],
        ["0.48 TB/s", "10.0%"],
        ["", ""],
    ]
    assert "unknown" in table(rows, "another card") and "%" not in table(rows, "another card")


def test_cards_are_told_apart():
    assert peak("TPU v5 lite") != peak("TPU v5") != peak("TPU v6 lite")
    assert peak("NVIDIA A100-SXM4-80GB")[2] > peak("NVIDIA A100-SXM4-40GB")[2]
    assert peak("NVIDIA L40S") == peak("TPU v4i") == (None, None, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"only": ("cpu",)}, "only takes product, .*, not 'cpu'"),
        ({"seconds": 0.0}, "seconds must be above 0, not 0"),
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
    ],
)
def test_bad_settings(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(out=str(tmp_path / "b"), **settings))
