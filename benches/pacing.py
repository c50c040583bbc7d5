#!/usr/bin/env python3
"""The pacer in real time: `scale-export` against servers with hidden limits, measured independently.

An nginx between the program and the sandbox logs the time and status of every response. In the cases called `nginx` it also
sets the limit. Prints a table in Markdown. Needs nginx (Debian: nginx-light) and a release build:

    cargo build --release && python3 benches/pacing.py --jobs 6

Each case takes a minute or 2,000 tasks, whichever is longer. All cases together take about a quarter of an hour.
"""

import argparse
import concurrent.futures
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

FOUND = 10
"""Seconds after which the limit must be found."""

CONF = """
daemon off; pid {run}/pid; error_log {run}/error.log warn; worker_processes 1; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  log_format responses '$msec $status'; access_log {run}/access.log responses;
  client_body_temp_path {run}/1; proxy_temp_path {run}/2; fastcgi_temp_path {run}/3; uwsgi_temp_path {run}/4;
  scgi_temp_path {run}/5; keepalive_requests 10000000; keepalive_timeout 300s;
  upstream sandbox {{ server 127.0.0.1:{behind}; keepalive 256; }}
  {zone}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      {limit}
      proxy_pass http://sandbox; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
    error_page 429 @limited;
    location @limited {{ add_header Retry-After 1 always; return 429 '{{"error":"too many requests"}}'; }}
  }}
}}
"""


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


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def measure(case, program):
    with tempfile.TemporaryDirectory() as place:
        run = pathlib.Path(place)
        port, behind = free_port(), free_port()
        zone = limit = ""
        if case.nginx:
            rate, burst = case.nginx
            zone = f"limit_req_zone $server_port zone=one:1m rate={rate}r/s;"
            limit = f"limit_req zone=one burst={burst} nodelay; limit_req_status 429;"
        conf = CONF.format(run=run, port=port, behind=behind, zone=zone, limit=limit)
        (run / "nginx.conf").write_text(conf)
        # More IDs than can be fetched in the time: the run is stopped.
        count = round(sum(case.allowed(second) for second in range(case.seconds)) * 1.5) + 1000
        (run / "ids.txt").write_text("".join(f"task_{number}\n" for number in range(1, count + 1)))
        started = []
        try:
            sandbox = [program, "sandbox", "--port", str(behind), *case.sandbox]
            started.append(subprocess.Popen(sandbox, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            begin = time.time()
            started.append(subprocess.Popen(["nginx", "-c", run / "nginx.conf", "-p", run]))
            wait_for(behind)
            wait_for(port)
            export = [program, "--ids", run / "ids.txt", "--out", run / "out", "--plan", "ids"]
            export += ["--base-url", f"http://127.0.0.1:{port}", "--quiet"]
            key = {"SCALE_API_KEY": "test_key", "PATH": "/usr/bin:/bin"}
            client = subprocess.Popen(export, env=key, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            started.append(client)
            begin = time.time() if case.nginx else begin
            time.sleep(case.seconds + 1 - (time.time() - begin))
            if client.poll() is not None:
                raise SystemExit(f"{case.name}: exited early: {client.stderr.read().decode()}")
            client.send_signal(signal.SIGINT)
            client.wait()
        finally:
            for process in started:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        return judge(case, (run / "access.log").read_text())


def judge(case, log):
    responses = [(float(at), int(status)) for at, status in (line.split() for line in log.splitlines())]
    first = min(at for at, _ in responses)
    seconds = [{200: 0, 429: 0, 503: 0} for _ in range(case.seconds)]
    for at, status in responses:
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
    parser.add_argument("--program", default="target/release/scale-export")
    parser.add_argument("--jobs", type=int, default=6, help="cases that run at the same time")
    parser.add_argument("--only", default="", help="cases whose name matches this expression")
    options = parser.parse_args()
    program = pathlib.Path(options.program).resolve()
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
