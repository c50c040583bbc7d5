"""Applies a feed of `scale-export changes --with-tables` (Parquet) to Delta tables.

Arguments: the directory of the feed, and the directory of the tables. The first feed has all tasks, and creates the
tables. Each table changes in one commit; `tasks` is the last one, and its commit names the publication. If a run stops
between two tables, apply the same feed again.
"""
import json
import sys
from pathlib import Path

import pyarrow.parquet
from deltalake import CommitProperties, DeltaTable, write_deltalake


def applied(tables):
    """The publication that the tables have."""
    path = str(Path(tables) / "tasks")
    if not DeltaTable.is_deltatable(path):
        return None
    # Other commits, as of an optimization, name none.
    named = (commit["publication"] for commit in DeltaTable(path).history() if "publication" in commit)
    return next(named, None) or None


def apply(feed, tables):
    feed, tables = Path(feed), Path(tables)
    changes = json.loads((feed / "changes.json").read_text())
    current = applied(tables)
    if current == changes["to"]:
        return  # applied before
    if current != changes["from"]:
        sys.exit(f"the feed does not follow {current}: load the whole export again")
    changed = pyarrow.parquet.read_table(feed / "changes.parquet")["task_id"].to_pylist()
    quoted = ", ".join("'" + task_id.replace("'", "''") + "'" for task_id in changed)
    files = {Path(file["path"]).stem: feed / file["path"] for file in changes["files"]}
    del files["changes"]
    files["tasks"] = files.pop("tasks")  # the last one
    for table, file in files.items():
        path = str(tables / table)
        rows = pyarrow.parquet.read_table(file)
        options = {}
        if not DeltaTable.is_deltatable(path):
            pass
        elif table in ("projects", "batches"):
            options = {"mode": "overwrite"}
        elif changed:
            # Replaces the rows of these tasks in one commit.
            options = {"mode": "overwrite", "predicate": f"task_id IN ({quoted})"}
        else:
            options = {"mode": "append"}
        commit = CommitProperties(custom_metadata={"publication": changes["to"]})
        write_deltalake(path, rows, commit_properties=commit, **options)


if __name__ == "__main__":
    apply(*sys.argv[1:])
