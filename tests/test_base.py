"""What an import costs and brings along; the lift of stateless networks."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import jaxdl
from jaxdl import base

HEAVY = ("sklearn", "matplotlib", "orbax", "flax", "torch", "tyro", "tqdm", "chex", "scipy.stats")


def loaded_by(*statements):
    """For each statement what it and those before it load, beyond what jax and optax do."""
    code = ["import sys, jax, optax", "before = set(sys.modules)"]
    for statement in statements:
        code += [statement, "print(*set(sys.modules) - before)"]
    out = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=True
    )
    return [set(line.split()) for line in out.stdout.splitlines()]


@pytest.mark.smoke
def test_imports_are_light():
    """What takes long to import is loaded where it is used."""
    everything = "; ".join(f"jaxdl.{name}" for name in jaxdl.__all__)
    first, then = loaded_by("import jaxdl", everything)
    assert "jaxdl" in first and len(first) < 10
    assert {f"jaxdl.{name}" for name in jaxdl._SUBMODULES} <= then
    assert not then & set(HEAVY)


def test_every_module_can_be_reached_and_has_a_docstring():
    for module in pkgutil.walk_packages(jaxdl.__path__, "jaxdl."):
        assert importlib.import_module(module.name).__doc__, module.name
    for name in jaxdl._SUBMODULES:
        assert getattr(jaxdl, name).__name__ == f"jaxdl.{name}"
    assert set(dir(jaxdl)) == set(jaxdl.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        jaxdl.nothing


def test_every_public_name_is_reached_from_a_listed_submodule():
    """A module that is not listed gives all it has to one that is."""
    offered = {
        id(value) for name in jaxdl._SUBMODULES for value in vars(getattr(jaxdl, name)).values()
    }
    for module in pkgutil.iter_modules(jaxdl.__path__, "jaxdl."):
        if module.name.removeprefix("jaxdl.") in jaxdl._SUBMODULES:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            own = getattr(value, "__module__", None) == module.name and not name.startswith("_")
            assert not own or id(value) in offered, f"{module.name}.{name}"


def test_contracts_have_these_fields_and_no_others_are_there():
    fields = {
        "Model": ("init", "apply", "sees_mask"),
        "Family": ("log_prob", "mean", "sample", "entropy", "scores", "responses"),
        "Responses": ("kind", "low", "high"),
        "Transform": ("fit", "apply", "sees_targets"),
        "Objective": ("loss", "predict", "evaluate", "responses", "weighs"),
        "TrainState": ("step", "params", "state", "opt_state", "key"),
        "Learner": ("init", "step", "predict", "evaluate", "responses", "weighs"),
        "Cell": ("init", "carry", "step", "unroll"),
        "Decoder": ("start", "step"),
        "Bijector": ("init", "forward", "inverse"),
        "Sequences": ("values", "lengths"),
    }
    contracts = {
        n: v for n, v in vars(base).items() if hasattr(v, "_fields") and inspect.isclass(v)
    }
    assert {name: contract._fields for name, contract in contracts.items()} == fields
    assert base.Family(None, None, None).scores(0, 0) == {}


def test_no_module_imports_one_above_it():
    """Arrows point down (README, Architecture)."""
    floors = [
        {"protocols"}, {"base"}, {"cache", "checks", "files"}, {"arrays", "parallel", "programs", "special"},
        {"data", "divergences", "families", "features", "layers", "text"},
        {"flows", "losses", "metrics", "optim", "serving"},
        {"autodiff", "models"}, {"generation"}, {"training"}, {"inference", "model_selection"}, {"interop", "plotting"},
    ]  # fmt: skip
    assert set().union(*floors) == set(jaxdl._SUBMODULES)
    assert imported_by("jaxdl.losses") >= {"base", "families", "jax"}
    for module in pkgutil.walk_packages(jaxdl.__path__, "jaxdl."):
        name = module.name.split(".")[1]
        floor = next(i for i, names in enumerate(floors) if name in names)
        above = set().union(*floors[floor + 1 :])
        assert not imported_by(module.name) & above, module.name


def imported_by(module):
    """The submodules of jaxdl that a module's statements import, inside functions too."""
    found = set()
    with open(importlib.import_module(module).__file__) as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "jaxdl":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module.removeprefix("jaxdl.").split(".")[0]}
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("jaxdl.").split(".")[0] for alias in node.names}
    return found


def test_a_stateless_model_carries_nothing_and_passes_everything_on():
    seen = {}

    def apply(params, x, *, key, train):
        seen.update(key=key, train=train)
        return params * x

    model = base.stateless(lambda key: jnp.array(3.0), apply)
    params, state = model.init(jax.random.key(0))
    assert state == {}
    eta, after = model.apply(params, state, jnp.array(2.0), key="k", train=True)
    assert eta == 6 and after == {} and seen == {"key": "k", "train": True}
    x = jnp.ones((2, 3))
    assert base.identity_transform().apply(base.identity_transform().fit(x), x) is x


@pytest.mark.parametrize("name", ["Model", "Family", "Transform", "Objective", "Learner", "Cell", "Decoder", "Bijector"])  # fmt: skip
def test_each_callable_of_a_contract_has_its_protocol(name):
    """What it takes and gives is written beside the contract, down to the names."""
    contract = getattr(base, name)
    values = (bool, base.Responses | None)
    documented = {f: k for f, k in contract.__annotations__.items() if k not in values}
    for field, kind in documented.items():
        protocol = next(k for k in getattr(kind, "__args__", (kind,)) if k is not type(None))
        call = protocol.__dict__["__call__"]
        assert protocol.__doc__ and call.__doc__, f"{name}.{field}"
        assert list(inspect.signature(call).parameters)[1:], f"{name}.{field}"


def test_a_model_of_two_fields_is_whole():
    model = base.Model(lambda key: ({}, {}), lambda params, state, x, **how: (x, state))
    assert model.sees_mask is False


def test_the_mask_of_sequences_by_hand():
    x = base.Sequences(
        jnp.array([[1.0, jnp.nan], [2.0, 3.0], [jnp.nan, 4.0]]), jnp.array([1, 2, 0])
    )
    assert x.mask.tolist() == [[True, False], [True, True], [False, False]]
    assert x.filled().tolist() == [[1, 0], [2, 3], [0, 0]]
    assert x.filled(-1.0).tolist() == [[1, -1], [2, 3], [-1, -1]]
    wide = base.Sequences(jnp.ones((1, 2, 3)), jnp.array([1]))
    assert wide.filled().tolist() == [[[1, 1, 1], [0, 0, 0]]]


def test_only_a_plain_tuple_is_parts():
    x, y = jnp.ones(2), jnp.zeros(2)
    sequences = base.Sequences(jnp.ones((2, 1)), jnp.ones(2, int))
    assert base.features((x, y)) is x and base.features((sequences, y)) is sequences
    for one_part in (x, sequences, {"a": x}, base.TrainState(0, x, y, x, y)):
        assert base.features(one_part) is one_part
        assert base.with_features(one_part, x) is x
    assert base.with_features((x, y, x), y) == (y, y, x)


def test_no_step_shares_the_draws_of_an_evaluation(key):
    words = lambda k: tuple(jax.random.key_data(k).tolist())
    evaluation = words(base.evaluation_key(key))
    steps = {words(jax.random.fold_in(key, step)) for step in (0, 1, 2, 2**31 - 1)}
    assert evaluation not in steps | {words(key)} and len(steps) == 4
