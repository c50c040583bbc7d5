#!/usr/bin/env python3
"""Instructions that each stage takes per byte of JSON, counted by callgrind: the same from run to run within a tenth of
a percent, whatever else the machine does. Needs valgrind.

    python3 benches/instructions.py --json target/bench/before.json
    python3 benches/instructions.py --baseline target/bench/before.json

The work is that of `benches/stages.rs`; what a stage needs is made before and not counted. valgrind shows the program
a processor without AVX-512; instructions say nothing of the caches and of how many go at a time, so a change that
counts is measured in time too.
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
    """Builds the stages; gives the program."""
    command = ["cargo", "bench", "--locked", "--bench", "stages", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        raise SystemExit("the stages could not be built")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "stages":
            return message["executable"]
    raise SystemExit("cargo does not say where the stages are")


def count(program, stage, tasks_of, tasks):
    """Instructions per byte.

    Name, arguments and environment lie on the stack; when they are longer, what stands behind them is aligned in
    another way, which makes up to two percent. So they are always the same.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        (pathlib.Path(place) / "stages").symlink_to(pathlib.Path(program).resolve())
        # Only within the function of this name, and what it calls.
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
    parser.add_argument("--program", help="the stages, when they are built already")
    parser.add_argument("--tasks", type=int, default=300, help="tasks of the sandbox (default: %(default)s)")
    parser.add_argument("--only", default="", help="stages whose name matches this expression")
    parser.add_argument("--json", type=pathlib.Path, help="write the results to this file too")
    parser.add_argument("--baseline", type=pathlib.Path, help="results to compare with")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is not there, which counts the instructions (Debian: apt install valgrind)")
    stages = [stage for stage in STAGES if re.search(options.only, stage)]
    if not stages:
        parser.error(f"no stage matches {options.only!r}; there are {', '.join(STAGES)}")
    before = {}
    if options.baseline:
        try:
            baseline = json.loads(options.baseline.read_text())
        except (OSError, ValueError) as error:
            raise SystemExit(f"the baseline cannot be read: {error}")
        if baseline["tasks"] != options.tasks:
            raise SystemExit(f"the baseline is of {baseline['tasks']} tasks: --tasks {baseline['tasks']}")
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
                line += f" {100 * (value / old - 1):+.2f} % |" if old else " new |"
        print(line, flush=True)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        report = {"tasks": options.tasks, "instructions_per_byte": results}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


main()
