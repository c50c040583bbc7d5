#!/usr/bin/env python3
"""Peak memory of exports that could need much: many tasks, one huge task, and several huge tasks.

    cargo build --release --locked && python3 benches/memory.py

Exports of 5,000 and of 100,000 tasks have a limit of 100 MB, and the script fails when one takes more. The tasks come from
`scale-export sandbox` on the same machine; `--lines FILE` adds tasks from a file of JSON lines. Needs 3 GB of temporary
disk space below target/, and 3 GB of memory.

`--growth` instead compares the memory of a million tasks with that of 100,000 of them, apart from IDs and index.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys

from machine import KEY, PROGRAM, ROOT, existing, free_port, measured, process, wait_for

PLACE = ROOT / "target/bench/memory"
HUGE = 100_000_000
COUNTS = (5_000, 100_000)

LIMIT = 100
"""Maximum peak memory of these runs, in MB."""


def task(task_id, content=None, **members):
    """A task with one message."""
    message = {"role": "user", **(content or {})}
    threads = [{"turns": [{"messages": [message]}]}]
    return json.dumps({"task_id": task_id, "threads": threads, **members}, separators=(",", ":"))


def long_text(size):
    sentences = (f"Sentence {number} of many. " for number in range(size // 20))
    return "".join(sentences)[:size]


def many_rows(size):
    annotation = {"key": "quality", "type": "integer", "value": 1, "justification": "because it is so"}
    return [annotation] * (size // len(json.dumps(annotation, separators=(",", ":"))))


CASES = {
    "one task of 100 MB, one text": lambda: [task("task_1", {"content": {"text": long_text(HUGE)}})],
    "one task of 100 MB, annotations": lambda: [task("task_1", {"annotations": many_rows(HUGE)})],
    "one task of 100 MB, numbers in its metadata": lambda: [task("task_1", metadata=[1] * (HUGE // 2))],
    "ten tasks of 30 MB, one text each": lambda: (
        task(f"task_{number}", {"content": {"text": long_text(30_000_000)}}) for number in range(10)
    ),
    "a million tasks with only an ID of 12 bytes": lambda: (
        f'{{"task_id":"task_{number:07}"}}' for number in range(1_000_000)
    ),
}


def make(name, place):
    """Writes the tasks of a case."""
    with open(place, "w") as file:
        file.writelines(line + "\n" for line in CASES[name]())


def many(program, lines):
    """Measures exports of many tasks, rebuilt tables, and flattened lines; returns whether all kept the limit."""
    kept = True

    def show(name, *memories):
        nonlocal kept
        kept = kept and max(memories) <= LIMIT
        cells = [f"{memory:.0f}" + ("" if memory <= LIMIT else " (over)") for memory in memories]
        print("| " + " | ".join([name, *cells]) + " |", flush=True)

    print("| tasks | Parquet, MB | rebuilt, MB | CSV, MB | rebuilt, MB |\n|---|--:|--:|--:|--:|")
    port, log = free_port(), PLACE / "sandbox.log"
    command = [program, "sandbox", "--port", str(port), "--key", KEY]
    out = PLACE / "out"
    with log.open("wb") as stderr, process(command, stdout=subprocess.DEVNULL, stderr=stderr) as sandbox:
        wait_for(port, sandbox, log)
        for count in COUNTS:
            ids = PLACE / "ids.txt"
            ids.write_text("".join(f"task_{number}\n" for number in range(1, count + 1)))
            fetch = ["--ids", ids, "--plan", "ids", "--rate", "max", "--base-url", f"http://127.0.0.1:{port}"]
            memories = []
            for form in ("parquet", "csv"):
                for source in (fetch, ["flatten", out]):
                    memories.append(measured(program, *source, "--out", out, "--format", form)[2])
                shutil.rmtree(out)
            show(f"{count:,} of the sandbox", *memories)
    for source in lines:
        memories = []
        for form in ("parquet", "csv"):
            for place in (source, out):
                memories.append(measured(program, "flatten", place, "--out", out, "--format", form)[2])
            shutil.rmtree(out)
        show(source.name, *memories)
    print()
    return kept


def range_lengths(out):
    """The numbers of tasks in the ranges of an export."""
    _, text = (out / ".scale-export/ranges").read_text().split("\n", 1)
    tables = [{table["table"]: table["rows"] for table in saved["tables"]} for saved in json.loads(text)["ranges"]]
    return [rows["tasks"] for rows in tables]


def growth(program):
    """Rebuilds the tables of many tasks and of a part of them with two threads. Both have ranges of the greatest length."""
    everything, part = PLACE / "all", PLACE / "part"
    rounds = 5

    def export(out, first, count):
        ids = PLACE / "ids.txt"
        # Not as one text: a child's peak memory is never less than that of its parent.
        with ids.open("w") as file:
            file.writelines(f"task_{number}\n" for number in range(first, first + count))
        measured(program, "--ids", ids, "--out", out, "--sandbox", "--rate", "max", "--tolerate", "100%")

    export(everything, 1, 1_000_000)
    lengths = range_lengths(everything)
    longest = max(range(len(lengths) - 10), key=lambda number: lengths[number] + lengths[number + 1])
    export(part, 1 + sum(lengths[:longest]), 100_000)
    all_tables = {part: [], everything: []}
    one_table = {part: [], everything: []}
    for _ in range(rounds):
        for out in (part, everything):
            rebuild = ["flatten", out, "--out", out, "--threads", "2", "--tolerate", "100%"]
            one = measured(program, *rebuild, "--format", "csv", "--tables", "batches")
            one_table[out].append(one[2])
            all_tables[out].append(measured(program, *rebuild)[2])
    print(f"medians of {rounds}, two threads\n")
    print("| tasks | all tables, MB | only `batches` as CSV, MB | difference |\n|---|--:|--:|--:|")
    differences = []
    for out, name in ((part, "100,000"), (everything, "1,000,000")):
        whole, one = statistics.median(all_tables[out]), statistics.median(one_table[out])
        differences.append(whole - one)
        print(f"| {name} | {whole:.0f} | {one:.0f} | {whole - one:.0f} |")
    print(f"\nthe difference grows by {100 * (differences[1] / differences[0] - 1):.0f}%")


def huge(program):
    print("| tasks | JSON, MB | peak memory from JSON lines, MB | in place, MB | seconds |\n|---|--:|--:|--:|--:|")
    for name in CASES:
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir(parents=True)
        source, out = PLACE / "tasks.jsonl", PLACE / "out"
        # In a separate process: a child's peak memory is never less than that of its parent.
        subprocess.run([sys.executable, __file__, "--make", name, source], check=True)
        seconds, _, read = measured(program, "flatten", source, "--out", out)
        _, _, again = measured(program, "flatten", out, "--out", out)
        print(f"| {name} | {source.stat().st_size / 1e6:,.0f} | {read:,.0f} | {again:,.0f} | {seconds:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=PROGRAM, type=pathlib.Path)
    parser.add_argument("--lines", action="append", default=[], type=pathlib.Path, help="a file of JSON lines")
    parser.add_argument("--only-many", action="store_true", help="skip the huge tasks")
    parser.add_argument("--growth", action="store_true", help="only compare a million tasks with 100,000 of them")
    # For the process that generates the tasks.
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        return make(*options.make)
    program = existing(options.program)
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    if options.growth:
        growth(program)
        return shutil.rmtree(PLACE)
    kept = many(program, options.lines)
    if not options.only_many:
        huge(program)
    shutil.rmtree(PLACE)
    if not kept:
        raise SystemExit(f"a run took more than {LIMIT} MB")


main()
