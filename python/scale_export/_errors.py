"""The error of the package."""

from __future__ import annotations


class ScaleExportError(Exception):
    """A run, a command or a read that failed.

    ``exit_code`` has the meaning of the program's exit codes: 2 is wrong usage or unreadable input, 4 a key that the API
    refused, 5 an API that was unavailable, 6 output that could not be written, 7 a mismatch that ``verify`` found, 8 an export
    that was not published. ``hint`` says what to do, where that is known.
    """

    exit_code: int
    message: str
    hint: str | None

    def __init__(self, exit_code: int, message: str, hint: str | None = None) -> None:
        super().__init__(exit_code, message, hint)
        self.exit_code = exit_code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        hint = f"\nhint: {self.hint}" if self.hint else ""
        return f"{self.message} (exit code {self.exit_code}){hint}"

    def __reduce__(self) -> tuple[type, tuple[int, str, str | None]]:
        return (type(self), (self.exit_code, self.message, self.hint))


# The exit codes that the package uses itself.
FAILURE = 1
USAGE = 2
MISMATCH = 7
