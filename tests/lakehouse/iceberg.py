"""Loads nightly exports into Iceberg tables with `examples/iceberg_tables.py`, and reads them with four readers.

`make iceberg` runs it. Argument: the program. The exports come from its mock server. Everything listens on loopback.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow
import pyarrow.parquet
from iceberg_readers import READERS, differences
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "examples/iceberg_tables.py"
PROGRAM = Path(sys.argv[1]).resolve()
KEY = "test_key"
NAMESPACE = "scale_export"
CONFLICT = "another run changed"
# Enough for the steps of a load that is killed at each of them.
FEW_TABLES = "tasks,messages"
# Steps of a load of two tables, by whether it is the first one.
STEPS = {True: 14, False: 10}
START_SECONDS = 60
RACES = 6
RACERS = 3
ADDED_COLUMN, REMOVED_COLUMN = "added_later", "message_index"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(port: int, *command: object) -> Iterator[None]:
    """Runs a server until the end of the block."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*map(str, command)], **quiet) as process:
        try:
            end = time.monotonic() + START_SECONDS
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None and time.monotonic() < end, f"{command[0]} did not start"
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def export(out: Path, tasks: range, *options: str, seed: int = 0, port: int | None = None) -> None:
    """Exports tasks. The seed decides what they contain."""
    port = port or free_port()
    ids = out.with_name(f"{out.name}-ids.txt")
    ids.write_text("".join(f"task_{number}\n" for number in tasks))
    with server(port, PROGRAM, "sandbox", f"--port={port}", f"--seed={seed}", f"--key={KEY}"):
        how = ["--base-url", f"http://127.0.0.1:{port}", "--refresh=all", "--max-shrink=100%", "--rate=max", "-q"]
        environment = {**os.environ, "SCALE_API_KEY": KEY}
        subprocess.run([PROGRAM, "--ids", ids, "--out", out, *how, *options], env=environment, check=True)


def publication(export_directory: Path) -> str:
    return json.loads((export_directory / "manifest.json").read_text())["publication"]


def table_files(export_directory: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(export_directory.glob("*.parquet"))}


def with_other_columns(export_directory: Path, out: Path) -> None:
    """A copy of an export, in which one table has one column more and one less, as in another version of the program."""
    shutil.copytree(export_directory, out, ignore=shutil.ignore_patterns(".scale-export"))
    path = out / "messages.parquet"
    table = pyarrow.parquet.read_table(path)
    # Required in the file. The table has rows without it, so it must be nullable there.
    column = pyarrow.field(ADDED_COLUMN, pyarrow.string(), nullable=False)
    table = table.drop_columns([REMOVED_COLUMN])
    table = table.append_column(column, pyarrow.array([f"value {number}" for number in range(table.num_rows)]))
    pyarrow.parquet.write_table(table, path)
    manifest = json.loads((out / "manifest.json").read_text())
    listed = manifest["tables"]["messages"]["files"][0]
    listed["bytes"], listed["sha256"] = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    manifest["publication"] = manifest["publication"][::-1]
    (out / "manifest.json").write_text(json.dumps(manifest))


