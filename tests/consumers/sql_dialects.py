"""Runs the script that `schema --format sql` prints, and compares every cell with pyarrow's reading of the Parquet export.

Arguments: the dialect, the script, the Parquet export, the directory to run in, an empty directory, and docs/sql.md,
whose queries for the database have to give rows.

A value that a database cannot hold is named in `LOSSES`. A loss that the data does not show fails too: then the
documentation is wrong.
"""
import base64
import contextlib
import datetime
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys

import pyarrow
import pyarrow.parquet

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def blocks(docs, title, language):
    """The blocks of code in a section of a page."""
    section = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", docs.read_text(), re.DOTALL | re.MULTILINE).group(1)
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def statements(script):
    """The statements, for databases whose interface takes them one by one."""
    return [part for part in script.read_text().split(";\n") if part.strip()]


# Each database is a context that runs the script in the directory of the export and gives a function from a query to
# rows. Each of its readers is SQL that makes a plain value of a column, `{}`, and a function that makes of it what pyarrow gives.

@contextlib.contextmanager
def duckdb(script, work, docs):
    import duckdb
    connection = duckdb.connect()
    connection.execute(script.read_text())
    yield lambda query: connection.execute(query).fetchall()


def postgres_programs():
    """The directory of `initdb` and `pg_ctl`, which Debian keeps off the path."""
    if found := shutil.which("initdb"):
        return pathlib.Path(found).parent
    return max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


@contextlib.contextmanager
def postgres(script, work, docs):
    # The server does not run as root.
    user = {}
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        os.chown(work, account.pw_uid, account.pw_gid)
        # The temporary directory around it is for root alone.
        work.parent.chmod(0o711)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    programs, data = postgres_programs(), work / "data"

    def run(program, *arguments):
        subprocess.run([programs / program, "-D", data, *arguments], check=True, cwd=work, stdout=subprocess.DEVNULL, **user)

    run("initdb", "--username=test", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    run("pg_ctl", "start", "--wait", "--log", work / "log",
        "-o", f"-h 127.0.0.1 -p {port} -c unix_socket_directories='' -c fsync=off")
    psql = ["psql", "--no-psqlrc", "-h", "127.0.0.1", "-p", port, "-U", "test", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]
    try:
        # Without an end at the first error, so that each file says what is wrong with it.
        subprocess.run([*psql, "--quiet", "-c", "CREATE DATABASE unclean"], check=True)
        unclean = [argument.replace("ON_ERROR_STOP=1", "ON_ERROR_STOP=0") for argument in psql]
        said = subprocess.run([*unclean, "--quiet", "-d", "unclean", "-f", script], capture_output=True, text=True).stderr
        for error in ("missing data for column|extra data after last", "unterminated CSV quoted field"):
            assert re.search(error, said), f"Postgres does not say what docs/sql.md says that it does: {error}\n{said}"
        # What docs/sql.md says to do about them.
        clean, = blocks(docs, "Postgres", "sh")[1:]
        subprocess.run(["sh", "-euc", clean], check=True)
        subprocess.run([*psql, "--quiet", "--single-transaction", "-f", script], check=True, cwd="clean")

        def query(text):
            said = subprocess.run([*psql, "-At", "-c", text], check=True, capture_output=True, text=True).stdout
            return [json.loads(line) for line in said.split("\n") if line]

        yield query
    finally:
        run("pg_ctl", "stop", "--mode=immediate")


@contextlib.contextmanager
def sqlite(script, work, docs):
    import sqlite3
    file = work / "tasks.db"
    with script.open() as text:
        subprocess.run(["sqlite3", "-bail", file], stdin=text, check=True)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        yield lambda query: connection.execute(query).fetchall()


@contextlib.contextmanager
def clickhouse(script, work, docs):
    from chdb.session import Session
    with contextlib.closing(Session(str(work / "clickhouse"))) as session:
        for statement in statements(script):
            session.query(statement)
        yield lambda query: [json.loads(line) for line in session.query(query, "JSONCompactEachRow").bytes().splitlines()]


@contextlib.contextmanager
def spark(script, work, docs):
    from pyspark.sql import SparkSession
    session = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
               .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
               .config("spark.sql.warehouse.dir", str(work / "warehouse")).config("spark.log.level", "ERROR")
               .config("spark.driver.extraJavaOptions", f"-Dderby.system.home={work}").getOrCreate())
    try:
        for statement in statements(script):
            session.sql(statement)
        yield lambda query: [tuple(row) for row in session.sql(query).collect()]
    finally:
        session.stop()


def micros(text):
    """Microseconds since 1970 of a time in RFC 3339."""
    return (datetime.datetime.fromisoformat(text) - EPOCH) // MICROSECOND


