"""What the tests of the package share: a mock server, directories, and exports."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

import scale_export
from scale_export._program import find

ROOT = Path(__file__).resolve().parent.parent.parent

# A key that is easy to find in output.
KEY = "live_key_that_must_not_leak"


@contextlib.contextmanager
def server(*options: str) -> Iterator[str]:
    """A mock server that accepts KEY, and its address."""
    command = [find(), "sandbox", "--port=0", f"--key={KEY}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def task_ids(count: int) -> list[str]:
    return [f"task_{number}" for number in range(1, count + 1)]


class Case(unittest.TestCase):
    """A test with a temporary directory."""

    def setUp(self) -> None:
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.out = self.directory / "export"

    def enterContext(self, manager):
        # Python 3.9 and 3.10 do not have it.
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def error_of(self, call, *arguments, **options) -> scale_export.ScaleExportError:
        with self.assertRaises(scale_export.ScaleExportError) as caught:
            call(*arguments, **options)
        return caught.exception


def sandbox_export(out: Path, count: int = 200, **options) -> scale_export.Run:
    """An export from a mock server inside the program."""
    options = {"rate": "max", "sandbox": True, **options}
    return scale_export.export(ids=task_ids(count), out=out, **options)
