"""Data: embedded sets, tables from files, synthetic data with known truth, mini-batches."""

from jaxdl.data import synthetic as synthetic
from jaxdl.data.batches import minibatches as minibatches
from jaxdl.data.dataset import Dataset as Dataset
from jaxdl.data.dataset import load as load
from jaxdl.data.readers import TableError as TableError
from jaxdl.data.table import encode_table as encode_table
from jaxdl.data.table import load_table as load_table
