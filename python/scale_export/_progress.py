"""Where the progress of a run is shown: below the cell of a notebook, or on a line of a terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from collections.abc import Iterator

    Show = Callable[[str], None]

# The class of the shell in a Jupyter kernel. IPython in a terminal has another one.
NOTEBOOK_SHELL = "ZMQInteractiveShell"


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook. Does not import IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == NOTEBOOK_SHELL


@contextlib.contextmanager
def display(progress: bool | None) -> Iterator[Show | None]:
    """What shows a line of progress; None where it would not be seen, or is not wanted."""
    if progress is False:
        yield None
    elif is_notebook():
        yield notebook_line()
    elif progress or sys.stderr.isatty():
        yield terminal_line
        if sys.stderr.isatty():
            terminal_line("")
    else:
        yield None


def notebook_line() -> Show:
    """A line below the cell, which each text replaces."""
    from IPython import display as ipython

    def plain(text: str) -> dict[str, str]:
        return {"text/plain": text}

    handle: Any = ipython.display(plain("starting"), raw=True, display_id=True)

    def show(text: str) -> None:
        handle.update(plain(text), raw=True)

    return show


def terminal_line(text: str) -> None:
    """The current line of a terminal, or a new line of a file."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    else:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
