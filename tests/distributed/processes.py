"""Processes below this one: which there are, how much memory they take, and how they end."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path

# From linux/prctl.h, net/if.h and linux/sockios.h.
PR_SET_CHILD_SUBREAPER = 36
IFF_UP = 1
SIOCSIFFLAGS = 0x8914

# What processes of a cluster need to end when they are terminated.
END_SECONDS = 10
SAMPLE_SECONDS = 0.5


def isolate() -> None:
    """Starts this script again in a network namespace, which has a loopback interface only."""
    marker = "--isolated"
    if marker not in sys.argv:
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        os.execvp("unshare", ["unshare", "--net", *user, sys.executable, *sys.argv, marker])
    sys.argv.remove(marker)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    # A process whose parent ended becomes a child of this one, so that none is lost.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def parents() -> dict[int, int]:
    """The parent of each process that runs."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name is in parentheses, and can have spaces.
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(path.name)] = int(parent)
    return found


def descendants(ancestor: int) -> list[int]:
    """The processes below another one."""
    above = parents()
    known = [ancestor]
    for process in known:
        known.extend(child for child, parent in above.items() if parent == process)
    return known[1:]


def runs(process: int, program: Path) -> bool:
    try:
        return Path(f"/proc/{process}/exe").readlink() == program
    except OSError:
        return False


def end(processes: list[int], signal_number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal_number)


def wait_for_end(processes: list[int], seconds: float) -> list[int]:
    """Waits, and returns the processes that still run."""
    limit = time.monotonic() + seconds
    while left := [process for process in processes if process in parents()]:
        if time.monotonic() > limit:
            return left
        time.sleep(0.1)
    return []


def end_all(processes: list[int]) -> None:
    """Terminates processes, and kills those that do not end."""
    end(processes, signal.SIGTERM)
    end(wait_for_end(processes, END_SECONDS), signal.SIGKILL)


def end_all_of_this_process() -> list[int]:
    """Ends everything that is below this process, and returns what was still running."""
    left = descendants(os.getpid())
    end_all(left)
    # Those whose parent ended are children of this one.
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return left


def memory(process: int) -> int:
    """The memory of a process in bytes. Memory that several processes share counts in parts."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class PeakMemory:
    """The largest sums of memory, from the start to the end of a `with`."""

    def __init__(self, program: Path, ignored: list[int]) -> None:
        self.program = program
        self.ignored = ignored
        self.of_engine = 0
        self.of_programs = 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.sample)

    def __enter__(self) -> PeakMemory:
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.is_over.set()
        self.thread.join()

    def sample(self) -> None:
        while not self.is_over.wait(SAMPLE_SECONDS):
            sums = {False: 0, True: 0}
            for process in descendants(os.getpid()):
                if process not in self.ignored:
                    sums[runs(process, self.program)] += memory(process)
            self.of_engine = max(self.of_engine, sums[False])
            self.of_programs = max(self.of_programs, sums[True])
