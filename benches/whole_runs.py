#!/usr/bin/env python3
"""Whole runs of `scale-export` compared with alternatives, on one machine.

    export    tasks over nginx to tables, against an aiohttp script and, with --slow, curl and DuckDB
    flatten   JSON lines to tables, against DuckDB
    fetch     60,000 responses of under 1 kB, against wrk on the same server and URLs
    size      the four core tables, against DuckDB's own Parquet with zstd of the same columns
    queries   DuckDB over our files, against DuckDB over the files that it writes
    start     from the start of the process to the arrival of the first request

All runs of a round follow each other, each to a separate directory, and the next round has the reverse order. Results are
medians of the rounds. Wall time, CPU time and peak memory of the process, without the server, are the kernel's figures.

    cargo build --release --locked && python3 benches/whole_runs.py --json target/bench/whole_runs.json

The scripts to compare with are not in this repository. Give the directory of `peer_aiohttp.py`, `duck_flatten.py`,
`peer_curl_duckdb.sh` and `expand_corpus.py` with --peers or SCALE_EXPORT_BENCH_PEERS (default: `../shared/bench`). Without
it, or without nginx, wrk or DuckDB, the script measures what it can, with the sandbox as server and its tasks, and lists what
it left out. Without --python, it creates an environment with the required packages below target/. A child's peak memory is
never less than that of this script, about 20 MB.
"""

import argparse
import contextlib
import datetime
import grp
import http.client
import json
import os
import pathlib
import platform
import pwd
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time

from machine import (
    BUSY,
    KEY,
    PROGRAM,
    ROOT,
    busy_with_others,
    first_line,
    free_port,
    machine,
    process,
    runs,
    timed,
    wait_for,
)
from results import OURS, described, tables

CASES = ("export", "flatten", "fetch", "size", "queries", "start")
PACKAGES = ("aiohttp", "orjson", "uvloop", "pyarrow", "duckdb")
CORE = ("tasks", "messages", "annotations", "attachments")
TINY_TASKS = 60_000
CONNECTIONS = 32
WRK_SECONDS = 3

OPEN_FILES = 65_536
"""Files that nginx may have open: one for each task, so that it opens none twice."""

OTHER_FILES = 1_200
"""Part of these for up to 512 connections, a file in transit on each, and nginx."""

FILE_NAME = "[A-Za-z0-9_-]+"
"""Pattern of the IDs of tasks that can be served as files."""

CONF = """
daemon off; {user} pid {run}/pid; error_log {run}/error.log warn; worker_processes 1; worker_rlimit_nofile {open_files};
events {{ worker_connections 512; }}
http {{
  access_log off; default_type application/json; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 100000000; keepalive_timeout 300s;
  open_file_cache max={cached_files} inactive=600s; open_file_cache_valid 600s;
  client_body_temp_path {run}/1; proxy_temp_path {run}/2; fastcgi_temp_path {run}/3; uwsgi_temp_path {run}/4;
  scgi_temp_path {run}/5;
  map $arg_task_id $task {{ default /none; "~^{file_name}$" /$arg_task_id.json; }}
  server {{
    listen 127.0.0.1:{port}; root {files};
    location = /v2/task {{
      if ($http_authorization !~ "^(Bearer|Basic) ") {{ return 401 '{{"error":"unauthorized"}}'; }}
      try_files $task =404;
    }}
  }}
}}
"""

LUA = """
local requests, at = {{}}, 0
function init(_)
  wrk.headers["Authorization"] = "Bearer {key}"
  for path in io.lines("{paths}") do requests[#requests + 1] = wrk.format("GET", path) end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"""


class LeftOut(Exception):
    """A case cannot be measured, since a tool is missing."""


