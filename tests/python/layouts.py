"""The package finds its program in every layout that installers make, also beside another version.

Run by run.py with the tools' Python: the package is not installed there.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
import stat
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

WHEEL = Path(os.environ["SCALE_EXPORT_TEST_WHEEL"])
UV = str(Path(sys.executable).parent / "uv")

# The Python that virtual environments are made from.
BASE = os.path.realpath(sys.executable)

# A version that never exists.
OTHER = "99.0.0"

REPORT = "import scale_export as s, scale_export._program as p; print(s.__version__, p.find(), s.__file__, sep='\\n')"


def run(*command: object, **variables: str) -> str:
    """The output of a command. Installers find no other package, and share no cache with the user."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "UV_"))}
    isolated = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "UV_NO_CONFIG": "1", "UV_CACHE_DIR": cache(), **variables}
    words = [str(word) for word in command]
    done = subprocess.run(words, env={**clean, **isolated}, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@functools.lru_cache(maxsize=1)
def cache() -> str:
    directory = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(directory.cleanup)
    return directory.name


def version() -> str:
    return WHEEL.name.split("-")[1]


@functools.lru_cache(maxsize=1)
def other_wheel() -> Path:
    """The wheel with another version, whose program prints no more than that."""
    old, new = f"scale_export-{version()}", f"scale_export-{OTHER}"
    target = Path(cache()) / WHEEL.name.replace(old, new)
    record = []
    with zipfile.ZipFile(WHEEL) as source, zipfile.ZipFile(target, "w") as made:
        for entry in source.infolist():
            content = source.read(entry)
            name = entry.filename.replace(old, new)
            if name.endswith("/RECORD"):
                record.append(f"{name},,")
                content = "\n".join([*record, ""]).encode()
            elif name.endswith("/METADATA"):
                content = re.sub(rb"(?m)^Version: .*$", f"Version: {OTHER}".encode(), content)
            elif name.endswith("/scripts/scale-export"):
                content = f"#!/bin/sh\necho 'scale-export {OTHER} (schema 2.0.0)'\n".encode()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(content)}")
            entry.filename = name
            made.writestr(entry, content)
    return target


class Layouts(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.base = Path(os.path.realpath(directory.name))

    def check(self, program: Path, *python: object, expected: str | None = None, **variables: str) -> None:
        """The package that Python imports runs the program at this path."""
        found, path, _ = run(*python, "-c", REPORT, **variables).splitlines()
        self.assertEqual((found, Path(path)), (expected or version(), program))

    def venv(self, wheel: Path | None = None, *options: str) -> Path:
        """A virtual environment with a wheel, if there is one."""
        environment = self.base / f"venv{len(list(self.base.iterdir()))}"
        run(UV, "venv", "--python", BASE, environment)
        if wheel is not None:
            run(UV, "pip", "install", *options, "--python", environment, wheel)
        return environment

    def pip(self, *options: object, **variables: str) -> None:
        run(sys.executable, "-m", "pip", "--python", BASE, "install", "--no-warn-script-location", *options, WHEEL, **variables)

    def target(self, wheel: Path) -> Path:
        target = self.base / f"target-{wheel.name}"
        run(UV, "pip", "install", "--python", BASE, "--target", target, wheel)
        return target

    def test_virtual_environment(self) -> None:
        for mode in ("copy", "symlink"):
            environment = self.venv(WHEEL, f"--link-mode={mode}")
            self.check(environment / "bin/scale-export", environment / "bin/python")
        share = environment / "share"
        self.assertTrue((share / "doc/scale-export/README.md").exists())

    def test_virtual_environment_of_pip(self) -> None:
        environment = self.base / "pip"
        run(BASE, "-m", "venv", "--without-pip", environment)
        run(sys.executable, "-m", "pip", "--python", environment, "install", WHEEL)
        self.check(environment / "bin/scale-export", environment / "bin/python")

    def test_target_of_uv(self) -> None:
        target = self.target(WHEEL)
        self.check(target / "bin/scale-export", BASE, PYTHONPATH=str(target))

    def test_target_of_pip(self) -> None:
        target = self.base / "target"
        self.pip("--target", target)
        self.check(target / "bin/scale-export", BASE, PYTHONPATH=str(target))

    def test_prefix(self) -> None:
        prefix = self.base / "prefix"
        self.pip("--prefix", prefix)
        (packages,) = prefix.glob("**/scale_export/..")
        self.check(prefix / "bin/scale-export", BASE, PYTHONPATH=os.path.realpath(packages))

    def test_user(self) -> None:
        user = {"PYTHONUSERBASE": str(self.base / "user"), "PIP_BREAK_SYSTEM_PACKAGES": "1"}
        self.pip("--user", **user)
        self.check(self.base / "user/bin/scale-export", BASE, **user)

    def test_tool_of_uv(self) -> None:
        tools = {"UV_TOOL_DIR": str(self.base / "tools"), "UV_TOOL_BIN_DIR": str(self.base / "bin")}
        run(UV, "tool", "install", "--python", BASE, WHEEL, **tools)
        self.assertIn(version(), run(self.base / "bin/scale-export", "--version"))
        tool = self.base / "tools/scale-export/bin"
        self.check(tool / "scale-export", tool / "python")
        self.assertIn(version(), run(UV, "tool", "run", "--python", BASE, "--from", WHEEL, "scale-export", "--version"))

    def test_with_of_uv(self) -> None:
        command = [UV, "run", "--no-project", "--python", BASE, "--with", WHEEL, "python"]
        _, program, package = run(*command, "-c", REPORT).splitlines()
        self.assertEqual(Path(program).parent.parent, Path(package).parents[4])

    def test_two_versions_run_their_programs(self) -> None:
        mine, other = self.venv(WHEEL), self.venv(other_wheel())
        targets = {version(): self.target(WHEEL), OTHER: self.target(other_wheel())}
        self.check(other / "bin/scale-export", other / "bin/python", expected=OTHER)
        for environment, found in [(other, version()), (mine, OTHER)]:
            # The path variable comes before the environment.
            python, path = environment / "bin/python", str(targets[found])
            self.check(targets[found] / "bin/scale-export", python, expected=found, PYTHONPATH=path)
        run(UV, "pip", "install", "--python", other, WHEEL)
        self.check(other / "bin/scale-export", other / "bin/python")

    def test_a_program_of_another_version_does_not_run(self) -> None:
        target, other = self.target(WHEEL), self.target(other_wheel())
        program = target / "bin/scale-export"
        program.unlink()
        program.write_bytes((other / "bin/scale-export").read_bytes())
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        environment = self.venv(WHEEL)
        self.check(environment / "bin/scale-export", environment / "bin/python", PYTHONPATH=str(target))
        empty = self.venv()
        with self.assertRaisesRegex(AssertionError, rf"could not find the program .*{program} \({OTHER}\)"):
            self.check(program, empty / "bin/python", PYTHONPATH=str(target))
