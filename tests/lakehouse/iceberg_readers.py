"""Reads snapshots of Iceberg tables with pyiceberg, polars, DuckDB and chdb, and compares their rows with a file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import chdb
import duckdb
import duckdb_extension_avro
import duckdb_extension_iceberg
import pyarrow
import pyarrow.parquet
from pyiceberg.table import Table

# Otherwise, polars warns that it has no planner of a separate package.
os.environ["POLARS_ICEBERG_PLANNER"] = "pyiceberg"
import polars

EXAMPLES = 3


def duckdb_connection() -> duckdb.DuckDBPyConnection:
    """A connection with the extensions of the Python packages, since others are downloaded."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    for package in (duckdb_extension_avro, duckdb_extension_iceberg):
        (extension,) = Path(package.__file__).parent.glob("extensions/*/*.duckdb_extension")
        connection.execute(f"LOAD '{extension}'")
    return connection


DUCKDB = duckdb_connection()


def read_pyiceberg(table: Table, snapshot: int) -> pyarrow.Table:
    return table.scan(snapshot_id=snapshot).to_arrow()


def read_polars(table: Table, snapshot: int) -> pyarrow.Table:
    return polars.scan_iceberg(table, snapshot_id=snapshot, reader_override="native").collect().to_arrow()


def read_duckdb(table: Table, snapshot: int) -> pyarrow.Table:
    query = f"FROM iceberg_scan('{table.metadata_location}', snapshot_from_id = {snapshot})"
    return DUCKDB.execute(query).to_arrow_table()


def read_chdb(table: Table, snapshot: int) -> pyarrow.Table:
    directory, metadata = (location.removeprefix("file://") for location in (table.location(), table.metadata_location))
    name = Path(metadata).relative_to(directory)
    source = f"icebergLocal('{directory}', SETTINGS iceberg_metadata_file_path = '{name}')"
    return chdb.query(f"SELECT * FROM {source} SETTINGS iceberg_snapshot_id = {snapshot}", "ArrowTable")  # noqa: S608


READERS: dict[str, Callable[[Table, int], pyarrow.Table]] = {
    f"pyiceberg {version('pyiceberg')}": read_pyiceberg,
    f"polars {version('polars')}": read_polars,
    f"DuckDB {version('duckdb')}": read_duckdb,
    f"chdb {version('chdb')}": read_chdb,
}


def values(column: pyarrow.ChunkedArray) -> list[object]:
    """The values of a column, in types that are the same for all readers."""
    kind = column.type
    if pyarrow.types.is_timestamp(kind):
        column = column.cast(pyarrow.timestamp("us", kind.tz)).cast("int64")
    elif pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_string_view(kind):
        column = column.cast("binary")
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        # ClickHouse has no null lists.
        return [tuple(value or ()) for value in column.to_pylist()]
    return column.to_pylist()


def rows(table: pyarrow.Table, columns: list[str]) -> Counter[str]:
    if table.num_rows == 0:
        return Counter()
    return Counter(map(repr, zip(*(values(table[column]) for column in columns))))


def differences(table: Table, snapshot: int, file: Path) -> list[str]:
    """How the rows of a snapshot differ from those of a file, for each reader. Columns that the file lacks must be null."""
    expected = pyarrow.parquet.read_table(file)
    expected_rows = rows(expected, expected.column_names)
    found = []
    for name, read in READERS.items():
        result = read(table, snapshot)
        if lacking := set(expected.column_names) - set(result.column_names):
            found.append(f"{name}: no columns {sorted(lacking)}")
            continue
        result_rows = rows(result, expected.column_names)
        if result_rows != expected_rows:
            more, fewer = list(result_rows - expected_rows), list(expected_rows - result_rows)
            found.append(f"{name}: {result.num_rows} rows; not in the file: {more[:EXAMPLES]}; missing: {fewer[:EXAMPLES]}")
        others = [column for column in result.column_names if column not in expected.column_names]
        found += [f"{name}: values in {column}" for column in others if result[column].null_count != result.num_rows]
    return [f"{'.'.join(table.name())}, snapshot {snapshot}: {difference}" for difference in found]
