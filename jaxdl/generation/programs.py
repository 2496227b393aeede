"""Compiled generation: one program for each decoder, setting and shape."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl import parallel


def call(fn: Callable, static: tuple, *args):
    """``fn(static, *args)``, compiled once for each ``static`` and for the shapes of ``args``."""
    traced = isinstance(jnp.zeros(()), jax.core.Tracer)
    return _program(fn, traced, jax.default_backend())(static, *args)


@functools.cache
def _program(fn, traced, platform):
    options = None if traced else parallel.compiler_options(platform)
    return jax.jit(fn, static_argnums=0, compiler_options=options)
