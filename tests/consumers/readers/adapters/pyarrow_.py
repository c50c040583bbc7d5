"""pyarrow."""
import pyarrow.csv
import pyarrow.parquet

from adapters.arrow import table_columns
from cells import parsed


def names():
    return {"pa": pyarrow, "pq": pyarrow.parquet, "pc": pyarrow.csv}


def columns(table, kinds, call):
    for name, values in table_columns(table):
        yield name, [parsed(kinds[name], value) for value in values] if call["format"] == "csv" else values
