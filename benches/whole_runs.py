#!/usr/bin/env python3
"""Whole runs of `scale-export` compared with alternatives, on one machine.

    export    tasks over nginx to tables, against an aiohttp script and, with --slow, curl and DuckDB
    flatten   JSON lines to tables, against DuckDB
    ranges    tables rebuilt in place, with 1, 2 and 8 threads, and copied
    fetch     60,000 responses of under 1 kB, against wrk on the same server and URLs
    size      the four core tables, against DuckDB's own Parquet with zstd of the same columns
    queries   DuckDB over our files, against DuckDB over the files that it writes
    start     from the start of the process to the arrival of the first request

`export`, `flatten`, `size` and `queries` measure each size of --tasks, and the first two also one task, which shows what
start-up costs. All runs of a round follow each other, each to a separate directory, and the next round has the reverse order.
Results are medians of the rounds. Wall time, CPU time and peak memory of the process, without the server, are the kernel's
figures.

    cargo build --release --locked && python3 benches/whole_runs.py --json target/bench/whole_runs.json

The scripts to compare with are not in this repository. Give the directory of `peer_aiohttp.py`, `duck_flatten.py`,
`peer_curl_duckdb.sh` and `expand_corpus.py` with --peers or SCALE_EXPORT_BENCH_PEERS (default: `../shared/bench`). Without
it, or without nginx, wrk or DuckDB, the script measures what it can, with the sandbox as server and its tasks, and lists what
it left out. Without --python, it creates an environment with the required packages below target/. A child's peak memory is
never less than that of this script, about 20 MB.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import sys

from bench import PACKAGES, Bench, LeftOut
from cases import CASES
from machine import BUSY, PROGRAM, ROOT, busy_with_others, first_line, machine
from results import OURS, described, tables

USE_PYTHON = {"export", "flatten", "size", "queries"}
"""Cases that need the packages of Python."""


def number(text):
    """The version in the output of a program."""
    found = re.search(r"\d+(\.\d+)+", text or "")
    return found and found[0]


def versions(bench):
    out = {
        OURS: number(first_line([bench.program, "--version"])),
        "commit": first_line(["git", "describe", "--always", "--dirty"]),
        "nginx": number(first_line(["nginx", "-v"])),
        "wrk": number(first_line(["wrk", "-v"])),
        "python": platform.python_version(),
    }
    if bench.python:
        code = f"import importlib.metadata as m; print(*[m.version(name) for name in {PACKAGES}])"
        out |= zip(PACKAGES, first_line([bench.python, "-c", code]).split())
    return {name: version for name, version in out.items() if version}


def counts(text):
    """Numbers of tasks, separated by commas."""
    found = sorted({int(count) for count in text.split(",")})
    if found[0] < 1:
        raise ValueError
    return found


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=PROGRAM)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--tasks",
        type=counts,
        default="5000,20000",
        help="numbers of tasks, separated by commas (default: %(default)s); goals are for the largest",
    )
    parser.add_argument("--tiny-tasks", type=int, default=60_000, help="tasks of the case fetch (default: %(default)s)")
    parser.add_argument("--lines", help="a file of JSON lines with the tasks to use instead")
    parser.add_argument("--only", default=",".join(CASES), help="cases, separated by commas (all: %(default)s)")
    parser.add_argument("--peers", help="directory of the scripts to compare with")
    parser.add_argument("--python", help="Python that has " + ", ".join(PACKAGES))
    parser.add_argument("--slow", action="store_true", help="also run curl and DuckDB")
    parser.add_argument("--work", default=ROOT / "target/bench", help="directory for all output")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results to this file")
    given = parser.parse_args()
    given.only = given.only.split(",")
    if unknown := [case for case in given.only if case not in CASES]:
        parser.error(f"unknown case {unknown[0]!r}; the cases are {', '.join(CASES)}")
    if given.rounds < 1 or given.tiny_tasks < 1:
        parser.error("--rounds and --tiny-tasks must be at least 1")
    return given


def measure(bench, name):
    """Measures one case and prints it; `None` if it is left out."""
    try:
        result = CASES[name](bench)
    except LeftOut as missing:
        bench.leave_out(str(missing))
        return None
    print(f"\n**{result['title']}**: {described(result)}\n")
    print("\n".join(tables(result)), flush=True)
    return result


def main():
    bench = Bench(options())
    chosen = bench.options.only
    if not os.access(bench.program, os.X_OK):
        raise SystemExit(f"{bench.program}: not found; run cargo build --release --locked")
    bench.work.mkdir(parents=True, exist_ok=True)
    bench.find_peers()
    if USE_PYTHON & set(chosen):
        bench.find_python()
    bench.inputs()
    busy, results = None, {}
    for name in chosen:
        # Otherwise writing the files of the case before counts as other work.
        os.sync()
        seen = busy_with_others()
        if seen is not None:
            busy = max(busy or 0, seen)
            if seen > BUSY:
                print(f"{seen:.1f} CPUs are busy with other work: times are unreliable", file=sys.stderr)
        if result := measure(bench, name):
            results[name] = result
    report = {
        "date": datetime.date.today().isoformat(),
        "rounds": bench.rounds,
        "machine": machine(),
        "busy_with_others": busy,
        "versions": versions(bench),
        "left_out": bench.left_out,
        "results": results,
    }
    if bench.options.json:
        bench.options.json.parent.mkdir(parents=True, exist_ok=True)
        bench.options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    for what in bench.left_out:
        print(f"\nLeft out: {what}.")
    goals = [goal for result in results.values() for goal in result["goals"]]
    print(f"\n{sum(goal['met'] for goal in goals)} of {len(goals)} goals are met.")


main()
