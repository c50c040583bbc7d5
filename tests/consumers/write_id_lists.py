"""Writes lists of task IDs as pandas, pyarrow, polars, DuckDB and Python write them.

Every list has three IDs that no other list has. Prints one JSON object per list: its file, its IDs, and how many
cells hold none.
"""

import bz2
import csv
import gzip
import json
import pathlib
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

IDS_PER_LIST = 3

directory = pathlib.Path(sys.argv[1])
next_id = 1


def add(name, write, skipped=0, of=lambda number: f"task_{number}"):
    """Writes one list with separate IDs."""
    global next_id
    ids = [of(number) for number in range(next_id, next_id + IDS_PER_LIST)]
    next_id += IDS_PER_LIST
    write(directory / name, ids)
    print(json.dumps({"file": name, "ids": [str(id) for id in ids], "skipped": skipped}))


def with_null(ids):
    return [ids[0], None, *ids[1:]]


def arrow(array_type, **options):
    def write(path, ids):
        table = pa.table({"x": pa.array([1.5] * 4), "task_id": pa.array(with_null(ids), array_type)})
        pq.write_table(table, path, **options)

    return write


def arrow_of(array_of):
    return lambda path, ids: pq.write_table(pa.table({"task_id": array_of(with_null(ids))}), path)


# Codecs.
for codec in ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]:
    add(f"pyarrow-{codec}.parquet", arrow(pa.string(), compression=codec), 1)
    frame = lambda ids: pd.DataFrame({"task_id": with_null(ids), "score": [1.0, None, 2.0, 3.0]})
    add(
        f"pandas-{codec}.parquet",
        lambda path, ids: frame(ids).to_parquet(path, compression=None if codec == "none" else codec),
        1,
    )
for codec in ["uncompressed", "snappy", "gzip", "brotli", "lz4", "zstd"]:
    add(
        f"polars-{codec}.parquet",
        lambda path, ids: pl.DataFrame({"task_id": with_null(ids)}).write_parquet(path, compression=codec),
        1,
    )
for codec in ["uncompressed", "snappy", "gzip", "brotli", "lz4", "lz4_raw", "zstd"]:
    def write_duckdb(path, ids):
        frame = pd.DataFrame({"task_id": with_null(ids)})
        duckdb.sql(f"COPY (SELECT * FROM frame) TO '{path}' (FORMAT parquet, COMPRESSION {codec})")

    add(f"duckdb-{codec}.parquet", write_duckdb, 1)

# Types.
for name, array_type in [
    ("large_string", pa.large_string()),
    ("string_view", pa.string_view()),
    ("binary", pa.binary()),
    ("large_binary", pa.large_binary()),
    ("dictionary", pa.dictionary(pa.int32(), pa.string())),
]:
    if name == "dictionary":
        add(f"{name}.parquet", arrow_of(lambda values: pa.array(values).dictionary_encode()), 1)
    else:
        add(f"{name}.parquet", arrow(array_type), 1)
for number_type in [pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]:
    # The largest numbers, which a signed type of the same size cannot hold.
    top = {pa.uint32(): 2**32 - 1000, pa.uint64(): 2**64 - 1000, pa.int64(): -(2**63)}.get(number_type, 0)
    add(f"{number_type}.parquet", arrow(number_type), 1, of=lambda number: top + number)
add(
    "categorical.parquet",
    lambda path, ids: pd.DataFrame({"task_id": pd.Categorical(with_null(ids))}).to_parquet(path),
    1,
)
add(
    "nan.parquet",
    lambda path, ids: pd.DataFrame({"task_id": [*ids, float("nan")]}).to_parquet(path),
    1,
)
add(
    "nullable-int.parquet",
    lambda path, ids: pd.DataFrame({"task_id": pd.array(with_null(ids), "Int64")}).to_parquet(path),
    1,
    of=lambda number: number,
)
add(
    "polars-categorical.parquet",
    lambda path, ids: pl.DataFrame({"task_id": pl.Series(with_null(ids), dtype=pl.Categorical)}).write_parquet(path),
    1,
)
add("required.parquet", lambda path, ids: pq.write_table(
    pa.table([pa.array(ids)], pa.schema([pa.field("task_id", pa.string(), nullable=False)])), path
))
add("row-groups.parquet", arrow(pa.string(), row_group_size=1, data_page_version="2.0"), 1)
add("delta.parquet", arrow(pa.string(), use_dictionary=False, column_encoding={"task_id": "DELTA_BYTE_ARRAY", "x": "PLAIN"}), 1)
add("spelling.parquet", lambda path, ids: pd.DataFrame({"Task ID": ids}).to_parquet(path))
add("indexed.parquet", lambda path, ids: pd.DataFrame({"x": 1}, index=pd.Index(ids, name="task_id")).to_parquet(path))


