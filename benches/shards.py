#!/usr/bin/env python3
"""Processes of shards under one hidden limit: what they use of it together, and how many 429s they get.

    cargo build --release --locked && python3 benches/shards.py

Each process exports one shard of a list. They know nothing of each other. One is killed after a while and restarted later.
An nginx in front of the sandbox has a port for each process and logs the time, port and status of every response. In the
case called `nginx` it also sets the limit. Needs nginx (Debian: nginx-light). All cases take a quarter of an hour.
"""

import argparse
import concurrent.futures
import contextlib
import pathlib
import re
import tempfile
import threading
import time

from machine import KEY, PROGRAM, existing, machine, process
from proxy import logging_proxy
from servers import sandbox

KILLED = 1
"""The shard that is killed."""

ALL, REST, AGAIN = 180, 150, 90
"""Seconds with all processes, without one, and with it again."""

STEADY = 60
"""Seconds after which the rates have settled."""

TAKEN_OVER = 0.9
"""The part of the limit that the other processes use once they have the share of the killed one."""

LEAST = 20_000
"""IDs of a shard, so that none is empty: a shard has whole ranges of up to 16,000 IDs."""

STARTING = threading.Lock()
"""Ports are chosen and opened in one case at a time."""


class Case:
    """A server, and how the processes find their rates."""

    def __init__(self, name, limits=(), nginx=None, window=10):
        self.name, self.limits, self.nginx, self.window = name, limits, nginx, window
        """`window`: the seconds over which requests are counted to find out when they reach the limit again."""


def cases(rate):
    yield Case(f"token bucket, {rate}/s", [f"token_bucket={rate}/s"])
    yield Case(f"token bucket of 20, {rate}/s", [f"token_bucket={rate}/s:20"])
    yield Case(f"sliding window, {rate}/s", [f"sliding_window={rate}/s"])
    yield Case(f"fixed window, {rate}/s", [f"fixed_window={rate}/s"])
    yield Case(f"nginx, {rate}/s, burst of 20, Retry-After: 1", nginx=(rate, 20))
    yield Case(f"fixed window, {60 * rate}/m", [f"fixed_window={60 * rate}/m"], window=60)


class Shards:
    """The processes of a case, and what they have to export."""

    def __init__(self, options, place, ports, divided):
        self.program, self.cut, self.place, self.ports = options.program, options.cut, place, ports
        self.options = []
        if divided:
            self.options = ["--rate", str(options.rate / len(ports) if self.cut else options.rate)]
        # More IDs than can be fetched in the time, for each.
        count = max(LEAST, options.rate * (ALL + REST + AGAIN))
        for shard in range(len(ports)):
            first = 1 + shard * count if self.cut else 1
            last = (shard + 1) * count if self.cut else len(ports) * count
            (place / f"{shard}.ids").write_text("".join(f"task_{number}\n" for number in range(first, last + 1)))

    def command(self, shard):
        command = [self.program, "--ids", self.place / f"{shard}.ids", "--out", self.place / f"out-{shard}"]
        command += ["--base-url", f"http://127.0.0.1:{self.ports[shard]}", "--plan", "ids", "--quiet", *self.options]
        return command if self.cut else [*command, "--shard", f"{shard}/{len(self.ports)}"]

    @contextlib.contextmanager
    def running(self, shard):
        """Runs a process, and kills it."""
        path = self.place / f"{shard}.log"
        key = {"SCALE_API_KEY": KEY, "PATH": "/usr/bin:/bin"}
        with path.open("wb") as log, process(self.command(shard), True, env=key, stdout=log, stderr=log) as child:
            yield
            if child.poll() is not None:
                raise SystemExit(f"exited early: {path.read_text()}")


