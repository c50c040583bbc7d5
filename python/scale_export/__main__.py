"""Runs the program: ``python -m scale_export`` is ``scale-export``."""

import os
import sys

from ._errors import ScaleExportError
from ._program import find


def main() -> None:
    try:
        program = find()
    except ScaleExportError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    os.execv(program, [str(program), *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
