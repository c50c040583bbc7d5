"""Reads every table of a Parquet and a CSV export with DuckDB, pandas, polars and pyarrow.

Arguments: the Parquet export, the CSV export, both of the same tasks.
"""
import json
import pathlib
import sys

import duckdb
import pandas
import polars
import pyarrow.csv
import pyarrow.parquet

parquet, csv = map(pathlib.Path, sys.argv[1:3])
schemas = {p.stem: json.loads(p.read_text()) for p in
           (pathlib.Path(__file__).parents[2] / "schemas").glob("*.json")}
assert len(schemas) == 18

DUCKDB = {"str": "VARCHAR", "int32": "INTEGER", "int64": "BIGINT", "f64": "DOUBLE", "bool": "BOOLEAN",
          "ts": "TIMESTAMP WITH TIME ZONE", "json": "VARCHAR", "list<str>": "VARCHAR[]", "bytes": "BLOB"}
ARROW = {"str": "string", "int32": "int32", "int64": "int64", "f64": "double", "bool": "bool",
         "ts": "timestamp[us, tz=UTC]", "json": "string", "list<str>": "list<element: string not null>", "bytes": "binary"}
POLARS = {"str": polars.String, "int32": polars.Int32, "int64": polars.Int64, "f64": polars.Float64,
          "bool": polars.Boolean, "ts": polars.Datetime("us", "UTC"), "json": polars.String,
          "list<str>": polars.List(polars.String), "bytes": polars.Binary}


def views(directory):
    """A DuckDB connection with the export's own views."""
    connection = duckdb.connect()
    connection.execute(f"SET file_search_path = '{directory}'")
    connection.execute((directory / "load.sql").read_text())
    return connection


from_parquet, from_csv = views(parquet), views(csv)
for name, schema in sorted(schemas.items()):
    columns = {c["name"]: c["type"] for c in schema["columns"]}
    rows = {}
    for source, connection in (("parquet", from_parquet), ("csv", from_csv)):
        types = {row[0]: row[1] for row in connection.execute(f'DESCRIBE "{name}"').fetchall()}
        assert types == {c: DUCKDB[t] for c, t in columns.items()}, (source, name, types)
        rows[source] = connection.execute(f'SELECT * FROM "{name}"').fetchall()
        comments = connection.execute("SELECT count(*) FROM duckdb_columns() WHERE table_name = ? AND comment IS NOT NULL",
                                      [name]).fetchone()[0]
        assert comments == len(columns), (source, name, comments)
    assert rows["parquet"] == rows["csv"], (name, "DuckDB reads other values from CSV than from Parquet")

    file = parquet / f"{name}.parquet"
    arrow = pyarrow.parquet.read_table(file)
    assert arrow.num_rows == len(rows["parquet"])
    for column, kind in columns.items():
        found = str(arrow.schema.field(column).type)
        assert found == ARROW[kind], (name, column, found)
    metadata = pyarrow.parquet.read_schema(file).metadata
    assert metadata[b"scale_export.schema_version"] == schema["schema_version"].encode()

    frame = pandas.read_parquet(file)
    for column, kind in columns.items():
        if kind == "ts" and len(frame):
            assert str(frame[column].dtype) == "datetime64[us, UTC]", (name, column, frame[column].dtype)
    pandas_frame = pandas.read_parquet(file, dtype_backend="pyarrow")
    polars_frame = polars.read_parquet(file)
    everything_is_text = pyarrow.csv.ConvertOptions(
        column_types={column: "string" for column in columns}, null_values=[""], strings_can_be_null=True,
        quoted_strings_can_be_null=False)
    from_arrow = pyarrow.csv.read_csv(csv / f"{name}.csv", convert_options=everything_is_text,
                                      parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True))
    from_polars = polars.read_csv(csv / f"{name}.csv", infer_schema=False)
    for place, (column, kind) in enumerate(columns.items()):
        values = [row[place] for row in rows["parquet"]]
        if kind in ("str", "json", "int32", "int64", "f64", "bool"):
            assert arrow[column].to_pylist() == values, (name, column)
            assert polars_frame[column].to_list() == values, (name, column)
            assert [None if pandas.isna(v) else v for v in pandas_frame[column]] == values, (name, column)
        if kind in ("str", "json"):
            # Null stays apart from the empty string.
            assert from_arrow[column].to_pylist() == values, (name, column)
            assert from_polars[column].to_list() == values, (name, column)

    frame = pandas.read_csv(csv / f"{name}.csv", dtype=str, keep_default_na=False)
    assert list(frame.columns) == list(columns) and len(frame) == arrow.num_rows

    frame = polars.read_parquet(file)
    assert frame.columns == list(columns) and frame.height == arrow.num_rows
    for column, kind in columns.items():
        assert frame.schema[column] == POLARS[kind], (name, column, frame.schema[column])
    frame = polars.read_csv(csv / f"{name}.csv", infer_schema=False)
    assert frame.columns == list(columns) and frame.height == arrow.num_rows

one = from_parquet.execute
counts = one("SELECT count(*) FILTER (content = ''::BLOB), count(*) FILTER (content IS NULL) FROM attachments").fetchone()
assert all(counts), ("empty and null are not both there, or not apart", counts)
# Past 2^53: a reader that goes by way of doubles gives another number.
assert one("SELECT count(*) FROM attachments WHERE file_size_in_bytes = 9007199254740993").fetchone()[0] > 0
# Half of a surrogate pair does not fail a query that casts as the documents say.
assert one("SELECT count(*) FROM annotations WHERE contains(value_json, '\\ud800')").fetchone()[0] > 0
assert one("SELECT count(TRY_CAST(value_json AS JSON) ->> '$.a') FROM annotations").fetchone()
assert one("SELECT count(*) FROM annotations WHERE value_text = '007'").fetchone()[0] > 0, "007 is no number"
assert one("SELECT count(*) FROM annotations WHERE value_json = '123456789012345678901234567890'").fetchone()[0] > 0
assert one("SELECT count(*) FROM messages WHERE (TRY_CAST(extra AS JSON) ->> '$.model_parameters.max_completion_tokens') = '9223372036854775808'").fetchone()[0] > 0
assert one("SELECT count(*) FROM messages JOIN turns USING (task_id, thread_index, turn_index)").fetchone() \
    == one("SELECT count(*) FROM messages").fetchone()
queries = [[]]
text = (parquet / "load.sql").read_text()
for line in text.partition("\n-- A message with")[2].splitlines()[1:]:
    if line.startswith("--     "):
        queries[-1].append(line.removeprefix("--     "))
    else:
        queries.append([])
queries = ["\n".join(query) for query in queries if query]
if "annotated_messages" in text:
    queries.append("SELECT count(*) FROM annotated_messages HAVING count(*) > 0")
assert len(queries) in (1, 4), queries
for query in queries:
    for connection in (from_parquet, from_csv):
        assert connection.execute(query).fetchone(), f"no row from\n{query}"
print("all tables read alike")
