"""Builds the wheel of this platform into dist/: `make wheel` runs it.

The same source gives the same bytes, in any directory. On Linux, the linker of zig makes the program run on glibc 2.17 and
later. Manual pages and completion scripts are made with the program that was built, and packed in a second pass, which
compiles nothing, together with the licenses of all crates.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from recompress import recompress
from third_party import third_party_licenses

ROOT = Path(__file__).resolve().parent.parent
NAME = "scale-export"

# What the paths of the build machine become in the program.
SOURCE, CARGO = "/source", "/cargo"

# The oldest supported version of macOS: the first for its processor.
MACOS = "11.0"

# Completion scripts, below share/.
COMPLETIONS = {
    "bash": f"bash-completion/completions/{NAME}",
    "fish": f"fish/vendor_completions.d/{NAME}.fish",
    "zsh": f"zsh/site-functions/_{NAME}",
}


def environment() -> dict[str, str]:
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")).resolve()
    paths = {str(cargo): CARGO, str(ROOT): SOURCE}
    rust = [f"--remap-path-prefix={path}={name}" for path, name in paths.items()]
    c = [f"-ffile-prefix-map={path}={name}" for path, name in paths.items()]
    return {
        **os.environ,
        "RUSTFLAGS": " ".join(rust),
        "CFLAGS": " ".join(c),
        "MACOSX_DEPLOYMENT_TARGET": MACOS,
        # The program gets smaller and no slower, and the build takes longer.
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "1",
        "CARGO_PROFILE_RELEASE_LTO": "fat",
        # maturin looks for zig as a module of the first Python in the search path.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }


def build(out: Path) -> Path:
    """Builds with what is in packaging/wheel, and returns the path of the wheel."""
    command = ["maturin", "build", "--release", "--locked", "--compression-level", "9", "--out", str(out)]
    if platform.system() == "Linux":
        command += ["--zig", "--compatibility", "manylinux_2_17"]
    for old in out.glob("*.whl"):
        old.unlink()
    subprocess.run(command, cwd=ROOT, env=environment(), check=True)
    (wheel,) = out.glob("*.whl")
    return wheel


def add_documents(wheel: Path, share: Path) -> None:
    """Writes manual pages and completion scripts, as the program in the wheel prints them."""
    with tempfile.TemporaryDirectory() as directory, zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(f"/scripts/{NAME}"))
        program = Path(archive.extract(name, directory))
        program.chmod(0o755)
        subprocess.run([program, "man", "--out", share / "man/man1"], check=True)
        for shell, path in COMPLETIONS.items():
            script = subprocess.run([program, "completions", shell], check=True, capture_output=True)
            (share / path).parent.mkdir(parents=True, exist_ok=True)
            (share / path).write_bytes(script.stdout)


def host() -> str:
    """The target that the program is built for."""
    version = subprocess.check_output(["rustc", "--version", "--verbose"], text=True)
    return version.split("host: ")[1].split()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the wheel of this platform.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    share = ROOT / "packaging/wheel/data/share"
    for made in [share / "man", *(share / Path(path).parts[0] for path in COMPLETIONS.values())]:
        shutil.rmtree(made, ignore_errors=True)
    licenses = ROOT / "packaging/THIRD-PARTY-LICENSES.txt"
    licenses.unlink(missing_ok=True)
    add_documents(build(out), share)
    licenses.write_text(third_party_licenses(host()), encoding="utf-8")
    wheel = build(out)
    recompress(wheel)
    print(f"{wheel} ({wheel.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
