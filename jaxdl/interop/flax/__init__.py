"""flax's modules as Models, and parameters of Models as those of flax's modules."""

from jaxdl.interop.flax.linen import from_linen
from jaxdl.interop.flax.nnx import from_nnx
from jaxdl.interop.flax.variables import from_variables, to_variables

__all__ = ["from_linen", "from_nnx", "from_variables", "to_variables"]
