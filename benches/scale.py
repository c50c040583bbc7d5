#!/usr/bin/env python3
"""Cost of a task in an export of a million, compared with an export of ten thousand; tasks of the sandbox.

    cargo build --release --locked && python3 benches/scale.py

`scale-export sandbox` generates and serves the tasks on the same machine. The small export runs several times before the
large one and as often after it: the differences show whether the clock speed of the machine changed. The tables are also
rebuilt in place, from the journal alone. Wall time, CPU time and peak memory are the kernel's figures.
"""

import argparse
import pathlib
import shutil
import statistics
import subprocess

from machine import KEY, PROGRAM, ROOT, existing, free_port, machine, measured, process, wait_for

PLACE = ROOT / "target/bench/scale"


def size(directory):
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


class Scale:
    """Exports to one directory, one after the other."""

    def __init__(self, program, port):
        self.program, self.port = program, port
        self.taken = {}

    def measure(self, tasks):
        ids, out = PLACE / f"{tasks}.ids", PLACE / "out"
        if not ids.exists():
            ids.write_text("".join(f"task_{number}\n" for number in range(1, tasks + 1)))
        shutil.rmtree(out, ignore_errors=True)
        url = f"http://127.0.0.1:{self.port}"
        export = measured(self.program, "--ids", ids, "--out", out, "--plan", "ids", "--rate", "max", "--base-url", url)
        held = size(out)
        again = measured(self.program, "flatten", out, "--out", out)
        self.taken.setdefault(tasks, []).append((export, again, held))
        self.show(f"{tasks:,}", export, again, held, tasks)

    @staticmethod
    def show(name, export, again, held, tasks):
        (wall, cpu, memory), (wall_again, cpu_again, memory_again) = export, again
        cells = [f"{wall:.2f} s", f"{cpu:.2f} s", f"{cpu / tasks * 1000:.3f} ms", f"{memory:.0f} MB"]
        cells += [f"{held / 1e6:,.0f} MB", f"{wall_again:.2f} s", f"{cpu_again:.2f} s", f"{memory_again:.0f} MB"]
        print("| " + " | ".join([name, *cells]) + " |", flush=True)

    def median(self, tasks):
        """Wall and CPU time per task, exported and rebuilt."""
        parts = [lambda t: t[0][0], lambda t: t[0][1], lambda t: t[1][0], lambda t: t[1][1]]
        return [statistics.median(map(part, self.taken[tasks])) / tasks for part in parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=PROGRAM, type=pathlib.Path)
    parser.add_argument("--tasks", default=1_000_000, type=int)
    parser.add_argument("--few", default=10_000, type=int)
    parser.add_argument("--rounds", default=3, type=int, help="rounds of the small export, before and after the large one")
    options = parser.parse_args()
    if options.few > options.tasks:
        raise SystemExit("--few is greater than --tasks")
    program = existing(options.program)
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    port, log = free_port(), PLACE / "sandbox.log"
    command = [program, "sandbox", "--port", str(port), "--tasks", str(options.tasks), "--key", KEY]
    print(f"on {machine()}\n")
    heads = ["tasks", "export", "CPU time", "CPU time per task", "peak memory", "journal and tables"]
    heads += ["rebuilt", "CPU time", "peak memory"]
    print("| " + " | ".join(heads) + " |\n|" + "--:|" * len(heads), flush=True)
    with log.open("wb") as stderr, process(command, stdout=subprocess.DEVNULL, stderr=stderr) as sandbox:
        wait_for(port, sandbox, log)
        scale = Scale(program, port)
        for tasks in [options.few] * options.rounds + [options.tasks] + [options.few] * options.rounds:
            scale.measure(tasks)
    names = ("exported, wall time", "exported, CPU time", "rebuilt, wall time", "rebuilt, CPU time")
    print(f"\ntime per task of {options.tasks:,} / time per task of {options.few:,} (median)")
    for name, many, few in zip(names, scale.median(options.tasks), scale.median(options.few), strict=True):
        print(f"{name}: {many / few:.2f}")
    shutil.rmtree(PLACE)


main()