@dataclass(frozen=True)
class Lake:
    """A directory with a SQLite catalog and tables."""

    directory: Path

    def catalog(self) -> Catalog:
        uri = f"sqlite:///{self.directory}/catalog.db"
        return load_catalog("local", type="sql", uri=uri, warehouse=f"file://{self.directory}")

    def tables(self) -> dict[str, Table]:
        catalog = self.catalog()
        return {name[-1]: catalog.load_table(name) for name in catalog.list_tables(NAMESPACE)}

    def arguments(self, export_directory: Path) -> list[object]:
        return [export_directory, "--local", self.directory]

    def load(self, export_directory: Path, code: int = 0) -> str:
        """Runs the example. Returns what it printed."""
        return finished([sys.executable, EXAMPLE, *self.arguments(export_directory)], code)

    def start(self, export_directory: Path, step: int, action: object) -> subprocess.Popen[str]:
        """Starts the example, which stops at a step."""
        stopping = [sys.executable, Path(__file__).with_name("stopping_load.py"), EXAMPLE, step, action]
        command = [*map(str, stopping), *map(str, self.arguments(export_directory))]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def files(self) -> dict[Path, int]:
        """All files and their times of change."""
        return {path: path.stat().st_mtime_ns for path in self.directory.rglob("*") if path.is_file()}

    def check(self, export_directory: Path) -> None:
        """Each table has the rows of the export, and consists of one file, which was in no earlier snapshot."""
        tables = self.tables()
        assert sorted(tables) == sorted(table_files(export_directory))
        for name, file in table_files(export_directory).items():
            table = tables[name]
            assert_rows(table, current(table), file)
            assert len(live_files(table)) == 1, (name, live_files(table))
            assert_names_are_new(table)


