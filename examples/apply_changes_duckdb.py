"""Applies a feed of `scale-export changes --with-tables` to a DuckDB database, in one transaction.

Arguments: the directory of the feed, and the database. The first feed has all tasks, and creates the tables.
"""
import json
import sys
from pathlib import Path

import duckdb


def apply(feed, database):
    feed = Path(feed)
    changes = json.loads((feed / "changes.json").read_text())
    sql = duckdb.connect(str(database))
    sql.begin()
    sql.execute("CREATE TABLE IF NOT EXISTS publication (id TEXT)")
    row = sql.execute("SELECT id FROM publication").fetchone()
    if row == (changes["to"],):
        return  # applied before
    if row != (changes["from"] and (changes["from"],)):
        sys.exit(f"the feed does not follow {row}: load the whole export again")
    changed = next(feed.glob("changes.[pc]*"))
    for file in changes["files"]:
        path = feed / file["path"]
        table = path.stem
        if table == "changes":
            continue
        sql.execute(f"CREATE TABLE IF NOT EXISTS {table} AS FROM '{path}' LIMIT 0")
        if table in ("projects", "batches"):
            sql.execute(f"DELETE FROM {table}")
        else:
            sql.execute(f"DELETE FROM {table} WHERE task_id IN (SELECT task_id FROM '{changed}')")
        sql.execute(f"INSERT INTO {table} BY NAME FROM '{path}'")
    sql.execute("DELETE FROM publication")
    sql.execute("INSERT INTO publication VALUES (?)", [changes["to"]])
    sql.commit()


if __name__ == "__main__":
    apply(*sys.argv[1:])
