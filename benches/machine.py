"""Starts and ends programs, finds free ports and describes the machine, for the other scripts here."""

import contextlib
import os
import pathlib
import platform
import re
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/scale-export"
KEY = "test_key"

BUSY = 0.2
"""CPUs that may be busy with other work."""


@contextlib.contextmanager
def process(command, kill=False, **how):
    child = subprocess.Popen(command, **how)
    try:
        yield child
    finally:
        if child.poll() is None:
            if kill:
                child.kill()
            else:
                child.terminate()
        child.wait()


def existing(program):
    """The path of the program to measure."""
    if not program.is_file():
        raise SystemExit(f"{program}: not found; run cargo build --release --locked")
    return program.resolve()


def timed(command, path=None, **how):
    """Runs the command; returns its exit code, wall and CPU time in seconds, and peak memory in bytes."""
    # So that the command does not wait for earlier writes.
    os.sync()
    environment = {"SCALE_API_KEY": KEY, "PATH": path or os.environ["PATH"]}
    begin = time.perf_counter()
    child = subprocess.Popen(command, env=environment, **how)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def measured(program, *arguments):
    """Runs the program quietly; returns wall and CPU time in seconds, and peak memory in MB."""
    code, wall, cpu, memory = timed([program, *arguments, "--quiet"])
    if code != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))}: exited with {code}")
    return wall, cpu, memory / 1e6


def runs(command):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, server, log):
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            raise SystemExit(f"the server exited with {server.returncode}:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def first_line(command):
    try:
        ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return None
    lines = (ended.stdout or ended.stderr).strip().splitlines()
    return lines[0] if lines else None


def busy_with_others(seconds=1.0):
    """How many CPUs are busy while this script waits; None where the system does not report it."""

    def at_work():
        numbers = [int(number) for number in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        idle = numbers[3] + numbers[4]
        return (sum(numbers[:8]) - idle) / os.sysconf("SC_CLK_TCK")

    try:
        before = at_work()
        time.sleep(seconds)
        return (at_work() - before) / seconds
    except OSError:
        return None


def machine():
    model = platform.processor()
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
    }