def finished(command: list[object], code: int, **options: object) -> str:
    """Runs a command to its exit code. A failure prints one line."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    if code == 0:
        assert done.stderr == "", done.stderr
        return done.stdout
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def current(table: Table) -> int:
    snapshot = table.current_snapshot()
    assert snapshot is not None, table.name()
    return snapshot.snapshot_id


def assert_rows(table: Table, snapshot: int, file: Path) -> None:
    """A snapshot has the rows of a file, for all readers."""
    found = differences(table, snapshot, file)
    assert not found, found


def live_files(table: Table) -> list[str]:
    tasks = table.scan(options={"include_empty_files": "true"}).plan_files()
    return [task.file.file_path for task in tasks]


def assert_names_are_new(table: Table) -> None:
    """No file was added twice: Iceberg deletes the files that an expired snapshot removed."""
    added: list[str] = []
    for snapshot in table.snapshots():
        for manifest in snapshot.manifests(table.io):
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                if entry.snapshot_id == snapshot.snapshot_id and manifest.added_snapshot_id == snapshot.snapshot_id:
                    added.append(entry.data_file.file_path)
    assert len(added) == len(set(added)), f"{table.name()}: added twice: {added}"


class Nights:
    """A lake, and what each of its snapshots must contain."""

    def __init__(self, base: Path) -> None:
        self.base, self.lake = base, Lake(base / "lake")
        self.port = free_port()
        self.expected: dict[str, dict[int, Path]] = {}
        self.count = self.commits = 0

    def next_export(self, tasks: range, seed: int = 0) -> Path:
        """Exports into the same directory as every night, and keeps a copy."""
        out = self.base / "export"
        export(out, tasks, seed=seed, port=self.port)
        kept = self.base / f"night-{self.count + 1}"
        shutil.copytree(out, kept, ignore=shutil.ignore_patterns(".scale-export"))
        return kept

    def load(self, exported: Path) -> int:
        """Loads an export, and checks all tables. Returns how many have a new snapshot."""
        self.count += 1
        before = {name: len(table.snapshots()) for name, table in self.lake.tables().items()} if self.expected else {}
        printed = self.lake.load(exported)
        self.lake.check(exported)
        replaced = 0
        for name, table in self.lake.tables().items():
            new = len(table.snapshots()) - before.get(name, 0)
            assert new in (0, 1), f"{name} has {new} new snapshots"
            if new:
                summary = table.current_snapshot().summary.additional_properties
                assert summary["scale-export.publication"] == publication(exported), summary
                self.expected.setdefault(name, {})[current(table)] = table_files(exported)[name]
            replaced += new
        assert f"{publication(exported)}: replaced {replaced} of {len(self.expected)} tables" in printed, printed
        self.commits += replaced
        # Repeated, it changes nothing.
        files = self.lake.files()
        self.lake.load(exported)
        assert self.lake.files() == files, "a repeated load changed files"
        return replaced

    def time_travel(self) -> int:
        """Reads every snapshot with every reader."""
        count = 0
        for name, table in self.lake.tables().items():
            snapshots = {snapshot.snapshot_id for snapshot in table.snapshots()}
            assert snapshots == set(self.expected[name]), name
            for snapshot, file in self.expected[name].items():
                assert_rows(table, snapshot, file)
                count += 1
        return count


def change_by_another_program(nights: Nights, exported: Path) -> None:
    """Another program deletes rows. The next load restores them."""
    table = nights.lake.tables()["messages"]
    task = table.scan(selected_fields=("task_id",)).to_arrow()["task_id"][0].as_py()
    table.delete(EqualTo("task_id", task))
    table.refresh()
    assert differences(table, current(table), table_files(exported)["messages"])
    # The test does not know its content.
    rest = nights.base / "rest.parquet"
    pyarrow.parquet.write_table(table.scan().to_arrow(), rest)
    nights.expected["messages"][current(table)] = rest
    assert nights.load(exported) == 1


def expire(nights: Nights) -> None:
    """Expires all snapshots but the current ones."""
    for name, table in nights.lake.tables().items():
        if hasattr(table, "maintenance"):
            table.maintenance.expire_snapshots().older_than(datetime.now() + timedelta(days=1)).commit()
            nights.expected[name] = {current(table): nights.expected[name][current(table)]}


def check_nights(base: Path) -> None:
    """Loads nights in which tasks are added, removed, replaced and restored, and columns come and go."""
    nights = Nights(base)
    first = nights.next_export(range(1, 61))
    assert nights.load(first) == len(table_files(first))
    assert nights.load(nights.next_export(range(1, 61))) == 0
    assert nights.load(nights.next_export(range(1, 63))) > 1
    fourth = nights.next_export(range(5, 63))
    assert nights.load(fourth) > 1
    assert nights.load(nights.next_export(range(5, 63), seed=1)) > 10
    # The content of the fourth night returns.
    sixth = nights.next_export(range(5, 63))
    assert nights.load(sixth) > 10
    assert publication(sixth) == publication(fourth)
    with_other_columns(sixth, other := base / "other-columns")
    schema = nights.lake.tables()["messages"].schema()
    assert schema.find_field(REMOVED_COLUMN).required and schema.find_field("task_id").doc
    assert nights.load(other) == 1
    schema = nights.lake.tables()["messages"].schema()
    assert not any(schema.find_field(name).required for name in (ADDED_COLUMN, REMOVED_COLUMN))
    assert nights.load(nights.next_export(range(5, 71))) > 1
    # Most tables have no rows.
    ninth = nights.next_export(range(1, 2), seed=2)
    assert any(pyarrow.parquet.read_metadata(path).num_rows == 0 for path in table_files(ninth).values())
    assert nights.load(ninth) > 10
    tenth = nights.next_export(range(1, 61), seed=2)
    assert nights.load(tenth) > 10
    change_by_another_program(nights, tenth)
    snapshots = nights.time_travel()
    expire(nights)
    assert nights.load(nights.next_export(range(1, 63))) > 10
    nights.time_travel()
    print(f"  {nights.count} nights, {nights.commits} commits; {snapshots} snapshots read with {', '.join(READERS)}")


def small_exports(base: Path, count: int) -> list[Path]:
    """Exports of two tables. Both differ between each two of the exports."""
    exports = [base / f"export-{number}" for number in range(count)]
    for number, out in enumerate(exports):
        export(out, range(1, 20 + number), f"--tables={FEW_TABLES}")
    return exports


def is_either(table: Table, *exports: Path) -> bool:
    """Whether a table has the rows of one of the exports, for all readers."""
    files = [table_files(directory)[table.name()[-1]] for directory in exports]
    return any(not differences(table, current(table), file) for file in files)


def check_kills(base: Path) -> None:
    """Kills a load at each step. Readers see each table before or after, and the next load completes it."""
    old, new = small_exports(base, 2)
    later = Lake(base / "later")
    later.load(old)
    for is_first in (True, False):
        step = 0
        while True:
            lake = Lake(base / f"first-{step}") if is_first else later
            process = lake.start(new, step, "kill")
            process.communicate()
            if process.returncode == 0:
                break
            assert process.returncode == -9, process.returncode
            if not is_first:
                assert all(is_either(table, old, new) for table in lake.tables().values()), step
            lake.load(new)
            lake.check(new)
            old, new = new, old
            step += 1
        print(f"  {'first' if is_first else 'later'} night: killed at each of {step} steps")
        assert step == STEPS[is_first]


def wait_at(process: subprocess.Popen[str], action: Path) -> bool:
    """Waits until a load has reached its step. Returns whether there was one."""
    while process.poll() is None and not action.with_suffix(".reached").exists():
        time.sleep(0.02)
    return process.poll() is None


def overtaken(lake: Lake, exported: Path, other: Path, step: int) -> bool:
    """Whether a load has a step. There it waits while another load runs. The first one must fail."""
    action = lake.directory.with_name(f"{lake.directory.name}-{step}")
    process = lake.start(exported, step, action)
    if is_there := wait_at(process, action):
        lake.load(other)
        action.with_suffix(".continue").touch()
    _, printed = process.communicate()
    assert process.returncode == int(is_there), printed
    if is_there:
        assert CONFLICT in printed and printed.count("\n") == 1, printed
    return is_there


def check_conflicts(base: Path) -> None:
    """A load waits at each step while another one runs. It fails, and the tables are those of the other one."""
    old, new, other = small_exports(base, 3)
    later = Lake(base / "later")
    later.load(old)
    for is_first in (True, False):
        step = 0
        while overtaken(lake := Lake(base / f"first-{step}") if is_first else later, new, other, step):
            lake.check(other)
            lake.load(old)
            step += 1
        print(f"  {'first' if is_first else 'later'} night: another load at each of {step} steps")
        assert step == STEPS[is_first]
    # Each of two loads replaces a table that the other one leaves as it is.
    lake = Lake(base / "crossed")
    lake.load(old)
    assert overtaken(lake, mixture(old, new, "tasks", base), mixture(old, new, "messages", base), 0)
    lake.load(new)
    lake.check(new)


def check_races(base: Path) -> None:
    """Loads different exports at the same time."""
    exports = small_exports(base, RACERS)
    won = lost = 0
    for number in range(RACES):
        # Every second race creates the tables.
        lake = Lake(base / f"lake-{number // 2}")
        lake.directory.mkdir(exist_ok=True)
        # Two processes cannot create a catalog of SQLite, or a namespace of it, at the same time.
        lake.catalog().create_namespace_if_not_exists(NAMESPACE)
        processes = [lake.start(out, -1, "") for out in exports]
        printed = [process.communicate() for process in processes]
        for process, (_, error) in zip(processes, printed):
            won, lost = won + (process.returncode == 0), lost + (process.returncode == 1)
            assert process.returncode == 0 or (CONFLICT in error and error.count("\n") == 1), error
        assert all(is_either(table, *exports) for table in lake.tables().values() if table.current_snapshot())
        assert all(len(live_files(table)) <= 1 for table in lake.tables().values())
        lake.load(exports[0])
        lake.check(exports[0])
    print(f"  {RACES} races of {RACERS} loads: {won} loads ended with 0, {lost} with 1")


def mixture(one: Path, other: Path, table: str, base: Path) -> Path:
    """An export with one table of another export."""
    out = base / f"mixture-{table}"
    shutil.copytree(one, out, ignore=shutil.ignore_patterns(".scale-export"))
    shutil.copy(table_files(other)[table], out)
    manifest, listed = (json.loads((it / "manifest.json").read_text()) for it in (out, other))
    manifest["tables"][table] = listed["tables"][table]
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out


def check_refusals(base: Path) -> None:
    """Nothing changes if a table is not one of the example, or the export is not complete."""
    old, new = small_exports(base, 2)
    lake = Lake(base / "lake")
    lake.directory.mkdir()
    catalog = lake.catalog()
    catalog.create_namespace(NAMESPACE)
    # The last table, so that the first one is not created before it is found.
    schema = pyarrow.schema([("task_id", pyarrow.string())])
    table = catalog.create_table(f"{NAMESPACE}.tasks", schema)
    table.append(pyarrow.table({"task_id": ["kept"]}))
    files = lake.files()
    assert "did not create scale_export.tasks" in lake.load(old, code=1)
    assert lake.files() == files

    lake = Lake(base / "other")
    lake.load(old)
    files = lake.files()
    # A file of another publication, as between two renames of a run.
    shutil.copy(table_files(old)["messages"], new)
    damaged = lake.load(new, code=1)
    assert "is not the file in manifest.json" in damaged, damaged
    assert lake.files() == files
    export(csv := base / "csv", range(1, 5), "--format=csv")
    assert "export with --format parquet" in lake.load(csv, code=1)
    assert "could not read the export" in lake.load(base / "none", code=1)
    assert lake.files() == files
    unknown = finished([sys.executable, EXAMPLE, old, "--catalog", "unknown"], 1, env={"HOME": str(base)})
    print("  " + unknown.rstrip())


def check_s3(base: Path) -> None:
    """Loads into a bucket, with a catalog of `.pyiceberg.yaml`."""
    import boto3

    old, new = small_exports(base, 2)
    port = free_port()
    endpoint, region, secret = f"http://127.0.0.1:{port}", "us-east-1", "very-secret"
    (base / ".pyiceberg.yaml").write_text(
        f"""
