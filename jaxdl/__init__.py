"""jaxdl: deep learning from the ground up as pure JAX functions.

Submodules load when they are first named, so that ``import jaxdl`` costs next to nothing
beyond ``import jax``.
"""

import importlib

__version__ = "0.1.0"

_SUBMODULES = (
    "arrays",
    "autodiff",
    "base",
    "cache",
    "checks",
    "data",
    "divergences",
    "families",
    "features",
    "files",
    "flows",
    "generation",
    "inference",
    "interop",
    "layers",
    "losses",
    "metrics",
    "model_selection",
    "models",
    "optim",
    "parallel",
    "plotting",
    "programs",
    "protocols",
    "serving",
    "special",
    "text",
    "training",
)

# Nothing of it is here until it is named.
__all__ = ["__version__", "clear_programs", *_SUBMODULES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"jaxdl.{name}")
    if name == "clear_programs":
        return importlib.import_module("jaxdl.programs").clear_programs
    raise AttributeError(f"module 'jaxdl' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
