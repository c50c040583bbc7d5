"""Commits exports to Delta tables, and reads them with deltalake, polars and ClickHouse after each commit.

Usage: delta.py PROGRAM, which is a build with the feature `delta`.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import chdb
import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

PROGRAM = Path(sys.argv[1]).absolute()
NIGHTS = int(os.environ.get("NIGHTS", "30"))
# Enough for a commit after a checkpoint, which every tenth commit has.
NIGHTS_IN_A_STORE = 12
FIRST_TASKS = 120
BUCKET = "lake"
START_SECONDS = 60
# The probe of conditions has four writes, and each of three tables has two; some runs write a checkpoint besides. A run is
# killed before and after the store executes one.
KILLS_AT_WRITES = 20
KEY = "very-secret"


class Lake:
    """Delta tables, and exports that are committed to them."""

    def __init__(self, url: str, work: Path, variables: dict[str, str] | None = None) -> None:
        self.url, self.work = url, work
        self.work.mkdir(parents=True, exist_ok=True)
        home = {"HOME": str(work), "PATH": os.environ["PATH"]}
        self.environment = {**home, "SCALE_EXPORT_PLAN": "ids", "SCALE_EXPORT_MAX_SHRINK": "100%", **(variables or {})}
        self.storage = {**(variables or {}), "AWS_ALLOW_HTTP": "true"} if variables else None

    def command(self, state: str, tasks: range, *options: str) -> list[str]:
        ids = self.work / f"ids-{tasks.start}-{tasks.stop}"
        ids.write_text("".join(f"task_{number}\n" for number in tasks))
        where = ["--ids", str(ids), "--out", str(self.work / state), "--delta", self.url]
        return [str(PROGRAM), *where, "--sandbox", "-q", *options]

    def export(self, state: str, tasks: range, *options: str, code: int = 0) -> str:
        command = self.command(state, tasks, *options)
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == code, (command, done.returncode, done.stderr)
        assert KEY not in done.stderr, done.stderr
        return done.stderr

    def tables(self, state: str) -> dict[str, Path]:
        """The files of the tables of an export."""
        manifest = json.loads((self.work / state / "manifest.json").read_text())
        named = manifest["tables"].items()
        return {name: self.work / state / table["files"][0]["path"] for name, table in named}

    def table(self, name: str, version: int | None = None) -> DeltaTable:
        return DeltaTable(f"{self.url}/{name}", version=version, storage_options=self.storage)

    def versions(self) -> dict[str, int]:
        return {name: self.table(name).version() for name in self.tables("a")}


def rows(table: DeltaTable) -> pl.DataFrame:
    return pl.from_arrow(table.to_pyarrow_table())  # type: ignore[return-value]


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns that a later version added are last in a Delta table."""
    return frame.select(sorted(frame.columns))


def check_readers(lake: Lake, state: str) -> None:
    """All readers find exactly the rows of the export."""
    for name, file in lake.tables(state).items():
        expected = pl.read_parquet(file)
        table = lake.table(name)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:32]
        assert [Path(path).name for path in table.file_uris()] == [f"{name}-{digest}.parquet"], name
        assert in_order(rows(table)).equals(in_order(expected)), f"deltalake: {name}"
        found = pl.read_delta(f"{lake.url}/{name}", storage_options=lake.storage)
        assert in_order(found).equals(in_order(expected)), f"polars: {name}"
        if lake.storage is None:
            check_clickhouse(name, file, f"deltaLakeLocal('{lake.url}/{name}')")


def check_clickhouse(name: str, file: Path, table: str) -> None:
    columns = ", ".join(f"`{column}`" for column in pq.read_schema(file).names)
    ask = "SELECT count(), sum(cityHash64(toString(tuple({}))))  FROM {}"
    expected = str(chdb.query(ask.format(columns, f"file('{file}', Parquet)"), "CSV"))
    found = str(chdb.query(ask.format(columns, table), "CSV"))
    assert expected == found, f"ClickHouse: {name}: {expected} {found}"


