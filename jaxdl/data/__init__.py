"""Data: embedded sets, tables and images from files, synthetic data with known truth, mini-batches."""

from jaxdl.data import augmentation, dates, reviews, synthetic, toy_sequences
from jaxdl.data.batches import minibatches
from jaxdl.data.dataset import Dataset, load
from jaxdl.data.idx import download_idx, load_idx, load_idx_images, parse_idx
from jaxdl.data.tables.applying import encode_table
from jaxdl.data.tables.encoders import target_columns
from jaxdl.data.tables.loading import Rows, encode_rows, load_table, read_rows
from jaxdl.data.tables.table import TableError

__all__ = [
    "Dataset",
    "Rows",
    "TableError",
    "augmentation",
    "dates",
    "download_idx",
    "encode_rows",
    "encode_table",
    "load",
    "load_idx",
    "load_idx_images",
    "load_table",
    "minibatches",
    "parse_idx",
    "read_rows",
    "reviews",
    "synthetic",
    "target_columns",
    "toy_sequences",
]
