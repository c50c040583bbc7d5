"""Lists the crates in the program with their licenses and the texts of these, for the wheel."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# Files with the text of a license. C libraries are one directory below their crate.
PATTERNS = [f"{below}{name}*" for below in ("", "*/") for name in ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")]

# Texts are not longer. Longer files are source code with such a name.
MAX_BYTES = 50_000

HEADER = """\
scale-export contains the crates below. Their licenses follow, each with the crates that have it.
"""


def third_party_licenses(target: str) -> str:
    """The crates and licenses of the program for a target. The same lock file gives the same text."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    metadata = json.loads(subprocess.check_output(command, cwd=ROOT))
    packages = {package["id"]: package for package in metadata["packages"]}
    crates = sorted(
        (packages[name] for name in linked(metadata["resolve"])), key=lambda crate: (crate["name"], crate["version"])
    )
    lines = [HEADER]
    crates_of: dict[str, list[str]] = defaultdict(list)
    texts: dict[str, str] = {}
    for crate in crates:
        name = f"{crate['name']} {crate['version']}"
        lines.append(f"{name}: {crate['license']}, {crate['repository'] or 'https://crates.io/crates/' + crate['name']}")
        for text in license_texts(Path(crate["manifest_path"]).parent):
            # Copies differ in their line breaks and indents.
            words = " ".join(text.split())
            texts.setdefault(words, text)
            if name not in crates_of[words]:
                crates_of[words].append(name)
    for words, names in sorted(crates_of.items(), key=lambda item: item[1]):
        lines += ["", "=" * 80, ", ".join(names), "", texts[words]]
    return "\n".join(lines) + "\n"


def linked(resolve: dict[str, Any]) -> set[str]:
    """The crates that the program is made of: not those of tests and build scripts, nor the program itself."""
    nodes = {node["id"]: node for node in resolve["nodes"]}
    found: set[str] = set()
    waiting = [resolve["root"]]
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            is_linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_linked and dependency["pkg"] not in found:
                found.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    return found


def license_texts(directory: Path) -> list[str]:
    paths = sorted({path for pattern in PATTERNS for path in directory.glob(pattern) if path.is_file()})
    contents = [path.read_bytes() for path in paths if path.stat().st_size <= MAX_BYTES]
    return [content.decode("utf-8", "replace").replace("\r\n", "\n").strip("\n") for content in contents]


if __name__ == "__main__":
    sys.stdout.write(third_party_licenses(*sys.argv[1:]))