class Bench:
    """State that all cases share."""

    def __init__(self, options):
        self.options = options
        self.rounds = options.rounds
        self.work = pathlib.Path(options.work).resolve()
        self.program = pathlib.Path(options.program).resolve()
        self.left_out = []
        self.results = {}
        self.python = None
        self.peers = None
        self.duckdb = None
        self.made = None

    def leave_out(self, what):
        if what not in self.left_out:
            self.left_out.append(what)
            print(f"left out: {what}", file=sys.stderr)

    def find_peers(self):
        given = self.options.peers or os.environ.get("SCALE_EXPORT_BENCH_PEERS")
        place = pathlib.Path(given) if given else ROOT.parent / "shared" / "bench"
        if (place / "peer_aiohttp.py").is_file() and (place / "duck_flatten.py").is_file():
            self.peers = place.resolve()
        elif given:
            raise SystemExit(f"{place} does not contain peer_aiohttp.py and duck_flatten.py")
        else:
            self.leave_out("the scripts to compare with: give their directory with --peers")

    def find_python(self):
        """An interpreter that has the packages of the scripts."""
        given = self.options.python
        if given:
            if not runs([given, "-c", "import " + ", ".join(PACKAGES)]):
                raise SystemExit(f"{given} cannot import all of {', '.join(PACKAGES)}")
            self.python = given
            return
        place = self.work / "venv"
        python = place / "bin" / "python"
        if not runs([python, "-c", "import " + ", ".join(PACKAGES)]):
            print(f"installing {', '.join(PACKAGES)} into {place}", file=sys.stderr)
            made = runs([sys.executable, "-m", "venv", place]) and runs(
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
            )
            if not made:
                self.leave_out(f"all cases with Python packages: {', '.join(PACKAGES)} could not be installed")
                return
        self.python = str(python)

    def input(self):
        """The tasks to export and flatten, generated on first use."""
        if self.made is None:
            self.made = self.make_tasks()
        return self.made

    def make_tasks(self):
        lines, count = self.work / "tasks.jsonl", self.options.tasks
        expand = self.peers and self.peers / "expand_corpus.py"
        corpus = self.peers and self.peers.parent / "corpus" / "real-small.jsonl.gz"
        if self.options.lines:
            lines, kind = pathlib.Path(self.options.lines).resolve(), "given tasks"
        elif expand and expand.is_file() and corpus.is_file():
            command = [sys.executable, expand, str(count), "-c", corpus, "-o", lines]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            kind = "tasks with real texts"
        else:
            with self.sandbox(["--tasks", str(count)]) as port, lines.open("wb") as out:
                connection = http.client.HTTPConnection("127.0.0.1", port)
                for number in range(1, count + 1):
                    opts = "opts=annotation_details&opts=attachment_details&opts=model_parameters"
                    path = f"/v2/task?task_id=task_{number}&{opts}"
                    connection.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
                    out.write(connection.getresponse().read() + b"\n")
                connection.close()
            kind = "tasks of the sandbox"
        return Input(lines, self.work / "tasks", kind)

    def tiny_tasks(self):
        """Tasks of under 1 kB, like a question with a short text."""
        lines = self.work / "tiny.jsonl"
        with lines.open("w") as out:
            for number in range(TINY_TASKS):
                out.write(json.dumps(tiny_task(number), separators=(",", ":")) + "\n")
        return Input(lines, self.work / "tiny", "tiny tasks")

    @contextlib.contextmanager
    def serve(self, tasks):
        """Serves these tasks with nginx, or with the sandbox. Yields the port and name of the server."""
        if not shutil.which("nginx"):
            self.leave_out("nginx as the server: the sandbox serves instead, and is slower (Debian: nginx-light)")
            with self.sandbox(["--from", str(tasks.lines)]) as port:
                yield port, "the sandbox"
            return
        run, port = self.work / "nginx", free_port()
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        # Otherwise the workers run as a user that cannot read these files.
        user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if os.geteuid() == 0 else ""
        # Keeps as many files open as possible, with room for the connections.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        open_files = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
        limits = {"open_files": open_files, "cached_files": max(1, open_files - OTHER_FILES)}
        conf = CONF.format(run=run, port=port, files=tasks.files, user=user, file_name=FILE_NAME, **limits)
        (run / "nginx.conf").write_text(conf)
        command = ["nginx", "-c", run / "nginx.conf", "-p", run]
        with (run / "stderr").open("wb") as stderr, process(command, stderr=stderr) as nginx:
            wait_for(port, nginx, run / "stderr")
            yield port, "nginx"

    @contextlib.contextmanager
    def sandbox(self, arguments):
        port = free_port()
        command = [self.program, "sandbox", "--port", str(port), *arguments]
        log = self.work / "sandbox.log"
        with log.open("wb") as stderr, process(command, stdout=subprocess.DEVNULL, stderr=stderr) as sandbox:
            wait_for(port, sandbox, log)
            yield port

    def export(self, port, tasks, out):
        command = [self.program, "--ids", tasks.ids, "--out", out, "--plan", "ids", "--rate", "max", "--quiet"]
        return [*command, "--base-url", f"http://127.0.0.1:{port}"]

    def alternate(self, contenders):
        """Runs all contenders in rounds; returns the measurements of each."""
        took = {name: [] for name, _ in contenders}
        for number in range(self.rounds):
            for name, command in contenders if number % 2 == 0 else reversed(contenders):
                took[name].append(self.run(name, command))
        return {name: medians(runs) for name, runs in took.items()}

    def run(self, name, command):
        """Runs `command(out)` once."""
        out = self.work / "out" / name.replace(" ", "_")
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(exist_ok=True)
        if name != OURS:
            out.mkdir()
        path = os.environ["PATH"]
        if self.python:
            path = f"{pathlib.Path(self.python).parent}:{path}"
        log = self.work / "log"
        with log.open("wb") as output:
            code, wall, cpu, memory = timed(command(out), path, stdout=output, stderr=output)
        text = log.read_text(errors="replace")
        if code != 0:
            with contextlib.suppress(OSError):
                text += "".join((out / "failures.jsonl").read_text().splitlines(keepends=True)[:3])
            raise SystemExit(f"{name} exited with {code}:\n{text}")
        return {"wall": wall, "cpu": cpu, "memory": memory, "rows": rows(out, name, text)}