def check_statistics(lake: Lake, state: str) -> int:
    """The statistics in the log hold for the rows. Returns the number of bounds."""
    bounds = 0
    for name, file in lake.tables(state).items():
        log = sorted((Path(lake.url) / name / "_delta_log").glob("*.json"))[-1]
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        added = [action["add"] for action in actions if "add" in action]
        assert len(added) == 1 and added[0]["size"] == file.stat().st_size, (name, added)
        statistics = json.loads(added[0]["stats"])
        data = pq.read_table(file)
        assert statistics["numRecords"] == data.num_rows, name
        for column, nulls in statistics["nullCount"].items():
            assert nulls == data[column].null_count, (name, column)
        for kind in ["minValues", "maxValues"]:
            for column, bound in statistics[kind].items():
                values = data[column].drop_null()
                if bound is None or len(values) == 0:
                    continue
                bounds += 1
                if str(values.type).startswith("timestamp"):
                    # The log has milliseconds at least.
                    bound = pl.Series([bound]).str.to_datetime(time_zone="UTC")[0]
                ends = pc.min_max(values)
                end = (ends["min"] if kind == "minValues" else ends["max"]).as_py()
                good = bound <= end if kind == "minValues" else bound >= end
                assert good, (name, column, kind, bound, end)
    return bounds


def nights(lake: Lake, count: int) -> None:
    """Nightly commits. Each is read, and the last one can go back to each of them."""
    kept: list[dict[str, pl.DataFrame]] = []
    found: list[dict[str, int]] = []
    for night in range(count):
        # Each night has new tasks, and some fewer old ones.
        tasks = range(1 + 2 * night, FIRST_TASKS + 5 * night)
        lake.export("a", tasks)
        check_readers(lake, "a")
        kept.append({name: pl.read_parquet(file) for name, file in lake.tables("a").items()})
        found.append(lake.versions())
    assert found[-1]["tasks"] == count - 1, found[-1]
    # A table that did not change has no new version.
    lake.export("a", tasks)
    assert lake.versions() == found[-1]
    for night, versions in enumerate(found):
        for name, version in versions.items():
            before = rows(lake.table(name, version))
            assert in_order(before).equals(in_order(kept[night][name])), (night, name)
    history = lake.table("tasks").history(1)[0]
    assert history["operationParameters"]["publication"], history
    assert history["engineInfo"].startswith("scale-export/"), history


def race(lake: Lake) -> None:
    """Of runs that start together, those that overlap end with 0 or 2, and one at least with 0."""
    for name in ["b", "c"]:
        lake.export(name, range(1, 60))
    commands = [lake.command(name, range(1, 70 + number)) for number, name in enumerate("abc")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(it, env=lake.environment, **quiet) for it in commands]
    codes = [process.wait() for process in running]
    assert 0 in codes and set(codes) <= {0, 2}, codes
    # The next run of a loser commits everything that it has.
    lake.export("a", range(1, 71))
    check_readers(lake, "a")
    print(f"  three committers at once: exit codes {codes}")


def foreign(lake: Lake) -> None:
    """A table and files of others are not touched."""
    others = Lake(str(lake.work / "others"), lake.work / "foreign")
    (Path(others.url) / "messages").mkdir(parents=True)
    pl.DataFrame({"a": [1]}).write_delta(f"{others.url}/tasks")
    error = others.export("a", range(1, 9), code=2)
    assert "a Delta table that scale-export did not create" in error, error
    shutil.rmtree(Path(others.url) / "tasks")
    (Path(others.url) / "messages/data.csv").write_text("x")
    error = others.export("a", range(1, 9), code=2)
    assert "files that scale-export did not create" in error, error
    (Path(others.url) / "messages/data.csv").unlink()
    others.export("a", range(1, 9))
    # A maintained table is committed to all the same.
    table = others.table("tasks")
    table.optimize.compact()
    table.create_checkpoint()
    others.export("a", range(1, 19))
    others.table("tasks").vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    check_readers(others, "a")
    # The files of an earlier version are gone, and its rows come back.
    others.export("a", range(1, 9))
    check_readers(others, "a")
    # Fewer tasks than the guard allows, from another state.
    others.export("a", range(1, 60))
    error = others.export("b", range(1, 2), "--max-shrink", "1%", code=8)
    assert "58 of its 59 tasks would disappear" in error, error
    check_refusals(others)


