"""The cases of `whole_runs.py`. A case returns its title, its inputs, its figures for each input, and goals.

Goals are for the largest input.
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import time

from bench import Contender, LeftOut, medians
from inputs import tiny_tasks
from machine import KEY, ROOT, process
from results import OURS

CORE = ("tasks", "messages", "annotations", "attachments")
CONNECTIONS = 32
WRK_SECONDS = 3
THREADS = (1, 2, 8)

SAVED_RANGES = ".scale-export/ranges"
"""The file of an export without which `flatten` builds all its ranges."""

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


def judged(what, value, least=None, most=None):
    """A figure with its goal."""
    if least is not None:
        return {"what": what, "value": value, "goal": f"≥ {least}", "met": value >= least}
    return {"what": what, "value": value, "goal": f"≤ {most}", "met": value <= most}


def case_export(bench):
    inputs = bench.inputs()
    script = bench.peer("peer_aiohttp.py")
    slow = bench.peer("peer_curl_duckdb.sh") if bench.options.slow else None
    with bench.serve(inputs[-1]) as (port, server):
        arguments = lambda tasks, out: [f"http://127.0.0.1:{port}", tasks.ids, out, str(CONNECTIONS)]
        contenders = []
        for tasks in inputs:
            contenders.append(Contender(OURS, tasks, lambda out, tasks=tasks: bench.export(port, tasks, out)))
            if script:
                command = lambda out, tasks=tasks: [bench.python, script, *arguments(tasks, out)]
                contenders.append(Contender("aiohttp", tasks, command))
            if slow:
                command = lambda out, tasks=tasks: ["sh", slow, *arguments(tasks, out)]
                contenders.append(Contender("curl and DuckDB", tasks, command))
        who = bench.compare(contenders)
    ours = who[OURS][-1]
    goals = []
    if script:
        theirs = who["aiohttp"][-1]
        goals.append(judged("aiohttp's wall time / ours", theirs["wall"] / ours["wall"], least=4))
        goals.append(judged("aiohttp's CPU time / ours", theirs["cpu"] / ours["cpu"], least=3))
    goals.append(judged("our peak memory, MB", ours["memory"] / 1e6, most=100))
    described = [tasks.described(server=server) for tasks in inputs]
    return {"title": "Tasks over HTTP to tables", "inputs": described, "who": who, "goals": goals}


def case_flatten(bench):
    inputs = bench.inputs()
    script = bench.peer("duck_flatten.py")
    contenders = []
    for tasks in inputs:
        contenders.append(Contender(OURS, tasks, lambda out, tasks=tasks: bench.flatten(tasks.lines, out)))
        if script:
            command = lambda out, tasks=tasks: [bench.python, script, tasks.lines, out]
            contenders.append(Contender("DuckDB", tasks, command))
    who = bench.compare(contenders)
    goals = []
    if script:
        ours, theirs = who[OURS][-1], who["DuckDB"][-1]
        goals.append(judged("our CPU time / DuckDB's", ours["cpu"] / theirs["cpu"], most=0.7))
        goals.append(judged("our wall time / DuckDB's", ours["wall"] / theirs["wall"], most=0.4))
        goals.append(judged("DuckDB's peak memory / ours", theirs["memory"] / ours["memory"], least=7))
    described = [tasks.described() for tasks in inputs]
    return {"title": "JSON lines to tables", "inputs": described, "who": who, "goals": goals}


def case_ranges(bench):
    """Tables of the largest input, rebuilt in place from the journal."""
    tasks, export = bench.sizes()[-1], bench.work / "out" / "ranges"
    shutil.rmtree(export, ignore_errors=True)
    export.parent.mkdir(exist_ok=True)
    bench.timed(bench.flatten(tasks.lines, export))
    saved = export / SAVED_RANGES

    def built(threads):
        saved.unlink(missing_ok=True)
        return bench.timed(bench.flatten(export, export, "--threads", str(threads)))[0]

    def copied():
        figures, text = bench.timed([bench.program, "flatten", export, "--out", export, "-v"])
        counts = re.search(r"copied (\d+) of (\d+) range", text)
        if not counts or counts[1] != counts[2]:
            raise LeftOut("tables rebuilt in place: the program did not copy all ranges")
        return figures

    measures = {f"all built, --threads {threads}": lambda threads=threads: built(threads) for threads in THREADS}
    measures["all copied"] = copied
    # Saves the ranges, and warms up the caches; not counted.
    built(THREADS[-1])
    variants = {name: medians(took) for name, took in bench.alternate(measures).items()}
    return {"title": "Tables rebuilt in place", "inputs": [tasks.described()], "variants": variants, "goals": []}


def case_fetch(bench):
    tasks = tiny_tasks(bench.options.tiny_tasks, bench.work)
    # The URL of the program's requests, with the IDs of these tasks.
    _, path = first_request(bench, tasks)
    with bench.serve(tasks) as (port, server):
        paths, script = bench.work / "paths", bench.work / "wrk.lua"
        with tasks.ids.open() as ids, paths.open("w") as out:
            out.writelines(re.sub(r"task_id=[^&]*", f"task_id={task_id.strip()}", path) + "\n" for task_id in ids)
        script.write_text(LUA.format(paths=paths, key=KEY))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{WRK_SECONDS}s", "-s", script, f"http://127.0.0.1:{port}"]
        ours = Contender(OURS, tasks, lambda out: bench.export(port, tasks, out))
        measures = {OURS: lambda: fetch_rates(bench.run(ours), tasks.count)}
        if shutil.which("wrk"):
            measures["wrk"] = lambda: wrk_rates(*bench.timed(command))
        else:
            bench.leave_out("wrk")
        # Warms up the caches; not counted.
        bench.run(ours)
        took = bench.alternate(measures)
    keys = ("requests_per_second", "cpu_per_request")
    rates = {
        name: {key: statistics.median(run[key] for run in rounds) for key in keys} | {"rounds": rounds}
        for name, rounds in took.items()
    }
    goals = [judged("our CPU time per task, µs", rates[OURS]["cpu_per_request"] * 1e6, most=25)]
    if "wrk" in rates:
        value = rates[OURS]["requests_per_second"] / rates["wrk"]["requests_per_second"]
        goals.append(judged("our requests per second / wrk's", value, least=0.5))
    described = [tasks.described(server=server)]
    return {"title": "Small responses at full speed", "inputs": described, "rates": rates, "goals": goals}


def fetch_rates(figures, requests):
    return {"requests_per_second": requests / figures["wall"], "cpu_per_request": figures["cpu"] / requests}


def wrk_rates(figures, text):
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"wrk reported failed requests:\n{text}")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    per_second = float(re.search(r"Requests/sec:\s*([\d.]+)", text)[1])
    return {"requests_per_second": per_second, "cpu_per_request": figures["cpu"] / requests}


def over_duckdb(bench):
    """Sizes and queries of each input, measured by `queries.py` in one process; once for both cases."""
    if not bench.python:
        raise LeftOut("sizes and queries: DuckDB for Python is not installed")
    if bench.over_duckdb is None:
        bench.over_duckdb = [queries(bench, tasks) for tasks in bench.sizes()]
    return bench.over_duckdb


def queries(bench, tasks):
    ours, copies = bench.work / "out" / "queried", bench.work / "out" / "copies"
    for place in (ours, copies):
        shutil.rmtree(place, ignore_errors=True)
    copies.mkdir(parents=True)
    bench.timed(bench.flatten(tasks.lines, ours))
    command = [bench.python, ROOT / "benches" / "queries.py", ours, copies, str(bench.rounds)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if ended.returncode != 0:
        raise SystemExit(f"queries.py exited with {ended.returncode}")
    return {"input": tasks.described(), **json.loads(ended.stdout)}


def case_size(bench):
    found = over_duckdb(bench)
    sizes = {table: [one["sizes"][table] for one in found] for table in CORE}
    sizes["all"] = [{who: sum(one["sizes"][table][who] for table in CORE) for who in ("ours", "duckdb")} for one in found]
    total = sizes["all"][-1]
    return {
        "title": "Size of the four core tables",
        "inputs": [one["input"] for one in found],
        "tables": sizes,
        "goals": [judged("our bytes / DuckDB's", total["ours"] / total["duckdb"], most=1)],
    }


def case_queries(bench):
    found = over_duckdb(bench)
    times = {name: [one["queries"][name] for one in found] for name in found[0]["queries"]}
    goals = [
        judged(f"{name}: time over our files / DuckDB's", took[-1]["ours"] / took[-1]["duckdb"], most=1)
        for name, took in times.items()
    ]
    return {
        "title": "DuckDB's queries",
        "inputs": [one["input"] for one in found],
        "queries": times,
        "goals": goals,
    }


def case_start(bench):
    tasks = bench.sizes()[-1]
    first_request(bench, tasks)
    seconds = [first_request(bench, tasks)[0] for _ in range(bench.rounds)]
    value = statistics.median(seconds)
    return {
        "title": "Time to the first request",
        "inputs": [tasks.described()],
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


CASES = {
    "export": case_export,
    "flatten": case_flatten,
    "ranges": case_ranges,
    "fetch": case_fetch,
    "size": case_size,
    "queries": case_queries,
    "start": case_start,
}
