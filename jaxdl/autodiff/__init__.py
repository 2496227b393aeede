"""Differentiation: layouts of gradients."""

from jaxdl.autodiff.layouts import row_gradient as row_gradient
