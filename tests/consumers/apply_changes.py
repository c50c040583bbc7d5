"""Applies feeds of changes to a database with the example for it, and compares the database with whole exports.

Arguments: `duckdb`, `postgres` or `delta`; the examples; a directory with feeds and whole exports; an empty directory; the
program.
"""
import contextlib
import importlib.util
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys

engine, examples, base, work, program = sys.argv[1], *map(pathlib.Path, sys.argv[2:])

# Feeds that are applied once more, as if the database had the publication before.
BETWEEN_REPETITIONS = 10


def example(name):
    """The functions of an example."""
    spec = importlib.util.spec_from_file_location(name, examples / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Duckdb:
    format = "parquet"

    def __init__(self):
        self.example = example("apply_changes_duckdb")
        self.database = work / "tasks.duckdb"

    def apply(self, feed):
        self.example.apply(feed, self.database)

    def forget(self, publication):
        import duckdb
        with duckdb.connect(str(self.database)) as sql:
            sql.execute("DELETE FROM publication")
            if publication:
                sql.execute("INSERT INTO publication VALUES (?)", [publication])

    def differences(self, whole):
        import duckdb
        with duckdb.connect(str(self.database), read_only=True) as sql:
            for file in sorted(whole.glob("*.parquet")):
                one, other = f"SELECT * FROM {file.stem}", f"SELECT * FROM '{file}'"
                for query in (f"{one} EXCEPT ALL {other}", f"{other} EXCEPT ALL {one}"):
                    yield file.stem, sql.execute(query).fetchall()


class Delta:
    format = "parquet"

    def __init__(self):
        self.example = example("apply_changes_delta")
        self.tables = work / "delta"
        self.tables.mkdir()

    def apply(self, feed):
        self.example.apply(feed, self.tables)

    def forget(self, publication):
        # A commit that changes nothing.
        import deltalake
        import pyarrow.parquet
        path = str(self.tables / "tasks")
        rows = pyarrow.parquet.read_table(sorted(base.glob("parquet_*/tasks.parquet"))[0]).slice(0, 0)
        commit = deltalake.CommitProperties(custom_metadata={"publication": publication or ""})
        deltalake.write_deltalake(path, rows, mode="append", commit_properties=commit)

    def differences(self, whole):
        import deltalake
        import pyarrow.parquet
        for file in sorted(whole.glob("*.parquet")):
            rows = [pyarrow.parquet.read_table(file), deltalake.DeltaTable(str(self.tables / file.stem)).to_pyarrow_table()]
            one, other = (sorted(map(repr, table.to_pylist())) for table in rows)
            yield file.stem, [pair for pair in zip(one, other) if pair[0] != pair[1]] or [None] * abs(len(one) - len(other))


class Postgres:
    format = "csv"

    def __init__(self):
        self.psql = ["psql", "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1"]
        first = sorted(base.glob("csv_*_whole"))[0]
        tables = [file.stem for file in first.glob("*.csv")]
        scripts = [self.script(table) for table in tables]
        # Without the commands that load an export.
        definitions = [part for script in scripts for part in script.split(";\n") if "\\copy" not in part]
        self.run("-c", ";\n".join(definitions) + ";\nCREATE TABLE publication (id TEXT);")

    def script(self, table):
        return subprocess.run([program, "schema", table, "--dialect", "postgres"], check=True, capture_output=True, text=True).stdout

    def run(self, *arguments, **options):
        return subprocess.run([*self.psql, *arguments], check=True, capture_output=True, text=True, **options).stdout

    def apply(self, feed):
        subprocess.run(["sh", examples / "apply_changes_postgres.sh", feed], check=True, capture_output=True)

    def forget(self, publication):
        insert = f"INSERT INTO publication VALUES ('{publication}');" if publication else ""
        self.run("-c", f"DELETE FROM publication; {insert}")

    def differences(self, whole):
        self.run("-c", "DROP SCHEMA IF EXISTS expected CASCADE; CREATE SCHEMA expected;")
        environment = {**os.environ, "PGOPTIONS": "-c search_path=expected"}
        for file in sorted(whole.glob("*.csv")):
            table = file.stem
            self.run("-f", "-", input=self.script(table), cwd=whole, env=environment)
            one, other = f"SELECT t::text FROM public.{table} t", f"SELECT t::text FROM expected.{table} t"
            for query in (f"{one} EXCEPT ALL {other}", f"{other} EXCEPT ALL {one}"):
                yield table, self.run("-At", "-c", query).splitlines()


@contextlib.contextmanager
def postgres_server():
    """A server on a free port. The variables of the environment name it."""
    user = {}
    if os.getuid() == 0:
        # The server does not run as root.
        account = pwd.getpwnam("postgres")
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        os.chown(work, account.pw_uid, account.pw_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    found = shutil.which("initdb")
    versions = pathlib.Path("/usr/lib/postgresql").glob("*/bin")
    programs = pathlib.Path(found).parent if found else max(versions, key=lambda path: int(path.parent.name))

    def run(name, *arguments):
        command = [programs / name, "-D", work / "data", *arguments]
        subprocess.run(command, check=True, cwd=work, stdout=subprocess.DEVNULL, **user)

    run("initdb", "--username=test", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    run("pg_ctl", "start", "--wait", "--log", work / "log",
        "-o", f"-h 127.0.0.1 -p {port} -c unix_socket_directories='' -c fsync=off")
    os.environ |= {"PGHOST": "127.0.0.1", "PGPORT": port, "PGUSER": "test", "PGDATABASE": "postgres"}
    try:
        yield
    finally:
        run("pg_ctl", "stop", "--mode=immediate")


def check(database, whole):
    for table, rows in database.differences(whole):
        assert not rows, f"{engine}: {table} differs from {whole.name}: {rows[:3]}"


def main():
    database = {"duckdb": Duckdb, "delta": Delta, "postgres": Postgres}[engine]()
    feeds = [path for path in sorted(base.glob(f"{database.format}_*")) if not path.name.endswith("_whole")]
    compared = 0
    for number, feed in enumerate(feeds):
        database.apply(feed)
        database.apply(feed)
        if number % BETWEEN_REPETITIONS == 0:
            database.forget(json.loads((feed / "changes.json").read_text())["from"])
            database.apply(feed)
        whole = feed.with_name(f"{feed.name}_whole")
        if whole.exists():
            check(database, whole)
            compared += 1
    assert compared, "no whole export"
    # A feed that does not follow is refused.
    for other in (feeds[0], feeds[len(feeds) // 2 - 1]):
        try:
            database.apply(other)
        except (SystemExit, subprocess.CalledProcessError):
            continue
        raise AssertionError(f"{engine}: {other.name} was applied after {feeds[-1].name}")
    check(database, feeds[-1].with_name(f"{feeds[-1].name}_whole"))
    print(f"{engine}: applied {len(feeds)} feeds, equal to {compared} whole exports")


with postgres_server() if engine == "postgres" else contextlib.nullcontext():
    main()
    if engine == "delta":
        # Some versions of deltalake abort when the interpreter ends its threads.
        sys.stdout.flush()
        os._exit(0)
