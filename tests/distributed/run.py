"""Exports a list in shards with Spark and with Ray, kills a worker midway, and compares the result with a single run.

`make distributed` runs it. Arguments: the program of a debug build, which can cut a short list into ranges. Everything listens
on loopback, in a separate network namespace. Linux only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import processes
from clusters import Cluster, Ray, Spark

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "test_key"
TASKS = 3000
SHARDS = 4
# Ranges of 100 to 200 tasks, so that each shard has several.
RANGE_TASKS = 100
# The hidden limit of all shards together.
REQUESTS_PER_SECOND = 60
# The worker is killed when the shards have this share of the responses.
MIDWAY = 0.4
JOB_SECONDS = 600
# After the loss of its parent, a program saves its state.
PROGRAM_END_SECONDS = 10


@contextlib.contextmanager
def limited_sandbox(program: Path) -> Iterator[tuple[str, int]]:
    """A mock server with the hidden limit, by its address and process."""
    limit = f"--limit=token_bucket={REQUESTS_PER_SECOND}/s"
    command = [program, "sandbox", "--port=0", f"--key={KEY}", f"--tasks={TASKS}", limit]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def variables(address: str) -> dict[str, str]:
    # One request for each task: the limit counts requests.
    return {"SCALE_API_URL": address, "SCALE_EXPORT_RANGE_TASKS": str(RANGE_TASKS), "SCALE_EXPORT_PLAN": "ids"}


def published(out: Path) -> dict[str, bytes]:
    """The published files. The manifest has the times of the run, so it is left out."""
    files = (path for path in out.iterdir() if path.is_file() and path.name != "manifest.json")
    return {path.name: path.read_bytes() for path in files}


def journal_bytes(*directories: Path) -> int:
    journals = (directory / ".scale-export/journal" for directory in directories)
    return sum(journal.stat().st_size for journal in journals if journal.exists())


def single_run(program: Path, base: Path) -> tuple[Path, str]:
    """An export of the whole list by one process under the same limit, and its row of the table."""
    out = base / "single"
    inputs = ["--ids", base / "ids.txt", "--api-key-file", base / "key", "--out", out]
    with limited_sandbox(program) as (address, server), processes.PeakMemory(program, ignored=[server]) as peak:
        environment = {**os.environ, **variables(address)}
        started = time.monotonic()
        for command in ([program, *inputs], [program, "verify", out]):
            subprocess.run([*command, "--progress=never", "-q"], env=environment, check=True)
        seconds = time.monotonic() - started
    return out, row("no engine", seconds, "0", "0", out, peak)


def row(name: str, seconds: float, stopped: object, kept: object, out: Path, peak: processes.PeakMemory) -> str:
    """A row of the table."""
    run = json.loads((out / "manifest.json").read_text())["run"]
    share = run["rate_limited"] / run["requests"]
    engine, programs = (f"{size / 2**20:,.0f} MiB" for size in (peak.of_engine, peak.of_programs))
    return f"| {name} | {seconds:.0f} s | {stopped} | {kept} | {share:.1%} | {engine} | {programs} |"


def adapted(engine: str, program: Path, data: Path) -> Path:
    """The example with the paths of this test, and without its pause of a minute."""
    source = (ROOT / f"examples/{engine}_shards.py").read_text()
    for before, after in {
        "/usr/local/bin/scale-export": str(program),
        "/srv/scale": str(data),
        "RETRY_SECONDS = 60": "RETRY_SECONDS = 5",
    }.items():
        assert before in source, before
        source = source.replace(before, after)
    path = data / f"{engine}_shards.py"
    path.write_text(source)
    return path


def kill_worker(cluster: Cluster, program: Path) -> int:
    """Kills all processes of the second worker, except the programs: these must end without it. Returns their number."""
    worker = cluster.second_worker()
    programs = [process for process in worker if processes.runs(process, program)]
    assert programs, f"the second worker of {cluster.name} has no shard"
    processes.end([process for process in worker if process not in programs], signal.SIGKILL)
    left = processes.wait_for_end(programs, PROGRAM_END_SECONDS)
    assert not left, f"{len(left)} programs of the killed worker still run"
    return len(programs)


def run_job(cluster: Cluster, job: Path, program: Path, kill_at: int) -> int:
    """Runs a job, and kills a worker when the shards have received so many bytes. Returns how many shards this stopped."""
    shards = [job.parent / f"shards/{index}" for index in range(SHARDS)]
    limit = time.monotonic() + JOB_SECONDS
    process = cluster.start(*cluster.command(job))
    # The second worker stays the last process of the list.
    cluster.started.insert(0, cluster.started.pop())
    stopped = 0
    while process.poll() is None and time.monotonic() < limit:
        if not stopped and journal_bytes(*shards) >= kill_at:
            stopped = kill_worker(cluster, program)
        time.sleep(0.2)
    if process.returncode != 0:
        sys.exit(f"the job of {cluster.name} failed:\n{cluster.log.read_text(errors='replace')[-8000:]}")
    assert stopped, f"the job of {cluster.name} ended before a worker was killed"
    return stopped


def run_engine(kind: type[Cluster], program: Path, base: Path, single: Path) -> str:
    """Runs the job of an engine, and checks its result. Returns a row of the table."""
    data = base / kind.name
    data.mkdir()
    for name in ("ids.txt", "key"):
        (data / name).symlink_to(base / name)
    job = adapted(kind.name, program, data)
    kill_at = int(journal_bytes(single) * MIDWAY)
    with (
        limited_sandbox(program) as (address, server),
        processes.PeakMemory(program, ignored=[server]) as peak,
        kind(data, variables(address)) as cluster,
    ):
        started = time.monotonic()
        stopped = run_job(cluster, job, program, kill_at)
        seconds = time.monotonic() - started
    out = data / "export"
    assert published(out) == published(single), f"{kind.name}: the combined export differs from a single run"
    run = json.loads((out / "manifest.json").read_text())["run"]
    # Its counters are those of the last run of each shard, which had the responses of the runs before.
    kept = TASKS - (run["requests"] - run["retries"])
    assert kept > 0, f"{kind.name}: the retried shards fetched their tasks twice"
    return row(kind.name.title(), seconds, stopped, kept, out, peak)


def run_all(program: Path, base: Path) -> list[str]:
    """Runs all engines in a directory. Returns the rows of the table."""
    (base / "ids.txt").write_text("".join(f"task_{number}\n" for number in range(1, TASKS + 1)))
    (base / "key").write_text(KEY)
    (base / "key").chmod(0o600)
    single, first = single_run(program, base)
    return [first, *(run_engine(kind, program, base, single) for kind in (Spark, Ray))]


def main() -> None:
    processes.isolate()
    program = Path(sys.argv[1]).resolve()
    try:
        with tempfile.TemporaryDirectory(prefix="d") as directory:
            rows = run_all(program, Path(directory))
    finally:
        left = processes.end_all_of_this_process()
    assert not left, f"{len(left)} processes were left"
    print("| engine | time | stopped shards | tasks kept from them | 429s | peak memory of the engine | of the programs |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(*rows, sep="\n")
    print(f"the combined exports are those of a single run: {TASKS} tasks, {SHARDS} shards, a worker killed midway")


if __name__ == "__main__":
    main()