def flag(number):
    """A boolean of SQLite; anything but 0 and 1 stays as it is and differs."""
    return {0: False, 1: True}.get(number, number)


# For each database: its section in docs/sql.md, the context, what stands around a name, what makes a row of the
# columns, and the readers of those types that do not come as they are.
DIALECTS = {
    "duckdb": ("DuckDB", duckdb, '"', "{}", {"ts": ("epoch_us({})", int)}),
    "postgres": ("Postgres", postgres, '"', "json_build_array({})", {
        "ts": ("(extract(epoch FROM {}) * 1000000)::bigint", int),
        "f64": ("{}::text", float), "json": ("{}::text", str), "list<str>": ("{}::text", json.loads),
        "bytes": ("encode({}, 'hex')", bytes.fromhex)}),
    "sqlite": ("SQLite", sqlite, '"', "{}", {
        "ts": ("{}", micros), "bool": ("{}", flag), "list<str>": ("{}", json.loads), "bytes": ("{}", base64.b64decode)}),
    "clickhouse": ("ClickHouse", clickhouse, "`", "{}", {
        "ts": ("toUnixTimestamp64Micro({})", int), "int64": ("toString({})", int), "f64": ("toString({})", float),
        "bytes": ("hex({})", bytes.fromhex)}),
    "spark": ("Spark", spark, "`", "{}", {"ts": ("unix_micros({})", int), "bytes": ("{}", bytes)}),
}

# What a database cannot hold: the types, whether a value is lost, and what stands there instead. Columns that are
# never null keep all values.
LOSSES = {
    "postgres": [(("str",), lambda value: "\0" in (value or ""), lambda value: value.replace("\0", "")),
                 (("str",), lambda value: "\n\\.\n" in (value or ""), lambda value: value.replace("\n\\.\n", "\n\\. \n"))],
    "sqlite": [(("str",), lambda value: "\0" in (value or ""), lambda value: value.partition("\0")[0]),
               (("str", "bytes"), lambda value: value in ("", b""), lambda value: None),
               (("f64",), lambda value: repr(value) == "-0.0", lambda value: 0.0)],
    "clickhouse": [(("list<str>",), lambda value: value is None, lambda value: [])],
}


def expected(table, column, kind):
    values = table[column]
    return (values.cast(pyarrow.int64()) if kind == "ts" else values).to_pylist()


def compare(dialect, script, parquet, directory, work, docs):
    title, database, quote, row, readers = DIALECTS[dialect]
    shown = set()
    os.chdir(directory)
    with database(script, work, docs) as query:
        schemas = pathlib.Path(__file__).parents[2] / "schemas"
        for path in sorted(schemas.glob("*.json")):
            schema = json.loads(path.read_text())
            name, columns = schema["table"], schema["columns"]
            table = pyarrow.parquet.read_table(parquet / f"{name}.parquet")
            selected = ", ".join(readers.get(column["type"], ("{}",))[0].format(quote + column["name"] + quote) for column in columns)
            rows = query(f"SELECT {row.format(selected)} FROM {quote}{name}{quote}")
            assert len(rows) == table.num_rows, (name, len(rows), table.num_rows)
            right = list(zip(*(expected(table, column["name"], column["type"]) for column in columns)))
            left = [tuple(
                value if value is None or column["type"] not in readers else readers[column["type"]][1](value)
                for column, value in zip(columns, values)) for values in rows]
            right = [tuple(lossy(dialect, column, value, shown) for column, value in zip(columns, values)) for values in right]
            # A table has no order. `repr` distinguishes 1 from True and 0.0 from -0.0.
            left, right = sorted(map(repr, left)), sorted(map(repr, right))
            for found, wanted in zip(left, right):
                assert found == wanted, f"{name}: {dialect} has\n{found}\nand pyarrow\n{wanted}"
        for text in blocks(docs, title, "sql"):
            text = text.strip().rstrip(";")
            assert query(text if row == "{}" else f"SELECT to_json(q) FROM ({text}) AS q"), f"no rows from\n{text}"
    missing = set(range(len(LOSSES.get(dialect, ())))) - shown
    assert not missing, f"losses of {dialect} that do not show: {missing}"


def lossy(dialect, column, value, shown):
    """What is left of a value in the database."""
    for place, (kinds, is_lost, instead) in enumerate(LOSSES.get(dialect, ())):
        if column["nullable"] and column["type"] in kinds and is_lost(value):
            shown.add(place)
            value = instead(value)
    return value


if __name__ == "__main__":
    dialect, *paths = sys.argv[1:]
    compare(dialect, *(pathlib.Path(path).resolve() for path in paths))
