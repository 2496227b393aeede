"""Text: from strings to tokens and back, and to the windows that models learn from."""

from jaxdl.text.targets import teacher_forcing

__all__ = ["teacher_forcing"]