def measure(case, options, divided):
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        place = pathlib.Path(place)
        with STARTING:
            limits = [word for limit in case.limits for word in ("--limit", limit)]
            behind = stack.enter_context(sandbox(options.program, limits, place / "sandbox.log"))
            proxy = stack.enter_context(logging_proxy(place, behind, options.shards, case.nginx))
        shards = Shards(options, place, proxy.ports, divided)
        begin = time.time()
        with contextlib.ExitStack() as others:
            for shard in range(options.shards):
                if shard != KILLED:
                    others.enter_context(shards.running(shard))
            with shards.running(KILLED):
                time.sleep(begin + ALL - time.time())
            killed = time.time() - begin
            time.sleep(begin + ALL + REST - time.time())
            restarted = time.time() - begin
            with shards.running(KILLED):
                time.sleep(begin + ALL + REST + AGAIN - time.time())
        responses = [(at - begin, proxy.ports.index(port), status) for at, port, status in proxy.responses()]
    return Responses(options, responses, killed, restarted)


class Responses:
    """The time, process and status of each response."""

    def __init__(self, options, responses, killed, restarted):
        self.shards, self.rate, self.all = options.shards, options.rate, responses
        self.killed, self.restarted, self.end = killed, restarted, restarted + AGAIN

    def accepted(self, since, until, shard=None):
        """Requests per second that were accepted, of one process or of all."""
        found = (one for at, one, status in self.all if since <= at < until and status == 200)
        return sum(shard in (None, one) for one in found) / (until - since)

    def used(self, since, until):
        return f"{100 * self.accepted(since, until) / self.rate:.1f}%"

    def rejected(self, since, until):
        statuses = [status for at, _, status in self.all if since <= at < until]
        return f"{100 * statuses.count(429) / max(1, len(statuses)):.2f}%"

    def shares(self, since, until):
        each = sorted(self.accepted(since, until, shard) for shard in range(self.shards))
        return f"{each[0]:.0f} to {each[-1]:.0f}"

    def until_used(self, since, until, window):
        """The seconds until the rest of the processes use the limit for a while."""
        for second in range(int(until - since) - window + 1):
            if self.accepted(since + second, since + second + window) >= TAKEN_OVER * self.rate:
                return f"{second} s"
        return "never"

    def row(self, window):
        spans = [(0, STEADY), (STEADY, self.killed), (self.killed, self.restarted), (self.restarted, self.end)]
        first, steady, without, again = ([self.used(*span), self.rejected(*span)] for span in spans)
        taken = self.until_used(self.killed, self.restarted, window)
        own = f"{self.accepted(self.end - STEADY, self.end, KILLED):.0f}"
        return [*first, *steady, self.shares(*spans[1]), *without, taken, *again, own]


HEADS = [f"first {STEADY} s: used", "429", "then: used", "429", "each, per second", "one killed: used", "429"]
HEADS += [f"until {TAKEN_OVER:.0%}", "restarted: used", "429", "its own, per second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=PROGRAM, type=pathlib.Path)
    parser.add_argument("--shards", type=int, default=4, help="processes")
    parser.add_argument("--rate", type=int, default=100, help="the limit, in requests per second")
    parser.add_argument("--jobs", type=int, default=6, help="cases that run at the same time")
    parser.add_argument("--only", default="", help="cases whose name matches this expression")
    parser.add_argument("--cut", action="store_true", help="cut the list beforehand, so that no process knows of the others")
    parser.add_argument("--learned", action="store_true", help="without the runs that have a --rate")
    parser.add_argument("--log", type=pathlib.Path, help="directory for the responses of each case")
    options = parser.parse_args()
    options.program = existing(options.program)
    chosen = [case for case in cases(options.rate) if re.search(options.only, case.name)]
    print(f"on {machine()}\n")
    for divided in (False,) if options.learned else (False, True):
        what = f"`--rate {options.rate}`, of which each process has a part" if divided else "Learned rates"
        print(f"{what}\n\n| server | " + " | ".join(HEADS) + " |\n|---|" + "--:|" * len(HEADS), flush=True)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            results = pool.map(lambda case, divided=divided: measure(case, options, divided), chosen)
            for case, result in zip(chosen, results, strict=True):
                print("| " + " | ".join([case.name, *result.row(case.window)]) + " |", flush=True)
                if options.log:
                    name = re.sub(r"\W+", "-", case.name) + ("-divided" if divided else "")
                    lines = (f"{at:.3f} {shard} {status}\n" for at, shard, status in result.all)
                    (options.log / f"{name}.txt").write_text("".join(lines))
        print(flush=True)


main()
