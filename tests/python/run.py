"""Tests a wheel: `make test-package` and `make wheel-test` run it.

Installs the wheel into fresh virtual environments. The readers come from the environment of this Python, so that nothing is
downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
UV = str(Path(sys.executable).parent / "uv")

# The tests that need no other package run with these too, where they are installed.
OTHER_PYTHONS = ("3.9", "3.10", "3.12", "3.13", "3.14")

# Tests mostly wait: for servers, interrupted runs, and installers.
AT_A_TIME = 4


def main() -> None:
    (wheel,) = (Path(path).resolve() for path in sys.argv[1:])
    os.environ["SCALE_EXPORT_TEST_WHEEL"] = str(wheel)
    with tempfile.TemporaryDirectory() as base, ThreadPoolExecutor(AT_A_TIME) as pool:
        runs = [
            pool.submit(test, "notebook and readers", *with_readers(wheel, Path(base, "readers"))),
            pool.submit(test, "layouts", sys.executable, "layouts"),
        ]
        for version in OTHER_PYTHONS:
            found = interpreter(version)
            if found is None:
                print(f"NOT tested with Python {version}, which is not installed", file=sys.stderr)
                continue
            python = install(wheel, Path(base, version), found)
            runs.append(pool.submit(test, f"Python {version}", python, "test_export"))
        failed = [run.result() for run in runs].count(False)
    if failed:
        sys.exit(f"{failed} of {len(runs)} runs failed")


def test(name: str, python: str, *modules: str) -> bool:
    """Runs tests, and prints their result, or if they fail everything."""
    words = [python, "-m", "unittest", *modules]
    done = subprocess.run(words, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    result = " ".join(done.stdout.split("-" * 70)[-1].split())
    print(f"{name}: {result}" if done.returncode == 0 else f"{name}: FAILED\n{done.stdout}", file=sys.stderr)
    return done.returncode == 0


def with_readers(wheel: Path, environment: Path) -> tuple[str, ...]:
    """A Python with the wheel and the readers, and the tests that need them."""
    python = install(wheel, environment, os.path.realpath(sys.executable))
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.check_output([python, "-c", script], text=True).strip())
    (packages / "readers.pth").write_text(sysconfig.get_path("purelib"))
    return python, "test_export", "test_read", "test_conversations", "test_notebook", "test_documents"


def interpreter(version: str) -> str | None:
    """A Python of this version, where uv or pyenv has one."""
    found = subprocess.run([UV, "python", "find", "--offline", version], capture_output=True, text=True)
    if found.returncode == 0:
        return found.stdout.strip()
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    return next(map(str, pyenv.glob(f"{version}.*/bin/python")), None)


def install(wheel: Path, environment: Path, base: str) -> str:
    """A fresh environment with the wheel, and its Python."""
    subprocess.run([UV, "venv", "--quiet", "--offline", "--python", base, environment], check=True)
    command = [UV, "pip", "install", "--quiet", "--offline", "--no-index", "--python", environment, wheel]
    subprocess.run(command, check=True)
    return str(environment / "bin/python")


if __name__ == "__main__":
    main()
