#!/usr/bin/env python3
"""Peak memory of `scale-export flatten` where it could grow: one huge task, some of them, and many small ones.

    cargo build --release --locked && python3 benches/memory.py

Needs 2 GB of disk below target/ for a while, and 3 GB of memory.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

from machine import PROGRAM, ROOT, existing, measured

PLACE = ROOT / "target/bench/memory"
HUGE = 100_000_000


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
    "a million tasks with nothing but an ID of 12 bytes": lambda: (
        f'{{"task_id":"task_{number:07}"}}' for number in range(1_000_000)
    ),
}


def make(name, place):
    """Writes the tasks of a case."""
    with open(place, "w") as file:
        file.writelines(line + "\n" for line in CASES[name]())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=PROGRAM, type=pathlib.Path)
    # For the process that makes the tasks.
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        return make(*options.make)
    program = existing(options.program)
    print("| tasks | JSON, MB | peak memory from JSON lines, MB | in place, MB | seconds |\n|---|--:|--:|--:|--:|")
    for name in CASES:
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir(parents=True)
        source, out = PLACE / "tasks.jsonl", PLACE / "out"
        # In a process of its own: a child's peak memory is never less than that of its parent.
        subprocess.run([sys.executable, __file__, "--make", name, source], check=True)
        seconds, _, read = measured(program, "flatten", source, "--out", out)
        _, _, again = measured(program, "flatten", out, "--out", out)
        print(f"| {name} | {source.stat().st_size / 1e6:,.0f} | {read:,.0f} | {again:,.0f} | {seconds:.1f} |", flush=True)
    shutil.rmtree(PLACE)


main()
