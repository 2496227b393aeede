"""What an import costs and brings along; the lift of stateless networks."""

import importlib
import pkgutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import jaxdl
from jaxdl import base

HEAVY = ("sklearn", "matplotlib", "orbax", "flax", "torch", "tyro", "tqdm", "chex", "scipy.stats")


def loaded_after(statement):
    code = (
        "import sys, jax, optax\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(*set(sys.modules) - before)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


@pytest.mark.smoke
def test_imports_are_light():
    """What takes long to import is loaded where it is used."""
    assert len(loaded_after("import jaxdl")) < 10
    everything = "; ".join(f"jaxdl.{name}" for name in jaxdl.__all__)
    new = loaded_after(f"import jaxdl; {everything}")
    assert {f"jaxdl.{name}" for name in jaxdl._SUBMODULES} <= new
    assert not new & set(HEAVY)


def test_every_module_can_be_reached_and_has_a_docstring():
    for module in pkgutil.walk_packages(jaxdl.__path__, "jaxdl."):
        assert importlib.import_module(module.name).__doc__, module.name
    for name in jaxdl._SUBMODULES:
        assert getattr(jaxdl, name).__name__ == f"jaxdl.{name}"
    assert set(dir(jaxdl)) == set(jaxdl.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        jaxdl.nothing


def test_no_module_imports_one_above_it():
    """Arrows point down (README, Architecture)."""
    order = ("base", "links", "families", "layers", "optim", "models", "training",
             "model_selection", "plotting")  # fmt: skip
    for level, name in enumerate(order):
        module = importlib.import_module(f"jaxdl.{name}")
        parts = [module] + [
            importlib.import_module(m.name)
            for m in pkgutil.walk_packages(getattr(module, "__path__", []), f"jaxdl.{name}.")
        ]
        for part in parts:
            with open(part.__file__) as file:
                text = file.read()
            for above in order[level + 1 :]:
                found = f"from jaxdl.{above}" in text or f"from jaxdl import {above}" in text
                assert not found or ">>> from" in text, f"{part.__name__} imports {above}"


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
