#!/usr/bin/env python3
"""The pacer in real time: `scale-export` against servers with hidden limits, measured independently.

An nginx between the program and the sandbox logs the time and status of every response. In the cases called `nginx` it also
sets the limit. Prints a table in Markdown. Needs nginx (Debian: nginx-light) and a release build:

    cargo build --release && python3 benches/pacing.py --jobs 6

Each case takes a minute or 2,000 tasks, whichever is longer. All cases together take about a quarter of an hour.
"""

import argparse
import concurrent.futures
import contextlib
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from machine import KEY, PROGRAM, existing, process
from proxy import logging_proxy
from servers import sandbox

FOUND = 10
"""Seconds after which the limit must be found."""


class Case:
    """A server, and the requests that it allows in each second."""

    def __init__(self, name, allowed, sandbox=(), nginx=None, want=(95, 1), seconds=None):
        self.name, self.sandbox, self.nginx, self.want = name, list(sandbox), nginx, want
        first = allowed(0)
        self.seconds = seconds or max(60, round(2000 / first))
        self.allowed = allowed


def constant(rate):
    return lambda _second: rate


def cases():
    for rate in (5, 20, 100, 500):
        yield Case(f"nginx, burst of 20, Retry-After: 1, {rate}/s", constant(rate), nginx=(rate, 20))
        for kind in ("token_bucket", "fixed_window", "sliding_window"):
            words = kind.replace("_", " ")
            limit = ["--limit", f"{kind}={rate}/s"]
            yield Case(f"sandbox, {words}, {rate}/s", constant(rate), limit)
            if "window" in kind and rate in (20, 100):
                limit += ["--retry-after", "1"]
                yield Case(f"sandbox, {words}, Retry-After: 1, {rate}/s", constant(rate), limit)
        seconds = max(60, round(2000 / rate))
        # The result depends on when the limit changes, so three times are measured.
        for at in (round(seconds * share) for share in (0.5, 0.52, 0.54)):
            for what, factor in (("halves", 0.5), ("triples", 3)):
                changed = lambda second, rate=rate, at=at, factor=factor: rate * (factor if second >= at else 1)
                options = ["--limit", f"token_bucket={rate}/s", "--limit-change", f"{at}s={factor}"]
                yield Case(f"sandbox, {rate}/s, {what} in the middle", changed, options, want=(90, 2), seconds=seconds)
    for count, latency in ((4, 50), (8, 50), (16, 100)):
        rate = count / (latency / 1000)
        options = ["--limit", f"concurrency={count}", "--latency", f"{latency}ms"]
        yield Case(f"sandbox, {count} at a time, {latency} ms", constant(rate), options, want=(90, 2))
    away = lambda second: 0 if 20 <= second < 50 else 100
    yield Case(
        "sandbox, 100/s, outage from 20 s to 50 s",
        away,
        ["--limit", "token_bucket=100/s", "--outage", "20s-50s"],
        want=(90, 2),
    )


def measure(case, program):
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        run = pathlib.Path(place)
        # More IDs than can be fetched in the time: the run is stopped.
        count = round(sum(case.allowed(second) for second in range(case.seconds)) * 1.5) + 1000
        (run / "ids.txt").write_text("".join(f"task_{number}\n" for number in range(1, count + 1)))
        begin = time.time()
        behind = stack.enter_context(sandbox(program, case.sandbox, run / "sandbox.log"))
        proxy = stack.enter_context(logging_proxy(run, behind, limit=case.nginx))
        export = [program, "--ids", run / "ids.txt", "--out", run / "out", "--plan", "ids"]
        export += ["--base-url", f"http://127.0.0.1:{proxy.ports[0]}", "--quiet"]
        environment = {"SCALE_API_KEY": KEY, "PATH": "/usr/bin:/bin"}
        with process(export, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as client:
            begin = time.time() if case.nginx else begin
            time.sleep(case.seconds + 1 - (time.time() - begin))
            if client.poll() is not None:
                raise SystemExit(f"{case.name}: exited early: {client.stderr.read().decode()}")
            client.send_signal(signal.SIGINT)
            client.wait()
        return judge(case, proxy.responses())


def judge(case, responses):
    first = min(at for at, _, _ in responses)
    seconds = [{200: 0, 429: 0, 503: 0} for _ in range(case.seconds)]
    for at, _, status in responses:
        second = int(at - first)
        if second < case.seconds:
            seconds[second][status] = seconds[second].get(status, 0) + 1
    late = seconds[FOUND:]
    allowed = sum(case.allowed(second) for second in range(FOUND, case.seconds))
    used = 100 * sum(second[200] for second in late) / allowed
    rejected = 100 * sum(second[429] for second in late) / max(1, sum(sum(second.values()) for second in late))
    early = sum(second[429] for second in seconds[:FOUND])
    early_all = sum(sum(second.values()) for second in seconds[:FOUND])
    # The first second of an outage does not count: it must be detected.
    away = max([second[503] for second in late if second[503]][1:], default=0)
    return used, rejected, early, away, early <= max(20, 0.05 * early_all)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=PROGRAM, type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=6, help="cases that run at the same time")
    parser.add_argument("--only", default="", help="cases whose name matches this expression")
    options = parser.parse_args()
    program = existing(options.program)
    chosen = [case for case in cases() if re.search(options.only, case.name)]
    # The longest first.
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        order = sorted(chosen, key=lambda case: -case.seconds)
        results = dict(zip(order, pool.map(lambda case: measure(case, program), order)))
    print("| server | used | 429 | first 429s | required |\n|---|--:|--:|--:|--:|")
    missed = 0
    names = list(dict.fromkeys(case.name for case in chosen))
    for name in names:
        runs = [case for case in chosen if case.name == name]
        case = runs[0]
        used, rejected = (sum(results[run][index] for run in runs) / len(runs) for index in (0, 1))
        least = min(results[run][0] for run in runs)
        early, away = (max(results[run][index] for run in runs) for index in (2, 3))
        is_early = all(results[run][4] for run in runs)
        ok = used >= case.want[0] and rejected <= case.want[1] and is_early
        missed += not ok
        note = "" if ok else " (missed)"
        if away:
            requests = "request" if away == 1 else "requests"
            note += f", at most {away} {requests} per second during the outage, after its first second"
        want = f"{case.want[0]}%, {case.want[1]}%"
        share = f"{used:.1f}%" + (f" ({least:.1f})" if len(runs) > 1 else "")
        print(f"| {name} | {share} | {rejected:.2f}% | {early} | {want}{note} |")
    sys.exit(missed > 0)


main()
