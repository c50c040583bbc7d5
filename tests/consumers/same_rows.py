"""Compares Parquet files with Arrow files of the same rows: same_rows.py NAME.parquet NAME.arrow ...

pyarrow and DuckDB read each Parquet file, and pyarrow its page indexes by a filter."""

import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

checked = 0
for parquet, arrow in zip(sys.argv[1::2], sys.argv[2::2]):
    expected = pa.ipc.open_file(arrow).read_all()
    read = pq.read_table(parquet)
    assert read.schema.equals(expected.schema), f"{parquet}: {read.schema}"
    for name in expected.column_names:
        assert read[name].equals(expected[name]), f"pyarrow reads {parquet}, column {name}, differently"
    rows = expected.to_pydict()
    duck = duckdb.sql("select * from read_parquet($file)", params={"file": parquet})
    found = dict(zip(duck.columns, zip(*duck.fetchall()) if expected.num_rows else [()] * len(duck.columns)))
    for name, values in rows.items():
        same = len(values) == len(found[name]) and all(
            left == right for left, right in zip(values, found[name])
        )
        assert same, f"DuckDB reads {parquet}, column {name}, differently"
    # Statistics and page indexes decide what is read here.
    for name in ("task_id", "turn_index", "score"):
        known = [value for value in rows[name] if value is not None]
        for value in known[:: max(1, len(known) // 5)]:
            count = sum(1 for known_value in known if known_value == value)
            filtered = pq.read_table(parquet, filters=[(name, "=", value)])
            assert filtered.num_rows == count, f"pyarrow filters {parquet} by {name} = {value!r} wrongly"
            query = f'select count(*) from read_parquet($file) where "{name}" = $value'
            found_rows = duckdb.sql(query, params={"file": parquet, "value": value}).fetchall()[0][0]
            assert found_rows == count, f"DuckDB filters {parquet} by {name} = {value!r} wrongly"
    checked += 1
print(f"same: {checked}")
