"""What a wheel brings, looked at from outside the repository: every module, the types, the data about it."""

import importlib
import importlib.metadata
import pkgutil
import warnings
from pathlib import Path

import experiments
import jaxdl

RIVALS = ("torch", "equinox", "flowjax")  # of the benchmarks: no extra brings them

warnings.simplefilter("error", SyntaxWarning)
assert "site-packages" in jaxdl.__file__, jaxdl.__file__
assert (Path(jaxdl.__file__).parent / "py.typed").exists()

about = importlib.metadata.metadata("jaxdl")
assert about["Version"] == jaxdl.__version__, (about["Version"], jaxdl.__version__)
assert about["License-Expression"] == "Apache-2.0" and about["Requires-Python"] == ">=3.11"
assert any("LICENSE" in str(file) for file in importlib.metadata.files("jaxdl") or ())

names, wanting = [], []
for package in (jaxdl, experiments):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        names.append(module.name)
        try:
            importlib.import_module(module.name)
        except ImportError as error:  # of an extra, which must then be named, or a rival
            if "jaxdl[" not in str(error) and error.name not in RIVALS:
                raise
            wanting.append(module.name)
print(f"{len(names)} modules of the wheel, {len(wanting)} of them want an extra: {wanting}")
