"""flax's nnx modules as Models."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdl.base import Model
from jaxdl.interop.flax.linen import traced_dropout
from jaxdl.interop.flax.rows import arrays, beside, filled, same_structure


class _Rows(nnx.Variable):
    """Which rows count, as a batch normalisation is told during one call."""


# Parameters, streams of draws, what is told, the state, and arrays that are no variables.
KINDS = (nnx.Param, nnx.RngState, _Rows, nnx.Variable, ...)


def from_nnx(
    make: Callable[[nnx.Rngs], nnx.Module],
    example: Any,
    *,
    call: Callable | None = None,
    sees_mask: bool = False,
) -> Model:
    """The Model of the nnx module that ``make`` makes: ``eta = module(x)``.

    Args:
      make: ``(rngs) -> module``, a new one at each call; traced settings that it is closed over
        are the module's, a ``Dropout``'s rate included.
      example: a batch's x with any number of rows, arrays or their shapes: the module is called
        with it in the abstract, so that one that does not work says so here.
      call: ``(module, x, *, train) -> eta``, where it is more than ``module(x)``. The module has
        been told by its own ``train()`` and ``eval()`` before.
      sees_mask: whether ``call`` takes ``mask=`` too, [N] bools or None, True for the rows that
        count. Each ``BatchNorm`` is told of them in any case.

    Params are the module's ``nnx.Param``, as nested dicts by the names of its attributes, with
    ``"0", "1", ...`` in lists; the state is its other variables, such as ``mean`` and ``var`` of
    ``BatchNorm``, which training changes and evaluation only reads. Streams of random numbers start
    anew at each call, by the key: stream i in the order of their names by ``fold_in(key, i)``.

    Raises a ValueError for params that are not the module's, where it draws while training without
    a key, and where a call changes the shapes of its state.

    >>> net = from_nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs), jnp.ones((1, 3)))
    >>> params, state = net.init(jax.random.key(0))
    >>> sorted(params), net.apply(params, state, jnp.ones((5, 3)))[0].shape
    (['bias', 'kernel'], (5, 2))
    """

    def draw(key):
        module = make(nnx.Rngs(key))
        for _, part in nnx.iter_graph(module):
            # The module is nobody else's: only how it is called differs from what was made.
            if type(part) in ADAPTED:
                object.__setattr__(part, "__class__", ADAPTED[type(part)])
        graphdef, params, streams, _, state, constants = nnx.split(module, *KINDS)
        return module, (graphdef, constants), (params, streams, state)

    # Arrays that are no variables may be traced settings, or what `make` has made: they are made
    # here, and not inside of a trace that ends before `apply`.
    module, (graphdef, constants), made = draw(jax.random.key(0))
    form = jax.eval_shape(lambda made: made, made)
    sees_mask_itself = any(isinstance(part, _BatchNorm) for _, part in nnx.iter_graph(module))
    del module, made
    how = call if call is not None else lambda module, x, train: module(x)

    def init(key):
        params, _, state = draw(key)[2]
        return _named(params), _named(state)

    def apply(params, state, x, *, key=None, train=False, mask=None):
        streams = _streams(form[1], jax.random.key(0) if key is None else key)
        module = nnx.merge(
            graphdef, _like(form[0], params), streams, _like(form[2], state), constants
        )
        module.train() if train else module.eval()
        for _, part in nnx.iter_graph(module):
            if isinstance(part, _BatchNorm) and mask is not None:
                part.rows = _Rows(jnp.asarray(mask))
            elif isinstance(part, nnx.RngStream) and train and key is None:
                object.__setattr__(part, "__class__", _Keyless)
        rows = {"mask": mask} if sees_mask else {}
        eta = how(module, filled(x, mask), train=train, **rows)
        if not train:
            return eta, state
        new = nnx.split(module, *KINDS)[4]
        return eta, same_structure(_named(new), state)

    model = Model(init, apply, sees_mask or sees_mask_itself)
    jax.eval_shape(lambda: model.apply(*init(jax.random.key(0)), arrays(example))[0])
    return model


def _names(tree):
    """The path of each leaf in a state of nnx, as texts: no dict of ours has whole numbers."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    keys = [[entry for entry in path if hasattr(entry, "key")] for path, _ in paths]
    return [tuple(str(entry.key) for entry in path) for path in keys]


def _named(tree):
    """A state of nnx as nested dicts of arrays."""
    nested = {}
    for names, leaf in zip(_names(tree), jax.tree.leaves(tree), strict=True):
        inner = nested
        for name in names[:-1]:
            inner = inner.setdefault(name, {})
        inner[names[-1]] = leaf
    return nested


def _like(form, nested):
    """The state of nnx in this form whose arrays are those of nested dicts."""
    if (found := jax.tree.structure(nested)) != (wanted := jax.tree.structure(_named(form))):
        raise ValueError(f"the params and state of this module are {wanted}, not {found}")
    leaves = []
    for names in _names(form):
        inner = nested
        for name in names:
            inner = inner[name]
        leaves.append(inner)
    return jax.tree.unflatten(jax.tree.structure(form), leaves)


def _streams(form, key):
    """Streams that start anew: each has a key of its own, and has drawn nothing."""
    leaves, structure = jax.tree.flatten(form)
    fresh = [
        jnp.broadcast_to(jax.random.fold_in(key, i // 2), leaf.shape)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else jnp.zeros(leaf.shape, leaf.dtype)
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, fresh)


class _Keyless(nnx.RngStream):
    """A stream that has no key to draw from."""

    def __call__(self):
        raise ValueError("the module draws while training, which needs a key")


class _BatchNorm(nnx.BatchNorm):
    """Batch normalisation that has been told which rows count."""

    rows: Any = None

    def __call__(self, x, use_running_average=None, *, mask=None):
        if mask is None and self.rows is not None:
            mask = beside(self.rows[...], x)
        return super().__call__(x, use_running_average, mask=mask)


class _Dropout(nnx.Dropout):
    """Dropout by a rate that may be traced, which flax's own compares with 0 and 1 in Python."""

    def __call__(self, inputs, *, deterministic=None, rngs: Any = None):
        if isinstance(self.rate, (int, float)):
            return super().__call__(inputs, deterministic=deterministic, rngs=rngs)
        if self.deterministic if deterministic is None else deterministic:
            return inputs
        rngs = self.rngs if rngs is None else rngs
        rngs = rngs[self.rng_collection] if isinstance(rngs, nnx.Rngs) else rngs
        key = rngs if isinstance(rngs, jax.Array) else rngs()
        return traced_dropout(inputs, self.rate, key, self.broadcast_dims)


ADAPTED = {nnx.BatchNorm: _BatchNorm, nnx.Dropout: _Dropout}
