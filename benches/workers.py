#!/usr/bin/env python3
"""How much faster several workers build tables than one.

    cargo build --release --locked && python3 benches/workers.py

The tasks of a file of JSON lines are repeated under other IDs. `flatten` reads them once into a journal, which takes as much
disk as a quarter of their text. Then their tables are built in place by each number of workers in turn, and each result is
compared with the first one.
"""

import argparse
import contextlib
import hashlib
import itertools
import pathlib
import shutil
import statistics
import subprocess

from machine import PROGRAM, ROOT, existing, machine, measured

PLACE = ROOT / "target/bench/workers"
LINES = ROOT / "target/bench/tasks_with_real_texts_20000.jsonl"
KEY = b'"task_id":"'


def renamed(lines, count):
    """So many tasks: those of the file, repeated with other IDs. Line by line, since the memory of this process would count as
    that of the processes that it starts."""
    turn, left = 0, count
    while left > 0:
        with lines.open("rb") as tasks:
            for task in itertools.islice(tasks, left):
                # The first key of this name is the task's own, in the files that the other scripts write.
                before, key, rest = task.rstrip(b"\n").partition(KEY)
                if not key:
                    raise SystemExit(f"{lines}: a line has no {KEY.decode()}")
                task_id, quote, rest = rest.partition(b'"')
                yield b"".join([before, key, task_id, b"_%d" % turn, quote, rest, b"\n"])
                left -= 1
        if left == count > 0:
            raise SystemExit(f"{lines}: has no tasks")
        turn += 1


def digests(out):
    """The tables of an export, by their content."""
    found = {}
    for path in out.glob("*.parquet"):
        with path.open("rb") as table:
            found[path.name] = hashlib.file_digest(table, "sha256").hexdigest()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=PROGRAM, type=pathlib.Path)
    parser.add_argument("--lines", default=LINES, type=pathlib.Path, help="a file of JSON lines")
    parser.add_argument(
        "--tasks", default=300_000, type=int, help="with few, the last range is built while other workers have none"
    )
    parser.add_argument("--workers", default=[1, 2, 8], type=int, nargs="+")
    parser.add_argument("--rounds", default=5, type=int)
    options = parser.parse_args()
    if not options.lines.is_file():
        raise SystemExit(f"{options.lines}: not found; give a file of JSON lines with --lines")
    program = existing(options.program)
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    out = PLACE / "out"
    reading = [program, "flatten", "-", "--out", out, "--quiet"]
    with subprocess.Popen(reading, stdin=subprocess.PIPE) as flatten:
        # If `flatten` ends early, its exit code tells more than the broken pipe.
        with contextlib.suppress(BrokenPipeError):
            flatten.stdin.writelines(renamed(options.lines, options.tasks))
            flatten.stdin.close()
    if flatten.returncode != 0:
        raise SystemExit(f"flatten of the lines: exited with {flatten.returncode}")
    expected, taken = digests(out), {workers: [] for workers in options.workers}
    for turn in range(options.rounds):
        # In turn forwards and backwards, so that a change of the clock speed affects all of them.
        for workers in options.workers[:: -1 if turn % 2 else 1]:
            # Without this file, no range is copied.
            (out / ".scale-export/ranges").unlink(missing_ok=True)
            taken[workers].append(measured(program, "flatten", out, "--out", out, "--threads", str(workers)))
            if digests(out) != expected:
                raise SystemExit(f"{workers} workers: other tables")
    print(f"{options.tasks:,} tasks of {options.lines.name}, medians of {options.rounds}, on {machine()}\n")
    print("| workers | wall time | faster than the first | CPU time | peak memory |\n|--:|--:|--:|--:|--:|")
    medians = {workers: [statistics.median(column) for column in zip(*runs)] for workers, runs in taken.items()}
    first = medians[options.workers[0]][0]
    for workers, (wall, cpu, memory) in medians.items():
        print(f"| {workers} | {wall:.2f} s | {first / wall:.2f} | {cpu:.2f} s | {memory:.0f} MB |")
    copied = statistics.median(measured(program, "flatten", out, "--out", out)[0] for _ in range(options.rounds))
    print(f"\nall ranges copied: {copied:.2f} s")
    shutil.rmtree(PLACE)


main()
