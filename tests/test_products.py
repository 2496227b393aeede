"""Products as wide networks compile them are right, and so are sums, norms and more of them.

XLA hands products on CPUs to YNNPACK one by one there, see ``jaxdl.programs``. The oracle is NumPy
in float64, the gradients closed forms. What was wrong there was so by far more than rounding.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import programs

# By the letters of their axes: what is multiplied, and to what.
PLAIN, MEMBERS, SHARED = "bd,dk->bk", "mbd,mdk->mbk", "bd,mdk->mbk"
FORMS = [
    PLAIN, MEMBERS, SHARED, "db,dk->bk", "bd,kd->bk", "btd,dhk->bthk", "bthd,bshd->bhts",
    "bhts,bshd->bthd", "abcij,abcjk->abcik", "abcmij,abcmjk->abcmik", "d,dk->k", "bd,d->b",
]  # fmt: skip
SIZES = [(1, 64, 1), (64, 1, 64), (64, 64, 64), (7, 13, 5), (128, 100, 10), (33, 257, 65)]
WIDE = [(128, 1024, 1024), (16, 512, 2048)]


def softmax(h):
    e = np.exp(h - h.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def standardised(h, np=np):
    return (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 0.1)


# What follows a product: as it is compiled, and in NumPy. Sums are of positive numbers.
AFTER = {
    "as it is": (lambda h: h, lambda h: h),
    "norm": (lambda h: jnp.sqrt(jnp.sum(h**2)), lambda h: np.sqrt((h**2).sum())),
    "sum": (jnp.sum, np.sum),
    "sum of rows": (lambda h: jnp.sum(h, 0), lambda h: h.sum(0)),
    "sum of columns": (lambda h: jnp.sum(h, -1), lambda h: h.sum(-1)),
    "largest": (lambda h: jnp.max(h, -1), lambda h: h.max(-1)),
    "softmax": (jax.nn.softmax, softmax),
    "standardised": (lambda h: standardised(h, jnp), standardised),
    "at least 0.9": (lambda h: jnp.maximum(h, 0.9), lambda h: np.maximum(h, 0.9)),
}
# A loss of the product, and its derivative.
LOSSES = {
    "squares": (lambda h: jnp.sum(h**2) / 2, lambda h: h),
    "sine": (lambda h: jnp.sum(jnp.sin(h)), np.cos),
    "log-sum-exp": (lambda h: jnp.sum(jax.nn.logsumexp(h, -1)), softmax),
    "norm": (lambda h: jnp.sqrt(jnp.sum(h**2)), lambda h: h / np.sqrt((h**2).sum())),
}


def factors(form, sizes, ones=False, dtype=jnp.float32):
    """x and w of a form, positive, as arrays of the dtype and in float64; w may be ones."""
    b, d, k = sizes
    small = {"m": 3, "h": 2, "a": 2, "c": 2, "t": 5, "s": 7, "i": b, "j": d}
    lengths = {**small, "b": b if form in (PLAIN, MEMBERS, SHARED) else min(b, 9), "d": d, "k": k}
    draws = np.random.default_rng(0)
    inputs, _ = form.split("->")
    x, w = (
        jnp.asarray(draws.uniform(0.5, 1.5, [lengths[axis] for axis in part]), dtype)
        for part in inputs.split(",")
    )
    w = jnp.ones_like(w) if ones else w
    return (x / jnp.asarray(d, dtype), w), [
        np.asarray(v, np.float64) for v in (x / jnp.asarray(d, dtype), w)
    ]


def agree(fn, args, wanted, rtol=1e-4, **more):
    options = {**(programs.compiler_options("cpu", wide=True) or {}), **more}
    got = jax.jit(fn, compiler_options=options or None)(*args)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(np.asarray(got, np.float64), wanted, rtol=0, atol=rtol * scale)


def check(form, sizes, after, ones=False, dtype=jnp.float32, **more):
    args, exact = factors(form, sizes, ones, dtype)
    compiled, reference = AFTER[after]
    rtol = 1e-4 if dtype == jnp.float32 else 3e-2
    wanted = reference(np.einsum(form, *exact))
    fn = lambda x, w: compiled(jnp.einsum(form, x, w))
    if ones:  # which XLA knows: there YNNPACK's sums are wrong
        shape = args[1].shape
        agree(lambda x: fn(x, jnp.ones(shape, dtype)), args[:1], wanted, rtol, **more)
    else:
        agree(fn, args, wanted, rtol, **more)


def check_gradients(form, sizes, loss, **more):
    args, (x, w) = factors(form, sizes)
    compiled, derivative = LOSSES[loss]
    inputs, out = form.split("->")
    of_x, of_w = inputs.split(",")
    slope = derivative(np.einsum(form, x, w))
    fn = lambda x, w: compiled(jnp.einsum(form, x, w))
    agree(jax.grad(fn, 1), args, np.einsum(f"{of_x},{out}->{of_w}", x, slope), **more)
    agree(jax.grad(fn, 0), args, np.einsum(f"{out},{of_w}->{of_x}", slope, w), **more)


@pytest.mark.parametrize("form", [PLAIN, SHARED])
@pytest.mark.parametrize("after", ["norm", "sum of columns", "softmax"])
def test_what_follows_a_product_is_right(form, after):
    check(form, (64, 64, 64), after, ones=after == "norm")


def test_gradients_of_a_product_are_right():
    check_gradients(MEMBERS, (64, 64, 64), "sine")


@pytest.mark.slow
@pytest.mark.parametrize("emitters", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_products_of_many_shapes_are_right_whatever_follows(form, emitters):
    more = {"xla_cpu_use_fusion_emitters": emitters} if jax.__version_info__ < (0, 11) else {}
    if not more and not emitters:
        pytest.skip("this XLA has one kind of emitters")
    for sizes in [*SIZES, *WIDE] if form == PLAIN else SIZES:
        for after in AFTER:
            for ones in (False, True):
                if not (ones and after == "standardised"):  # rows of equal numbers: 0 by 0
                    check(form, sizes, after, ones, **more)
        check(form, sizes, "as it is", dtype=jnp.bfloat16, **more)
        check(form, sizes, "norm", dtype=jnp.bfloat16, **more)
        for loss in LOSSES:
            check_gradients(form, sizes, loss, **more)