class Input:
    """Tasks as JSON lines, as one file each, and their IDs."""

    def __init__(self, lines, files, kind):
        self.lines, self.files, self.kind = lines, files, kind
        self.ids = files.with_name(files.name + ".ids")
        self.count = self.bytes = 0
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        with lines.open("rb") as tasks, self.ids.open("w") as ids:
            for line in tasks:
                task = line.rstrip(b"\n")
                task_id = json.loads(task)["task_id"]
                if not re.fullmatch(FILE_NAME, task_id):
                    raise SystemExit(f"{lines}: the task {task_id!r} cannot be served as a file of that name")
                (files / f"{task_id}.json").write_bytes(task)
                ids.write(task_id + "\n")
                self.count += 1
                self.bytes += len(task)

    def described(self, **more):
        return {"tasks": self.count, "bytes": self.bytes, "kind": self.kind, **more}


def tiny_task(number):
    text = "Which of the two answers is better, and why? " * 3
    message = {"role": "user", "content": {"text": f"{text}{number}"}}
    turn = {"id": f"turn_{number:024x}", "messages": [message], "annotations": []}
    return {
        "task_id": f"task_{number:024x}",
        "project": "project_000000000000000000000001",
        "batch": "batch_000000000000000000000001",
        "status": "completed",
        "created_at": "2025-03-01T12:00:00.000Z",
        "completed_at": "2025-03-02T12:00:00.000Z",
        "threads": [{"id": f"thread_{number:024x}", "turns": [turn], "annotations": []}],
    }


def rows(out, name, text):
    """Numbers of tasks and messages in the output, to check that all did the same work."""
    if name == OURS:
        tables = json.loads((out / "manifest.json").read_text())["tables"]
        return [tables[table]["rows"] for table in ("tasks", "messages")]
    return [int(number) for number in re.findall(r"\d+", text.splitlines()[-1])[:2]]


def medians(runs):
    of = lambda key: statistics.median(run[key] for run in runs)
    return {"wall": of("wall"), "cpu": of("cpu"), "memory": of("memory"), "rounds": runs}


def judged(what, value, least=None, most=None):
    """A figure with its goal, if there is one."""
    if least is not None:
        return {"what": what, "value": value, "goal": f"≥ {least}", "met": value >= least}
    if most is not None:
        return {"what": what, "value": value, "goal": f"≤ {most}", "met": value <= most}
    return {"what": what, "value": value, "goal": None, "met": None}


def compared(took, rival, wall, cpu):
    """Ratios of the others to ours; the goals apply to one of them."""
    ours = took[OURS]
    out = []
    for name, other in took.items():
        if name == OURS:
            continue
        seen, wanted = other["rounds"][0]["rows"], ours["rounds"][0]["rows"]
        if seen != wanted:
            raise SystemExit(f"{name} has {seen} tasks and messages, {OURS} {wanted}")
        figures = (("wall", "wall time", wall), ("cpu", "CPU time", cpu), ("memory", "memory", None))
        for key, words, goal in figures:
            goal = goal if name == rival else None
            out.append(judged(f"{words} of {name} / ours", other[key] / ours[key], least=goal))
    return out


