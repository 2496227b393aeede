"""What the host does around a compiled run: checks, stretches, bar, signals, checkpoints, logs."""

from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.runlog import RunLog, TensorBoardLog, read_log

__all__ = [
    "Checkpoint",
    "RunLog",
    "TensorBoardLog",
    "read_log",
]
