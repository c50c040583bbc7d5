"""Checks the wheel in dist/: `make wheel-check` runs it.

Builds it once more, from a copy of the source and with other directories, and compares the bytes.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The maximum size of the wheel in bytes.
MAX_BYTES = 8_000_000

# The newest minor version of glibc 2 that the program may need: that of manylinux_2_17.
GLIBC_MINOR = 17

# Files of every wheel, below its root or its data.
MEMBERS = (
    "scale_export/__init__.py",
    "scale_export/py.typed",
    "/scripts/scale-export",
    "/share/man/man1/scale-export.1",
    "/share/man/man1/scale-export-sandbox.1",
    "/share/bash-completion/completions/scale-export",
    "/share/fish/vendor_completions.d/scale-export.fish",
    "/share/zsh/site-functions/_scale-export",
    "/licenses/LICENSE-MIT",
    "/licenses/LICENSE-APACHE",
    "/licenses/packaging/THIRD-PARTY-LICENSES.txt",
)

# Messages of the allocator and of zstd, which show that they are linked into the program.
LIBRARIES = (b"<jemalloc>", b"Unsupported frame parameter")


def main() -> None:
    (wheel,) = (Path(path).resolve() for path in sys.argv[1:])
    errors = check(wheel, places(Path.home(), ROOT, cargo_home()))
    with tempfile.TemporaryDirectory(prefix="another-place-for-the-build-") as base:
        again = rebuild(Path(base))
        errors += check(again, places(Path(base)))
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, again)]
        if digests[0] != digests[1]:
            errors.append(f"two builds differ: {differences(wheel, again)}")
    if errors:
        sys.exit("\n".join(errors))
    print(f"{digests[0]}  {wheel.name} ({wheel.stat().st_size / 1e6:.2f} MB, the same from two directories)")


def cargo_home() -> Path:
    return Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")).resolve()


def places(*paths: Path) -> list[bytes]:
    """Paths that must not be in the wheel."""
    return [os.fsencode(path) for path in paths]


def check(wheel: Path, forbidden: list[bytes]) -> list[str]:
    """What is wrong with a wheel."""
    errors = []
    if wheel.stat().st_size > MAX_BYTES:
        errors.append(f"{wheel.name} has {wheel.stat().st_size} bytes, more than {MAX_BYTES}")
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    for member in MEMBERS:
        if not any(name.endswith(member) for name in contents):
            errors.append(f"{wheel.name} has no {member}")
    for name, content in contents.items():
        errors += [f"{name} contains the path {os.fsdecode(path)}" for path in forbidden if path in content]
    (program,) = (content for name, content in contents.items() if name.endswith("/scripts/scale-export"))
    errors += [f"the program does not contain {library.decode()}" for library in LIBRARIES if library not in program]
    if platform.system() == "Linux":
        minors = {int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", program)}
        if max(minors) > GLIBC_MINOR:
            errors.append(f"the program needs glibc 2.{max(minors)}")
        if not re.search(r"-py3-none-.*manylinux_2_17_", wheel.name):
            errors.append(f"{wheel.name} has another tag")
    return errors


def rebuild(base: Path) -> Path:
    """Builds a copy of the source, without its repository, and with other directories for crates and builds."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(command, cwd=ROOT).split(b"\0")
    source = base / "source"
    for name in filter(None, map(os.fsdecode, names)):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    cargo = base / "crates"
    cargo.mkdir()
    # Already downloaded, and found below another path.
    (cargo / "registry").symlink_to(cargo_home() / "registry")
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    variables = {
        "CARGO_HOME": str(cargo),
        "CARGO_TARGET_DIR": str(base / "build"),
        "SCALE_EXPORT_BUILD_COMMIT": os.environ.get("SCALE_EXPORT_BUILD_COMMIT", head),
    }
    script = [sys.executable, str(source / "packaging/build_wheel.py"), "--out", str(base / "dist")]
    subprocess.run(script, env={**os.environ, **variables}, check=True)
    (wheel,) = (base / "dist").glob("*.whl")
    return wheel


def differences(one: Path, other: Path) -> str:
    """The files that differ between two wheels."""
    with zipfile.ZipFile(one) as first, zipfile.ZipFile(other) as second:
        names = sorted({*first.namelist(), *second.namelist()})

        def content(archive: zipfile.ZipFile, name: str) -> bytes | None:
            return archive.read(name) if name in archive.namelist() else None

        different = [name for name in names if content(first, name) != content(second, name)]
    return ", ".join(different) or "only the archive itself"


if __name__ == "__main__":
    main()
