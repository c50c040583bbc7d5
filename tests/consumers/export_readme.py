"""Does what the README.md of each export says: its queries return rows, its loading lines load.

Arguments: directories of exports of all tables, each with a completed task.
"""
import os
import pathlib
import re
import sys

import duckdb

BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
# Readers that the reader matrix covers, and that are not in this environment.
ELSEWHERE = ("spark.read", "load_dataset")


def connect():
    connection = duckdb.connect()
    connection.execute(pathlib.Path("load.sql").read_text())
    return connection


def run_queries(text):
    queries = [code for language, code in BLOCK.findall(text) if language == "sql"]
    assert len(queries) == 5, queries
    assert "SELECT level, key, type, count(*)" in queries[0], queries[0]
    connection = connect()
    for query in queries:
        assert connection.execute(query).fetchone(), f"no row from\n{query}"
    # The joins in the comments of load.sql: they run, whether or not there is anything to join.
    joins = [line.removeprefix("--     ") for line in
             pathlib.Path("load.sql").read_text().split("COMMENT ON")[-1].splitlines()[1:] if line.startswith("--     ")]
    statements = [statement for statement in "\n".join(joins).split(";") if statement.strip()]
    assert len(statements) == 3, statements
    for statement in statements:
        connection.execute(statement).fetchall()


def run_loading_lines(text):
    ran = 0
    for language, code in BLOCK.findall(text):
        if language == "python" and not any(name in code for name in ELSEWHERE):
            names = {}
            exec(code, names)
            rows = {name: len(value) for name, value in names.items() if hasattr(value, "shape")}
            assert rows.get("messages"), (code, rows)
            ran += 1
        elif code.startswith(".read"):
            connection = connect()
            assert connection.execute(code.split("\n", 1)[1]).fetchone()
            ran += 1
        elif language == "sql" and "SELECT * FROM '" in code:
            assert duckdb.execute(code).fetchone()
            ran += 1
    assert ran == 3, ran


def check_view():
    connection = connect()
    count = lambda query: connection.execute(query).fetchone()[0]
    joined = count("SELECT count(*) FROM annotated_messages")
    assert joined == count("SELECT count(*) FROM annotations WHERE message_id IS NOT NULL") > 0
    names = [row[0] for row in connection.execute("DESCRIBE annotated_messages").fetchall()]
    assert names[:9] == ["task_id", "model", "role", "text", "level", "key", "type", "value", "value_label"], names
    # Every value shows as text, whatever its type.
    assert count("""
        SELECT count(*) FROM annotated_messages v JOIN annotations a USING (task_id, path)
        WHERE v.value IS NULL AND NOT (a.value_text IS NULL AND a.value_bool IS NULL AND a.value_int IS NULL
            AND a.value_number IS NULL AND a.value_list IS NULL AND a.value_json IS NULL)""") == 0


for export in sys.argv[1:]:
    os.chdir(export)
    text = pathlib.Path("README.md").read_text()
    # The blocks of queries come before those that load a table.
    queries, loading = text.split("## Loading a table")
    run_queries(queries)
    run_loading_lines(loading)
    check_view()
    print(export, "reads as its README.md says")