def case_export(bench):
    tasks = bench.input()
    with bench.serve(tasks) as (port, server):
        base = f"http://127.0.0.1:{port}"
        contenders = [(OURS, lambda out: bench.export(port, tasks, out))]
        if bench.peers and bench.python:
            script = bench.peers / "peer_aiohttp.py"
            arguments = [base, tasks.ids]
            contenders.append(("aiohttp", lambda out: [bench.python, script, *arguments, out, str(CONNECTIONS)]))
            if bench.options.slow:
                slow = bench.peers / "peer_curl_duckdb.sh"
                command = lambda out: ["sh", slow, *arguments, out, str(CONNECTIONS)]
                contenders.append(("curl and DuckDB", command))
        # Warms up the caches; not counted.
        bench.run(*contenders[0])
        took = bench.alternate(contenders)
    goals = compared(took, "aiohttp", 5, 3)
    goals.append(judged("our peak memory, MB", took[OURS]["memory"] / 1e6, most=100))
    return {"title": "Tasks over HTTP to tables", "input": tasks.described(server=server), "who": took, "goals": goals}


def case_flatten(bench):
    tasks = bench.input()
    contenders = [(OURS, lambda out: [bench.program, "flatten", tasks.lines, "--out", out, "--quiet"])]
    if bench.peers and bench.python:
        script = bench.peers / "duck_flatten.py"
        contenders.append(("DuckDB", lambda out: [bench.python, script, tasks.lines, out]))
    bench.run(*contenders[0])
    took = bench.alternate(contenders)
    return {
        "title": "JSON lines to tables",
        "input": tasks.described(),
        "who": took,
        "goals": compared(took, "DuckDB", 5, 3),
    }


def case_fetch(bench):
    tasks = bench.tiny_tasks()
    # The URL of the program's requests, with the IDs of these tasks.
    _, path = first_request(bench, tasks)
    took = {OURS: [], "wrk": []}
    has_wrk = shutil.which("wrk") is not None
    with bench.serve(tasks) as (port, server):
        paths, script = bench.work / "paths", bench.work / "wrk.lua"
        with tasks.ids.open() as ids, paths.open("w") as out:
            out.writelines(re.sub(r"task_id=[^&]*", f"task_id={task_id.strip()}", path) + "\n" for task_id in ids)
        script.write_text(LUA.format(paths=paths, key=KEY))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{WRK_SECONDS}s", "-s", script, f"http://127.0.0.1:{port}"]
        ours = lambda: took[OURS].append(
            tasks.count / bench.run(OURS, lambda out: bench.export(port, tasks, out))["wall"]
        )
        theirs = lambda: took["wrk"].append(wrk(command))
        ours()
        took[OURS].clear()
        for number in range(bench.rounds):
            both = [ours, theirs] if has_wrk else [ours]
            for one in both if number % 2 == 0 else reversed(both):
                one()
    took = {name: rates for name, rates in took.items() if rates}
    who = {name: {"requests_per_second": statistics.median(rates), "rounds": rates} for name, rates in took.items()}
    goals = []
    if has_wrk:
        value = who[OURS]["requests_per_second"] / who["wrk"]["requests_per_second"]
        goals.append(judged("our requests per second / wrk's", value, least=0.5))
    else:
        bench.leave_out("wrk")
    return {
        "title": "Small responses at full speed",
        "input": tasks.described(server=server),
        "who": who,
        "goals": goals,
    }


def wrk(command):
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    if "Non-2xx" in ended.stdout or "Socket errors" in ended.stdout:
        raise SystemExit(f"wrk reported failed requests:\n{ended.stdout}")
    return float(re.search(r"Requests/sec:\s*([\d.]+)", ended.stdout)[1])


