"""Where people work already: scikit-learn, flax, PyTorch's weights, safetensors files.

Each submodule needs its library; ``sklearn``, ``flax``, ``pytorch`` and ``safetensors`` are named,
not loaded, here.
"""

__all__: list[str] = []