def check_refusals(lake: Lake) -> None:
    """What is refused before anything is fetched, by a run, a check and a dry run."""
    out = lake.work / "refused"
    (lake.work / "link").symlink_to(out)
    places = "must not be in each other"
    cases: list[tuple[str, str, list[str]]] = [
        (lake.url, "has CSV files", ["--format=csv"]),
        (lake.url, "is shard 0/2 of a list", ["--shard=0/2"]),
        (f"{out}", places, []),
        (f"{out}/lake", places, []),
        (f"{out.parent}", places, []),
        (f"{out.parent}/./refused", places, []),
        (f"{lake.work}/link", places, []),
        ("file://host/lake", "absolute path", []),
        ("https://user:very-secret@host/lake", "not a supported scheme", []),
    ]
    for url, text, options in cases:
        for first in [["check"], ["--dry-run"], []]:
            where = ["--id", "task_1", "--out", str(out), "--delta", url, "--sandbox", *options]
            command = [str(PROGRAM), *first, *where]
            done = subprocess.run(command, env=lake.environment, capture_output=True, text=True)
            shown = done.stdout + done.stderr
            assert done.returncode == 2 and text in shown and KEY not in shown, (command, shown)
        assert not out.exists() or not list(out.glob("*.parquet")), url


def kills(lake: Lake, attempts: int = 12) -> None:
    """Kills a run at growing times. A reader meanwhile finds complete tables only."""
    lake.export("a", range(1, 60))
    complete: list[set[int]] = [{59}]
    failures: list[object] = []
    reads = [0]
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            found = rows(lake.table("tasks")).height
            reads[0] += 1
            if not any(found in tasks for tasks in complete):
                failures.append(found)
                return

    reader = threading.Thread(target=read)
    reader.start()
    killed = 0
    try:
        started = time.monotonic()
        complete.append({64})
        lake.export("a", range(1, 65))
        whole = time.monotonic() - started
        for number in range(attempts):
            tasks = range(1, 70 + 5 * number)
            complete.append({len(tasks)})
            process = subprocess.Popen(lake.command("a", tasks), env=lake.environment, stderr=subprocess.DEVNULL)
            time.sleep(whole * (number + 1) / attempts)
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
            lake.export("a", tasks)
            check_readers(lake, "a")
    finally:
        is_over.set()
        reader.join()
    assert not failures, failures
    print(f"  {killed} kills, {reads[0]} reads meanwhile")


