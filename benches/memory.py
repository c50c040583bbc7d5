#!/usr/bin/env python3
"""Peak memory of `scale-export flatten` where it could grow: one huge task, some of them, and many small ones.

    cargo build --release --locked && python3 benches/memory.py

Needs 2 GB of disk below target/ for a while, and 3 GB of memory.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/scale-export"
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


def peak(*arguments):
    """Peak memory in MB, and seconds."""
    begin = time.perf_counter()
    child = subprocess.Popen([PROGRAM, *arguments, "--quiet"])
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"{arguments}: ended with {status}")
    return usage.ru_maxrss * 1024 / 1e6, time.perf_counter() - begin


def make(name, place):
    """Writes the tasks of a case."""
    with open(place, "w") as file:
        file.writelines(line + "\n" for line in CASES[name]())


def main():
    if len(sys.argv) > 1:
        return make(*sys.argv[1:])
    if not PROGRAM.exists():
        raise SystemExit(f"{PROGRAM}: is not there; cargo build --release --locked makes it")
    print("| tasks | JSON, MB | peak memory from JSON lines, MB | in place, MB | seconds |\n|---|--:|--:|--:|--:|")
    for name in CASES:
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir(parents=True)
        source, out = PLACE / "tasks.jsonl", PLACE / "out"
        # In a process of its own: a child's peak memory is never less than that of its parent.
        subprocess.run([sys.executable, __file__, name, source], check=True)
        read, seconds = peak("flatten", source, "--out", out)
        again, _ = peak("flatten", out, "--out", out)
        print(f"| {name} | {source.stat().st_size / 1e6:,.0f} | {read:,.0f} | {again:,.0f} | {seconds:.1f} |", flush=True)
    shutil.rmtree(PLACE)


main()
