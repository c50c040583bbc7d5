"""Runs the container image with buildah: `make test-image` runs it.

Arguments: the image, and buildah with its options.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

IMAGE, *BUILDAH = sys.argv[1:]

# The user of the image.
USER = 10001

# Files of the image, without directories.
FILES = {"etc/ssl/certs/ca-certificates.crt", "usr/local/bin/scale-export"}


def buildah(*arguments: object) -> str:
    return subprocess.check_output([*BUILDAH, *map(str, arguments)], text=True)


@contextlib.contextmanager
def container() -> Iterator[str]:
    name = buildah("from", "--pull-never", f"localhost/{IMAGE}").strip()
    try:
        yield name
    finally:
        buildah("rm", name)


def run(name: str, volume: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the program with a volume on /data. buildah does not read the entry point."""
    command = [*BUILDAH, "run", "--isolation", "chroot", "--volume", f"{volume}:/data", name, "--"]
    return subprocess.run([*command, "/usr/local/bin/scale-export", *arguments], capture_output=True, text=True)


def check(condition: object, message: object) -> None:
    if not condition:
        sys.exit(f"{IMAGE}: {message}")


def check_files(name: str) -> None:
    root = Path(buildah("mount", name).strip())
    # The container has these three files for its network; the image does not.
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    check(files - {"etc/hosts", "etc/resolv.conf", "run/.containerenv"} == FILES, files)
    check(stat.S_IMODE((root / "usr/local/bin/scale-export").stat().st_mode) == 0o755, "the program has another mode")
    check((root / "data").stat().st_uid == USER, "/data has another owner")
    check(b"BEGIN CERTIFICATE" in (root / "etc/ssl/certs/ca-certificates.crt").read_bytes(), "no certificates")
    buildah("umount", name)


def check_configuration() -> None:
    image = json.loads(buildah("inspect", "--type", "image", IMAGE))
    config = image["OCIv1"]["config"]
    check(config["User"] == f"{USER}:{USER}", config)
    check(config["Entrypoint"] == ["/usr/local/bin/scale-export"], config)
    check(config["WorkingDir"] == "/data", config)


def check_export(name: str, volume: Path) -> None:
    """Exports to the root of a new volume, as a file system has it: with a directory that only root can read."""
    (volume / "lost+found").mkdir(mode=0o700)
    os.chown(volume, USER, USER)
    options = ("--id=task_1", "--id=task_2", "--sandbox", "--out=/data")
    done = run(name, volume, *options)
    check(done.returncode == 0, done.stderr)
    check("Exported 2 of 2 tasks" in done.stderr, done.stderr)
    check((volume / "tasks.parquet").stat().st_uid == USER, "the tables have another owner")
    check((volume / "lost+found").is_dir(), "lost+found is missing")
    for command in (("verify", "/data"), options):
        done = run(name, volume, *command)
        check(done.returncode == 0, done.stderr)


def check_network(name: str, volume: Path) -> None:
    """The program finds its certificates: without them, it reports that before it connects."""
    arguments = ("--id=task_1", "--out=/data/none", "--base-url=https://localhost:1", "--retry-timeout=1s")
    key = volume / "key"
    key.write_text("live_key")
    key.chmod(0o400)
    os.chown(key, USER, USER)
    done = run(name, volume, *arguments, "--api-key-file=/data/key")
    check(done.returncode == 5, done.stderr)
    check("localhost" in done.stderr and "certificate" not in done.stderr, done.stderr)


def main() -> None:
    check_configuration()
    with container() as name, tempfile.TemporaryDirectory() as volume:
        check_files(name)
        check_export(name, Path(volume))
        check_network(name, Path(volume))
    print(f"{IMAGE}: files, user, certificates and exports to a new volume are right", file=sys.stderr)


if __name__ == "__main__":
    main()
