"""Data: embedded sets, tables from files, synthetic data with known truth, mini-batches."""

from jaxdl.data import dates, synthetic, toy_sequences
from jaxdl.data.batches import minibatches
from jaxdl.data.dataset import Dataset, load
from jaxdl.data.readers import TableError
from jaxdl.data.table import encode_table, load_table

__all__ = [
    "Dataset",
    "TableError",
    "dates",
    "encode_table",
    "load",
    "load_table",
    "minibatches",
    "synthetic",
    "toy_sequences",
]
