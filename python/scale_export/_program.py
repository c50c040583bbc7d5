"""The program that was installed with this package.

The file beside the package comes first: the scripts directory of the interpreter can hold another version, for example when
one copy is installed in a virtual environment and another with ``pip install --target``.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import FAILURE, ScaleExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "scale-export"

# Not resolved: an installer can link the files of a package to its cache, which has no scripts directory.
PACKAGE = Path(__file__).parent


def version() -> str:
    """The version of this copy of the package."""
    from importlib import metadata

    beside = metadata.distributions(name=NAME, path=[str(PACKAGE.parent)])
    # A copy that runs from its source has no metadata beside it.
    found = next(iter(beside), None) or metadata.distribution(NAME)
    return found.version


def candidates() -> Iterator[Path]:
    """Where the program can be, most likely first."""
    packages = PACKAGE.parent
    # `pip install --target DIR` has DIR/scale_export and DIR/bin.
    yield packages / "bin" / NAME
    # A prefix has lib/python3.X/site-packages/scale_export and bin: environments, --prefix, --user.
    if len(packages.parents) > 2:
        yield packages.parents[2] / "bin" / NAME
    import sysconfig

    for scheme in (None, "posix_user", "osx_framework_user"):
        if scheme is None or scheme in sysconfig.get_scheme_names():
            paths = sysconfig.get_paths(scheme) if scheme else sysconfig.get_paths()
            yield Path(paths["scripts"]) / NAME
    yield Path(sys.executable).parent / NAME


def version_of(program: Path) -> str | None:
    """The version that a program prints, if it can run."""
    try:
        output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    words = output.stdout.split()
    return words[1] if len(words) > 1 and words[0] == NAME else None


@functools.lru_cache(maxsize=1)
def find() -> Path:
    """The program with the version of this package."""
    wanted = version()
    others = []
    for program in dict.fromkeys(candidates()):
        if os.access(program, os.X_OK) and program.is_file():
            found = version_of(program)
            if found == wanted:
                return program
            others.append(f"{program} ({found or 'does not run'})")
    seen = f"; found {', '.join(others)}" if others else ""
    raise ScaleExportError(
        FAILURE,
        f"could not find the program {NAME} {wanted} of the Python package in {PACKAGE}{seen}",
        "install the package again: pip install --force-reinstall scale-export",
    )