def over_duckdb(bench):
    """Sizes and queries, measured by `queries.py` in one process; once for both cases."""
    if not bench.python:
        raise LeftOut("sizes and queries: DuckDB for Python is not installed")
    if bench.duckdb is None:
        tasks = bench.input()
        bench.run(OURS, lambda out: [bench.program, "flatten", tasks.lines, "--out", out, "--quiet"])
        ours, copies = bench.work / "out" / OURS, bench.work / "out" / "copies"
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir()
        command = [bench.python, ROOT / "benches" / "queries.py", ours, copies, str(bench.rounds)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if ended.returncode != 0:
            raise SystemExit(f"queries.py exited with {ended.returncode}")
        bench.duckdb = {"input": tasks.described(), **json.loads(ended.stdout)}
    return bench.duckdb


def case_size(bench):
    found = over_duckdb(bench)
    sizes = {table: found["sizes"][table] for table in CORE}
    total = {who: sum(size[who] for size in sizes.values()) for who in ("ours", "duckdb")}
    return {
        "title": "Size of the four core tables",
        "input": found["input"],
        "tables": sizes,
        "total": total,
        "goals": [judged("our bytes / DuckDB's", total["ours"] / total["duckdb"], most=1)],
    }


def case_queries(bench):
    found = over_duckdb(bench)
    goals = [
        judged(f"{name}: time over our files / DuckDB's", times["ours"] / times["duckdb"], most=1)
        for name, times in found["queries"].items()
    ]
    return {
        "title": "DuckDB's queries",
        "input": found["input"],
        "queries": found["queries"],
        "goals": goals,
    }


def case_start(bench):
    tasks = bench.input()
    first_request(bench, tasks)
    seconds = [first_request(bench, tasks)[0] for _ in range(bench.rounds)]
    value = statistics.median(seconds)
    return {
        "title": "Time to the first request",
        "input": tasks.described(),
        "seconds": value,
        "rounds": seconds,
        "goals": [judged("time until it arrives, ms", value * 1000, most=50)],
    }


def first_request(bench, tasks):
    """Seconds until the first request arrives, and its path."""
    out = bench.work / "out" / "start"
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        command = bench.export(listener.getsockname()[1], tasks, out)
        environment = {"SCALE_API_KEY": KEY, "PATH": os.environ["PATH"]}
        begin = time.perf_counter()
        with process(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, kill=True):
            with listener.accept()[0] as connection:
                request = connection.recv(65536)
                seconds = time.perf_counter() - begin
    return seconds, request.split(b" ")[1].decode()


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


def show(result):
    print(f"\n**{result['title']}**: {described(result)}\n")
    print("\n".join(tables(result)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=PROGRAM)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=5000, help="number of tasks to export and flatten")
    parser.add_argument("--lines", help="a file of JSON lines with the tasks to use instead")
    parser.add_argument("--only", default=",".join(CASES), help="cases, separated by commas (all: %(default)s)")
    parser.add_argument("--peers", help="directory of the scripts to compare with")
    parser.add_argument("--python", help="Python that has " + ", ".join(PACKAGES))
    parser.add_argument("--slow", action="store_true", help="also run curl and DuckDB")
    parser.add_argument("--work", default=ROOT / "target/bench", help="directory for all output")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results to this file")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := [case for case in chosen if case not in CASES]:
        parser.error(f"unknown case {unknown[0]!r}; the cases are {', '.join(CASES)}")
    if options.rounds < 1 or options.tasks < 1:
        parser.error("rounds and tasks must be at least 1")
    bench = Bench(options)
    if not os.access(bench.program, os.X_OK):
        raise SystemExit(f"{bench.program}: not found; run cargo build --release --locked")
    bench.work.mkdir(parents=True, exist_ok=True)
    bench.find_peers()
    if {"export", "flatten", "size", "queries"} & set(chosen):
        bench.find_python()
    busy = busy_with_others()
    if busy is not None and busy > BUSY:
        what = f"{busy:.1f} CPUs are busy with other work: times are unreliable"
        print(what, file=sys.stderr)
    for name in chosen:
        try:
            result = globals()[f"case_{name}"](bench)
        except LeftOut as missing:
            bench.leave_out(str(missing))
            continue
        bench.results[name] = result
        show(result)
    report = {
        "date": datetime.date.today().isoformat(),
        "rounds": bench.rounds,
        "machine": machine(),
        "busy_with_others": busy,
        "versions": versions(bench),
        "left_out": bench.left_out,
        "results": bench.results,
    }
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    for what in bench.left_out:
        print(f"\nLeft out: {what}.")
    goals = [goal for result in bench.results.values() for goal in result["goals"] if goal["goal"]]
    print(f"\n{sum(goal['met'] for goal in goals)} of {len(goals)} goals are met.")


main()
