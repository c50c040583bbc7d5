"""Runs `examples/iceberg_tables.py`, and stops it at one of its steps.

Arguments: the example; the step as a number from 0, or -1; what happens there: `kill`, or a path. With a path, the run
creates the file `<path>.reached`, and waits until the file `<path>.continue` exists. Then the arguments of the example.

A step is the beginning, the middle and the end of each copy, and the beginning and the end of each change of the catalog.
Prints one line for each step.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog

WAIT_SECONDS = 120


class Steps:
    """The steps of a run so far."""

    def __init__(self, stop: int, action: str) -> None:
        self.stop, self.action, self.count = stop, action, 0

    def reach(self, name: str) -> None:
        print(f"step {self.count}: {name}", flush=True)
        if self.count == self.stop:
            if self.action == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            self.wait()
        self.count += 1

    def wait(self) -> None:
        Path(f"{self.action}.reached").touch()
        end = time.monotonic() + WAIT_SECONDS
        while not Path(f"{self.action}.continue").exists():
            assert time.monotonic() < end, "nothing continued this run"
            time.sleep(0.02)


def install(steps: Steps) -> None:
    """Makes the functions that change something report their steps."""
    copy_file = shutil.copyfileobj

    def copyfileobj(source: Any, target: Any, length: int) -> None:
        steps.reach("beginning of a copy")
        half = os.fstat(source.fileno()).st_size // 2
        target.write(source.read(half))
        steps.reach("middle of a copy")
        copy_file(source, target, length)
        target.close()
        steps.reach("end of a copy")

    shutil.copyfileobj = copyfileobj

    def reporting(method: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            steps.reach(f"before {method.__name__}")
            result = method(*arguments, **options)
            steps.reach(f"after {method.__name__}")
            return result

        return call

    for name in ("create_table", "commit_table"):
        setattr(SqlCatalog, name, reporting(getattr(SqlCatalog, name)))


def main() -> None:
    path, stop, action, *arguments = sys.argv[1:]
    spec = importlib.util.spec_from_file_location("iceberg_tables", path)
    example = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = example  # dataclasses look for it
    spec.loader.exec_module(example)
    install(Steps(int(stop), action))
    sys.argv = [path, *arguments]
    example.main()


if __name__ == "__main__":
    main()