def compressed_parquet(path, ids):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"task_id": ids}), sink)
    path.write_bytes(gzip.compress(sink.getvalue().to_pybytes()))


add("whole.parquet.gz", compressed_parquet)

# CSV.
frame = lambda ids: pd.DataFrame({"x": 'a "b"; c', "task_id": with_null(ids)})
add("pandas.csv", lambda path, ids: frame(ids).to_csv(path), 1)
add("german.csv", lambda path, ids: frame(ids).to_csv(path, sep=";", decimal=",", encoding="utf-8-sig"), 1)
add("pandas.tsv", lambda path, ids: frame(ids).to_csv(path, sep="\t", index=False), 1)
add("pandas.csv.gz", lambda path, ids: frame(ids).to_csv(path, lineterminator="\r\n"), 1)
add("quoted.csv", lambda path, ids: frame(ids).to_csv(path, quoting=csv.QUOTE_ALL), 1)
add("polars.csv", lambda path, ids: pl.DataFrame({"x": "a,b", "taskId": ids}).write_csv(path))
add("polars.tsv", lambda path, ids: pl.DataFrame({"Task_ID": ids}).write_csv(path, separator="\t"))


def duckdb_copy(options):
    def write(path, ids):
        frame = pd.DataFrame({"task_id": ids})
        duckdb.sql(f"COPY (SELECT * FROM frame) TO '{path}' ({options})")

    return write


add("duckdb.csv.zst", duckdb_copy("FORMAT csv, COMPRESSION zstd"))

# JSON.
add("records.json", lambda path, ids: frame(ids).to_json(path, orient="records"), 1)
add("records.json.gz", lambda path, ids: frame(ids).to_json(path, orient="records", indent=2), 1)
add("pandas.jsonl", lambda path, ids: frame(ids).to_json(path, orient="records", lines=True), 1)
add("polars.ndjson", lambda path, ids: pl.DataFrame({"task_id": with_null(ids)}).write_ndjson(path), 1)
add("duckdb.json", duckdb_copy("FORMAT json"))
add("duckdb-array.json", duckdb_copy("FORMAT json, ARRAY true"))
add("duckdb.jsonl.zst", duckdb_copy("FORMAT json, COMPRESSION zstd"))
add("strings.json", lambda path, ids: path.write_text(json.dumps(ids)))
add("integers.json", lambda path, ids: path.write_text(json.dumps(ids)), of=lambda number: 10**30 + number)

# Text.
add("bom.txt", lambda path, ids: path.write_text("\n".join(ids), encoding="utf-8-sig"))
add(
    "members.txt.gz",
    lambda path, ids: path.write_bytes(b"".join(gzip.compress(f"{id}\r\n".encode()) for id in ids)),
)

# What is refused.
pd.DataFrame({"task_id": [1, None]}).to_parquet(directory / "refused-float.parquet")
pd.DataFrame({"task_id": pd.to_datetime(["2024-01-01"])}).to_parquet(directory / "refused-time.parquet")
pd.DataFrame({"task_id": [["a"]]}).to_parquet(directory / "refused-list.parquet")
duckdb.sql(f"COPY (SELECT uuid() AS task_id) TO '{directory}/refused-uuid.parquet'")
pd.DataFrame({"id": ["a"], "name": ["b"]}).to_parquet(directory / "refused-column.parquet")
pq.write_table(pa.table({"task_id": [b"\xff"]}), directory / "refused-bytes.parquet")
pd.DataFrame({"task_id": ["a"]}).to_json(directory / "refused-columns.json")
(directory / "refused-utf16.csv").write_text("task_id\na\n", encoding="utf-16")
(directory / "refused.txt.bz2").write_bytes(bz2.compress(b"a\n"))
