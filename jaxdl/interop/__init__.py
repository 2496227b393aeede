"""Where people work already: scikit-learn's estimators and searches over jaxdl's studies.

Each submodule needs its library; ``jaxdl.interop.sklearn`` is named, not loaded, here.
"""

__all__: list[str] = []
