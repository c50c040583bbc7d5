"""Runs the queries of examples/sql/ over an export with DuckDB. Argument: the directory of the export."""
import os
import sys
from pathlib import Path

import duckdb

queries = sorted(Path(__file__).resolve().parent.glob("sql/*.sql"))

os.chdir(sys.argv[1])  # the paths in load.sql are relative
sql = duckdb.connect()
sql.execute(Path("load.sql").read_text())

for query in queries:
    print(f"{query.stem}:")
    result = sql.sql(query.read_text())
    if query.stem == "conversation":
        print(result.fetchall()[0][0])
    else:
        print(result)
