"""Training on batches that come one by one: data larger than memory."""

from jaxdl.training.stream.fit import fit_stream
from jaxdl.training.stream.run import StreamHistory, StreamResult

__all__ = [
    "StreamHistory",
    "StreamResult",
    "fit_stream",
]
