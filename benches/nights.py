#!/usr/bin/env python3
"""Cost of a nightly run of a large export in which few tasks change, compared with building all tables.

    cargo build --release --locked && python3 benches/nights.py

`scale-export sandbox` serves the tasks on the same machine. The list is in the order of creation, with so many new tasks
a day as change in a night. In the first night, two groups of tasks are not found; each later night, one group is there:

    recent      tasks that complete in this night, if a task takes 14 days on average (exponential)
    even        tasks that are spread evenly over the list
    nothing     no task changes

Each result is compared byte by byte with `flatten` into a new directory.
"""

import argparse
import filecmp
import pathlib
import random
import shutil
import statistics
import subprocess

from machine import KEY, PROGRAM, ROOT, existing, free_port, machine, measured, process, wait_for

PLACE = ROOT / "target/bench/nights"
DAYS_TO_COMPLETE = 14


class Nights:
    def __init__(self, program, tasks, changed):
        self.program, self.tasks, self.changed = program, tasks, changed
        self.ids, self.out, self.port = PLACE / "ids.txt", PLACE / "out", free_port()
        self.ids.write_text("".join(f"task_{number}\n" for number in range(1, tasks + 1)))

    def groups(self):
        """The tasks that change in the two nights."""
        drawn, recent = random.Random(1), set()
        while len(recent) < self.changed:
            age = drawn.expovariate(1 / DAYS_TO_COMPLETE)
            recent.add(self.tasks - int(age * self.changed))
        step = self.tasks // self.changed
        even = {number for number in range(step // 2, self.tasks, step)} - recent
        return [number for number in sorted(recent) if number > 0], sorted(even)

    def run(self, missing, *options):
        """A run against a sandbox that lacks some tasks."""
        log = PLACE / "sandbox.log"
        command = [self.program, "sandbox", "--port", str(self.port), "--tasks", str(self.tasks), "--key", KEY]
        for number in missing:
            command += ["--fail-id", f"not_found=task_{number}"]
        with log.open("wb") as stderr, process(command, stdout=subprocess.DEVNULL, stderr=stderr) as sandbox:
            wait_for(self.port, sandbox, log)
            url = f"http://127.0.0.1:{self.port}"
            how = ["--plan", "ids", "--rate", "max", "--refresh", "none", "--tolerate", "100%", "--base-url", url]
            return measured(self.program, "--ids", self.ids, "--out", self.out, *how, *options)

    def again(self, missing, rounds):
        """The figures of several runs, each from the same state."""
        saved = PLACE / "saved"
        shutil.copytree(self.out, saved)
        for number in range(rounds):
            if number > 0:
                shutil.rmtree(self.out)
                shutil.copytree(saved, self.out)
            yield self.run(missing)
        shutil.rmtree(saved)

    def compare(self):
        """Fails unless `flatten` into a new directory gives the same bytes."""
        other = PLACE / "new"
        shutil.rmtree(other, ignore_errors=True)
        measured(self.program, "flatten", self.out, "--out", other, "--tolerate", "100%")
        names = sorted(path.name for path in other.iterdir() if path.is_file() and path.name != "manifest.json")
        same, _, _ = filecmp.cmpfiles(self.out, other, names, shallow=False)
        if same != names or len(names) < 19:
            raise SystemExit(f"other bytes than in a new directory: {sorted(set(names) - set(same))}")
        shutil.rmtree(other)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=PROGRAM, type=pathlib.Path)
    parser.add_argument("--tasks", default=1_000_000, type=int)
    parser.add_argument("--changed", default=1_000, type=int)
    parser.add_argument("--rounds", default=5, type=int, help="runs of which the median is shown; the first night is one")
    options = parser.parse_args()
    program = existing(options.program)
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    nights = Nights(program, options.tasks, options.changed)
    recent, even = nights.groups()
    print(f"on {machine()}, medians of {options.rounds}\n\n{options.tasks:,} tasks of the sandbox, {options.changed:,} change in a night\n")
    print("| | wall time | CPU time | of all built | peak memory |\n|---|--:|--:|--:|--:|", flush=True)
    taken = {}

    def show(name, figures):
        wall, cpu, memory = figures
        taken[name] = figures
        share = f"{cpu / taken['all built'][1]:.2f}" if "all built" in taken else ""
        print(f"| {name} | {wall:.2f} s | {cpu:.2f} s | {share} | {memory:.0f} MB |", flush=True)

    def median(runs):
        return [statistics.median(figures) for figures in zip(*runs, strict=True)]

    def repeated(measure):
        return median(measure() for _ in range(options.rounds))

    show("first night, all fetched", nights.run(recent + even))

    def build():
        (nights.out / ".scale-export/ranges").unlink()
        return measured(program, "flatten", nights.out, "--out", nights.out, "--tolerate", "100%")

    show("all built", repeated(build))
    show(f"{len(recent):,} recent tasks change", median(nights.again(even, options.rounds)))
    nights.compare()
    show(f"{len(even):,} spread tasks change", median(nights.again([], options.rounds)))
    nights.compare()
    show("nothing changes", repeated(lambda: nights.run([])))
    show("all copied", repeated(lambda: measured(program, "flatten", nights.out, "--out", nights.out)))
    nights.compare()
    shutil.rmtree(PLACE)


main()
