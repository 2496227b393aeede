"""A diffusion model as a continuous flow: its samples without noise, and its log-density. Notes: §9.3.

The probability-flow equation has at each time the distribution of the diffusion whose score it is
given. In the angle phi, with ``x_phi = cos(phi) x_0 + sin(phi) epsilon``, it is ``dx/dphi = v``, the v
that networks may be trained to say (Salimans and Ho, 2022): no step size of the chain is in it, and
nothing is infinite at either end. DDIM takes steps of the same path, which are of first order: each is
``cos(h) x + sin(h) v`` where Euler's is ``x + h v``.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key
from jaxdl.generation.adaptive_steps import Tolerance
from jaxdl.generation.continuous_flow import continuous_flow_log_prob, integrate
from jaxdl.models import diffusion
from jaxdl.models.diffusion import NoiseSchedule

Denoise = Callable[[Array, Array], Array]


def probability_flow(denoise: Denoise, schedule: NoiseSchedule) -> Callable[[Array, Array], Array]:
    """``v(x, phi) = (cos(phi) x - x0_hat) / sin(phi)``, a velocity in phi, for phi > 0.

    With ``x0_hat = E[x_0 | x]`` it is ``cos(phi) eps_hat - sin(phi) x0_hat``, the same as ``dx = -b/2 (x
    + score) dt`` in the time t of ``models.diffusion.scales``, where the score is ``-eps_hat /
    sin(phi)``. Source: Song et al. (2021), Eq. (13).

    ``denoise`` is ``(x [N, ...], t [N]) -> x0_hat`` as ``generation.denoiser`` makes it of a network
    with any target; here t is real. A network was trained at whole steps only: with few of them
    (T far below a thousand) times between are strange to it.
    """

    def velocity(x, phi):
        t = jnp.broadcast_to(diffusion.time_of_angle(schedule, phi), x.shape[:1])
        return (jnp.cos(phi) * x - denoise(x, t)) / jnp.sin(phi)

    return velocity


def probability_flow_sample(
    key: Key,
    denoise: Denoise,
    schedule: NoiseSchedule,
    shape: tuple[int, ...],
    *,
    last: float | Array = 1.0,
    steps: int = 50,
    tolerance: Tolerance | None = None,
) -> Array:
    """Samples [N, ...] of ``shape``: x ~ N(0, I) at t = T, carried to t = ``last`` by ``probability_flow``.

    They are draws from what ``probability_flow_log_prob`` is the density of: x at the step ``last``,
    whose noise is that of the chain's first step by default, sqrt(beta_1). It may be real, and must be
    above 0; below 1 a network is asked for less noise than it has ever seen.

    Args:
      key: of x_T; it is consumed.
      denoise, schedule: see ``probability_flow``.
      steps, tolerance: of the solver, see ``integrate``; each of its steps is two calls or six.

    >>> schedule = diffusion.linear_schedule(1000)
    >>> x = probability_flow_sample(jax.random.key(0), lambda x, t: jnp.full_like(x, 3.0), schedule, (2, 1))
    >>> abs(x - 3).max() < 0.05
    Array(True, dtype=bool)
    """
    start, end = _angles(schedule, last)
    noise = jax.random.normal(key, shape)
    velocity = probability_flow(denoise, schedule)
    return integrate(velocity, noise, start=start, end=end, steps=steps, tolerance=tolerance)


def probability_flow_log_prob(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x: Array,
    *,
    last: float | Array = 1.0,
    steps: int = 50,
    tolerance: Tolerance | None = None,
    key: Key | None = None,
) -> Array:
    """``log p(x) = log N(x_T; 0, I) + int div v dphi`` [N], from ``last`` on to T, for x [N, D].

    The exact log-density of ``probability_flow_sample``, up to the solver's error; not a bound, as
    ``training.variational_bound`` is of the chain's. The divergence is exact, or with a ``key``
    Hutchinson's estimate, see ``continuous_flow_log_prob``. Source: Song et al. (2021), §4.3.

    >>> schedule = diffusion.linear_schedule(1000)
    >>> normal = lambda x, t: diffusion.scales(schedule, t).signal[:, None] * x  # of N(0, 1)
    >>> round(probability_flow_log_prob(normal, schedule, jnp.zeros((1, 1))).item(), 3)
    -0.919
    """
    start, end = _angles(schedule, last)
    velocity = probability_flow(denoise, schedule)
    return continuous_flow_log_prob(
        velocity, x, start=start, end=end, steps=steps, tolerance=tolerance, key=key
    )


def _angles(schedule, last):
    """Those of noise and of data."""
    total = len(schedule.beta)
    if isinstance(last, (int, float)) and not 0 < last < total:
        raise ValueError(f"the last step lies above 0 and below T = {total}, not {last}")
    last = jnp.asarray(last, jnp.result_type(float))
    return diffusion.angle(schedule, jnp.asarray(total)), diffusion.angle(schedule, last)
