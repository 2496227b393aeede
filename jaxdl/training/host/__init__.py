"""What the host does around a compiled run: the driver, its checkpoints, logs, bar and signals."""

from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.runlog import RunLog, TensorBoardLog, read_log

__all__ = [
    "Checkpoint",
    "RunLog",
    "TensorBoardLog",
    "read_log",
]