class Proxy(BaseHTTPRequestHandler):
    """Forwards requests to a store, and kills the program at one of those that write."""

    store = ""
    # The number of the request to kill at, and whether the store gets it.
    kill_at, is_forwarded = -1, False
    writes: ClassVar[list[str]] = []
    process: subprocess.Popen[bytes] | None = None

    def log_message(self, *_: object) -> None:
        pass

    def forward(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        is_write = self.command == "PUT"
        if is_write:
            self.writes.append(self.path)
        is_last = is_write and len(self.writes) == self.kill_at and self.process is not None
        if is_last and not self.is_forwarded:
            self.end()
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection = HTTPConnection(self.store)
        connection.request(self.command, self.path, body, headers)
        with connection.getresponse() as response:
            status, found, content = response.status, response.headers, response.read()
        connection.close()
        if is_last:
            self.end()
            return
        self.send_response_only(status)
        for name, value in found.items():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        size = found.get("content-length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("content-length", size)
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(content)

    def end(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815


def kills_at_each_write(url: str, work: Path, variables: dict[str, str]) -> None:
    """A kill at each write, before and after the store has it: the tables stay complete, and the next run continues."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Proxy.store = variables["AWS_ENDPOINT_URL"].removeprefix("http://")
    through = f"http://127.0.0.1:{server.server_address[1]}"
    direct = Lake(url, work, variables)
    lake = Lake(url, work, {**variables, "AWS_ENDPOINT_URL": through})
    # Tables do not depend on each other, and each has the same two writes.
    tables = "--tables=tasks,messages,annotations"
    at, killed, tasks = 0, 0, range(1, 61)
    direct.export("a", tasks, tables)
    while True:
        at += 1
        for is_forwarded in (False, True):
            tasks = range(tasks.start + 20, tasks.stop + 20)
            before = content_names(lake)
            Proxy.writes.clear()
            Proxy.kill_at, Proxy.is_forwarded = at, is_forwarded
            command = lake.command("a", tasks, tables)
            Proxy.process = subprocess.Popen(command, env=lake.environment, stderr=subprocess.DEVNULL)
            code = Proxy.process.wait()
            Proxy.process, Proxy.kill_at = None, -1
            after = content_names(lake)
            for name in before:
                # One file, whose name is made from its content. What the kill before left undone is done.
                (found,) = direct.table(name).file_uris()
                assert Path(found).name in (before[name], after[name]), (at, is_forwarded, name)
            if code == 0:
                check_readers(direct, "a")
                server.shutdown()
                print(f"  {killed} kills at {at - 1} writes")
                assert killed >= KILLS_AT_WRITES, killed
                return
            assert code == -signal.SIGKILL, code
            killed += 1
            lake.export("a", tasks, tables)


def content_names(lake: Lake) -> dict[str, str]:
    """The name of each table's file at the place of the tables."""
    manifest = json.loads((lake.work / "a/manifest.json").read_text())
    named = manifest["tables"].items()
    return {name: f"{name}-{table['files'][0]['sha256'][:32]}.parquet" for name, table in named}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def moto() -> Iterator[dict[str, str]]:
    """A store in another process, since deltalake keeps this one from running while it waits."""
    port = free_port()
    program = str(Path(sys.executable).parent / "moto_server")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], **quiet)
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_REGION": "us-east-1",
    }
    try:
        for _ in range(START_SECONDS):
            try:
                connection = HTTPConnection("127.0.0.1", port)
                connection.request("PUT", f"/{BUCKET}")
                connection.getresponse().read()
                break
            except OSError:
                time.sleep(1)
        else:
            raise SystemExit("moto did not start")
        yield variables
    finally:
        server.terminate()
        server.wait()


def timed(name: str, step: Any, *arguments: Any) -> None:
    started = time.monotonic()
    step(*arguments)
    print(f"  {name}: {time.monotonic() - started:.1f} s", flush=True)


def main() -> None:
    import deltalake

    # chdb reads files below the current directory only.
    os.chdir("/")
    print(f"deltalake {deltalake.__version__}, polars {pl.__version__}, ClickHouse of chdb {chdb.__version__}")
    with tempfile.TemporaryDirectory() as base:
        work = Path(base)
        print("a local directory")
        lake = Lake(str(work / "lake"), work / "exports")
        timed(f"{NIGHTS} nights", nights, lake, NIGHTS)
        print(f"  {check_statistics(lake, 'a')} bounds in the log hold")
        timed("race", race, lake)
        timed("tables of others", foreign, lake)
        timed("kills", kills, lake)
        with moto() as variables:
            print("S3 (moto)")
            lake = Lake(f"s3://{BUCKET}/nightly", work / "in-s3", variables)
            timed(f"{NIGHTS_IN_A_STORE} nights", nights, lake, NIGHTS_IN_A_STORE)
            timed("race", race, lake)
            each = (f"s3://{BUCKET}/each", work / "each", variables)
            timed("a kill at each write", kills_at_each_write, *each)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"passed; the largest process had {peak} MiB")


if __name__ == "__main__":
    main()