catalog:
  lake:
    type: sql
    uri: sqlite:///{base}/catalog.db
    warehouse: s3://lake/tables
    s3.endpoint: {endpoint}
    s3.access-key-id: test
    s3.secret-access-key: {secret}
    s3.region: {region}
"""
    )
    with server(port, Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", port):
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": secret, "region_name": region}
        boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="lake")
        environment = {**os.environ, "PYICEBERG_HOME": str(base)}
        for exported in (old, new, new, old):
            command = [sys.executable, EXAMPLE, exported, "--catalog", "lake", "--namespace", "nightly"]
            printed = finished(command, 0, env=environment)
            assert f"nightly has publication {publication(exported)}" in printed, printed
            properties = {"s3.endpoint": endpoint, "s3.access-key-id": "test", "s3.secret-access-key": secret}
            uri = f"sqlite:///{base}/catalog.db"
            catalog = load_catalog("lake", type="sql", uri=uri, **properties, **{"s3.region": region})
            for name, file in table_files(exported).items():
                table = catalog.load_table(("nightly", name))
                assert live_files(table)[0].startswith("s3://lake/tables/"), live_files(table)
                rows = table.scan().to_arrow()
                assert rows.num_rows == pyarrow.parquet.read_metadata(file).num_rows
            assert len(table.snapshots()) <= 3


PARTS: dict[str, Callable[[Path], None]] = {
    "nights": check_nights,
    "kills": check_kills,
    "conflicts": check_conflicts,
    "races": check_races,
    "refusals": check_refusals,
    "s3": check_s3,
}


def main() -> None:
    chosen = sys.argv[2:] or list(PARTS)
    with tempfile.TemporaryDirectory() as directory:
        # chdb reads files below the working directory only.
        os.chdir(directory)
        for name in chosen:
            started = time.monotonic()
            print(f"{name}:", flush=True)
            (base := Path(directory) / name).mkdir()
            PARTS[name](base)
            print(f"  {time.monotonic() - started:.1f} s", flush=True)
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
