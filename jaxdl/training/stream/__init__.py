"""Training on batches that come one by one: data larger than memory."""

from jaxdl.training.stream.fit import StreamHistory, StreamResult, fit_stream

__all__ = [
    "StreamHistory",
    "StreamResult",
    "fit_stream",
]
