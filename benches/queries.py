"""DuckDB over our Parquet files and over copies that DuckDB writes; `whole_runs.py` calls this with a Python that
has DuckDB. Arguments: the directory of an export, a directory for the copies, rounds. Prints JSON.

A copy has the same columns and rows, in Parquet that DuckDB writes with zstd. Each round runs every query several times over
both, alternating; the median counts.
"""

import json
import os
import statistics
import sys
import time

import duckdb

REPEATS = 20

QUERIES = {
    "count": "SELECT count(*) FROM {annotations}",
    "group": "SELECT key, type, count(*) FROM {annotations} GROUP BY ALL ORDER BY ALL",
    "join": "SELECT role, type, count(*) FROM {messages} JOIN {annotations} USING (task_id, message_id)"
    " GROUP BY ALL ORDER BY ALL",
    "group by ID": "SELECT count(*) FROM (SELECT thread_id, count(*) FROM {messages} GROUP BY ALL)",
    "distinct IDs": "SELECT count(DISTINCT message_id) FROM {annotations}",
    "texts": "SELECT role, sum(length(text)) FROM {messages} GROUP BY ALL ORDER BY ALL",
    "one task": "SELECT count(*) FROM {annotations} WHERE task_id = (SELECT max(task_id) FROM {tasks})",
}


def main():
    ours, copies, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connection = duckdb.connect()
    tables = sorted(name[: -len(".parquet")] for name in os.listdir(ours) if name.endswith(".parquet"))
    sizes = {}
    for table in tables:
        source, copy = f"{ours}/{table}.parquet", f"{copies}/{table}.parquet"
        connection.execute(f"COPY (SELECT * FROM '{source}') TO '{copy}' (FORMAT parquet, COMPRESSION zstd)")
        sizes[table] = {"ours": os.path.getsize(source), "duckdb": os.path.getsize(copy)}
    queries = {}
    for name, query in QUERIES.items():
        texts = {
            who: query.format(**{table: f"'{place}/{table}.parquet'" for table in tables})
            for who, place in (("ours", ours), ("duckdb", copies))
        }
        results = {who: connection.execute(text).fetchall() for who, text in texts.items()}
        if results["ours"] != results["duckdb"]:
            sys.exit(f"{name}: the results differ")
        seconds = {who: [] for who in texts}
        for number in range(rounds * REPEATS):
            for who in list(texts) if number % 2 == 0 else reversed(texts):
                begin = time.perf_counter()
                connection.execute(texts[who]).fetchall()
                seconds[who].append(time.perf_counter() - begin)
        queries[name] = {who: statistics.median(taken) for who, taken in seconds.items()}
    print(json.dumps({"sizes": sizes, "queries": queries}))


main()
