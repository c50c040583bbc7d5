"""Iceberg by pyiceberg, with a catalog in memory."""
import tempfile

import pyarrow.parquet
from pyiceberg.catalog.sql import SqlCatalog

from adapters.arrow import table_columns


def names():
    warehouse = tempfile.TemporaryDirectory()
    catalog = SqlCatalog("readers", uri="sqlite:///:memory:", warehouse=f"file://{warehouse.name}")
    return {"catalog": catalog, "pq": pyarrow.parquet, "kept": warehouse}


def columns(table, kinds, call):
    return table_columns(table)
