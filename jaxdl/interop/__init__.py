"""Where people work already: scikit-learn, PyTorch's weights, safetensors files.

Each submodule needs its library; ``sklearn``, ``pytorch`` and ``safetensors`` are named, not loaded,
here.
"""

__all__: list[str] = []
