"""Response distributions p(y; eta) of generalised linear models and networks. Notes: §1.3, §1.4.

Each builder closes over its settings (floats may be traced) and returns a `Family`. Elementwise
families want ``eta.shape == y.shape`` and raise ValueError otherwise; `independent` sums a family
over the outputs of a multi-output network. Scales are standard deviations (or their like), never
variances. Results have the dtype of eta.
"""

from jaxdl.families import links, reparam
from jaxdl.families.compound import independent, marginalize
from jaxdl.families.continuous import heteroskedastic_normal, laplace, log_normal, normal, student_t
from jaxdl.families.discrete import bernoulli, categorical, poisson
from jaxdl.families.mixture import mixture

__all__ = [
    "bernoulli",
    "categorical",
    "heteroskedastic_normal",
    "independent",
    "laplace",
    "links",
    "log_normal",
    "marginalize",
    "mixture",
    "normal",
    "poisson",
    "reparam",
    "student_t",
]
