"""Tables of an export for pyarrow, pandas and polars."""

from __future__ import annotations

import base64
import functools
import json
from typing import TYPE_CHECKING, Any

from . import _process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    import polars as pl
    import pyarrow as pa

# Rows that are in memory at a time, where rows are read one by one.
BATCH_ROWS = 4096


@functools.lru_cache(maxsize=1)
def column_types() -> dict[str, dict[str, str]]:
    """For each table, the types of its columns: ``str``, ``int32``, ``ts``, ``json``, …"""
    tables = json.loads(_process.run(["schema", "--format", "json"]).stdout)
    return {table["table"]: {column["name"]: column["type"] for column in table["columns"]} for table in tables}


def column_names(file_format: str, path: Path) -> list[str]:
    """The columns of a file."""
    if file_format == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            return file.readline().strip().split(",")
    import pyarrow.parquet as pq

    return list(pq.read_schema(path).names)


def arrow(file_format: str, table: str, path: Path, columns: Sequence[str] | None) -> pa.Table:
    if file_format == "csv":
        return arrow_of_csv(table, path, columns)
    import pyarrow.parquet as pq

    # One file, not a data set: the names of directories above it are not columns.
    return pq.ParquetFile(path).read(columns=list(columns) if columns is not None else None)


def arrow_of_csv(table: str, path: Path, columns: Sequence[str] | None) -> pa.Table:
    """A CSV file with the types of its Parquet file."""
    import pyarrow as pa
    from pyarrow import csv

    header = column_names("csv", path)
    parsed = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            # As text first, since lists, bytes and times have forms that the reader does not know.
            column_types=dict.fromkeys(header, pa.string()),
            include_columns=list(columns) if columns is not None else None,
            # Null is an empty field, and an empty text is `""`.
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    types = column_types()[table]
    typed = {name: from_text(parsed[name], types[name]) for name in parsed.column_names}
    return pa.table(typed)


def from_text(column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """A column of texts as another type."""
    import pyarrow as pa

    def parsed(parse: Any, data_type: pa.DataType) -> pa.ChunkedArray:
        values = [None if text is None else parse(text) for text in column.to_pylist()]
        return pa.chunked_array([pa.array(values, data_type)])

    if kind == "list<str>":
        return parsed(json.loads, pa.list_(pa.string()))
    if kind == "bytes":
        return parsed(base64.b64decode, pa.binary())
    simple = {
        "int32": pa.int32(),
        "int64": pa.int64(),
        "f64": pa.float64(),
        "bool": pa.bool_(),
        "ts": pa.timestamp("us", "UTC"),
    }
    return column.cast(simple[kind]) if kind in simple else column


def pandas(table: pa.Table, name: str, decode_json: bool) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    nullable = {
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
        pa.string(): pd.StringDtype("pyarrow"),
    }
    types = column_types()[name]
    frame = table.to_pandas(types_mapper=nullable.get)
    for column in frame.columns:
        kind = types.get(column)
        if kind == "list<str>":
            # Arrays of NumPy cannot be compared or written as JSON.
            frame[column] = pd.Series(table[column].to_pylist(), index=frame.index, dtype=object)
        elif kind == "json" and decode_json:
            values = [None if text is None else json.loads(text) for text in table[column].to_pylist()]
            frame[column] = pd.Series(values, index=frame.index, dtype=object)
    return frame


def polars(path: Path, columns: Sequence[str] | None) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(path, columns=list(columns) if columns is not None else None)


def polars_of(table: pa.Table) -> pl.DataFrame:
    import polars as pl

    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def rows(file_format: str, table: str, path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a table, one by one."""
    if file_format == "csv":
        yield from arrow_of_csv(table, path, columns).to_pylist()
        return
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns)):
            yield from batch.to_pylist()
