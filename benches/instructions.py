#!/usr/bin/env python3
"""Instructions of each stage per byte of JSON, counted by callgrind. Runs differ by less than a tenth of a percent, even on a
busy machine. Needs valgrind.

    python3 benches/instructions.py --json target/bench/before.json
    python3 benches/instructions.py --baseline target/bench/before.json

The work is that of `benches/stages.rs`; the input of a stage is prepared first and not counted. valgrind emulates a CPU without
AVX-512. Instruction counts do not include caches and parallel execution, so measure the time of an important change too.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from machine import ROOT
from results import STAGES

SETS = ("sandbox", "long texts")
TIMES = 2


def build():
    """Builds the stages; returns the program."""
    command = ["cargo", "bench", "--locked", "--bench", "stages", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        raise SystemExit("the stages could not be built")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "stages":
            return message["executable"]
    raise SystemExit("cargo did not report the path of the stages")


def count(program, stage, tasks_of, tasks):
    """Instructions per byte.

    Name, arguments and environment are on the stack. Their length changes the alignment of what follows, which changes the
    count by up to two percent. So they are always the same.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        (pathlib.Path(place) / "stages").symlink_to(pathlib.Path(program).resolve())
        # Counts only the function with this name, and what it calls.
        command = [shutil.which("valgrind"), "--tool=callgrind", "--callgrind-out-file=out", "--collect-atstart=no"]
        command += ["--toggle-collect=*stages*counted*", "./stages", "count", stage, tasks_of, str(tasks), str(TIMES)]
        ended = subprocess.run(command, cwd=place, env={}, capture_output=True, text=True)
        if ended.returncode != 0:
            raise SystemExit(f"{stage} ended with {ended.returncode}:\n{ended.stderr}")
    collected = re.search(r"Collected : (\d+)", ended.stderr)
    instructions = int(collected[1]) if collected else 0
    if instructions == 0:
        raise SystemExit(f"{stage}: nothing was counted:\n{ended.stderr}")
    return instructions / json.loads(ended.stdout)["bytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", help="a built program with the stages")
    parser.add_argument("--tasks", type=int, default=300, help="tasks of the sandbox (default: %(default)s)")
    parser.add_argument("--only", default="", help="stages whose name matches this expression")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results to this file")
    parser.add_argument("--baseline", type=pathlib.Path, help="results to compare with")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is not installed; it counts the instructions (Debian: apt install valgrind)")
    stages = [stage for stage in STAGES if re.search(options.only, stage)]
    if not stages:
        parser.error(f"no stage matches {options.only!r}; the stages are {', '.join(STAGES)}")
    before = {}
    if options.baseline:
        try:
            baseline = json.loads(options.baseline.read_text())
        except (OSError, ValueError) as error:
            raise SystemExit(f"the baseline cannot be read: {error}")
        if baseline["tasks"] != options.tasks:
            raise SystemExit(f"the baseline has {baseline['tasks']} tasks: use --tasks {baseline['tasks']}")
        before = baseline["instructions_per_byte"]
    program = options.program or build()
    header = "| stage | " + " | ".join(f"{name}" + (" | change" if before else "") for name in SETS) + " |"
    print("Instructions per byte of JSON\n")
    print(header + "\n|---|" + "--:|" * header.count(" | "))
    results = {}
    for stage in stages:
        results[stage] = {}
        line = f"| {stage} |"
        for tasks_of in SETS:
            value = count(program, stage, tasks_of, options.tasks)
            results[stage][tasks_of] = value
            line += f" {value:.3f} |"
            if before:
                old = before.get(stage, {}).get(tasks_of)
                line += f" {100 * (value / old - 1):+.2f}% |" if old else " new |"
        print(line, flush=True)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        report = {"tasks": options.tasks, "instructions_per_byte": results}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


main()
