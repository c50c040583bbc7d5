"""One run of the program: its log lines, its interruption, and its end.

The program logs JSON lines to its standard error. Its process stays in the group of this one, so that it ends with a notebook's
kernel or a terminal.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from ._errors import FAILURE, ScaleExportError
from ._program import find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Event = dict[str, Any]

LOG = logging.getLogger("scale_export")

# Events that are warnings for the logger.
WARNINGS = ("warning", "interrupted")

# The program handles one SIGINT, and a second one ends it at once. A terminal and a Jupyter kernel send the first to the whole
# group, so this process waits for the effect of that one before it sends one.
GROUP_SIGNAL_SECONDS = 2.0


@dataclass
class Ended:
    """How a process ended."""

    exit_code: int
    stdout: str = ""
    # The events of its log, without progress, and the lines that are not events.
    events: list[Event] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def last(self, name: str) -> Event | None:
        """The last event with this name."""
        return next((event for event in reversed(self.events) if event["event"] == name), None)

    def error(self) -> ScaleExportError:
        """The error that the program reported."""
        event = self.last("error")
        if event is not None:
            return ScaleExportError(self.exit_code, event["message"], event.get("hint"))
        texts = dict(line.split(": ", 1) for line in self.lines if ": " in line)
        messages = [event["message"] for event in self.events if event["event"] != "warning"]
        known = texts.get("error") or (messages[-1] if messages else "\n".join(self.lines))
        if self.exit_code < 0:
            known = f"the program was killed by signal {-self.exit_code}"
        return ScaleExportError(self.exit_code, known or "the program failed", texts.get("hint"))


def environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """The environment of this process with other values; None removes a variable."""
    changed = {**os.environ, "SCALE_EXPORT_LOG_FORMAT": "json", **changes}
    return {name: value for name, value in changed.items() if value is not None}


def run(
    arguments: Sequence[str],
    *,
    variables: Mapping[str, str | None] | None = None,
    on_progress: Callable[[Event], None] | None = None,
    published: Sequence[int] = (0,),
) -> Ended:
    """Runs the program until it ends. Raises the error of other exit codes than those of ``published``.

    KeyboardInterrupt requests the end of the program with SIGINT, waits until it has saved its progress, and is raised again.
    """
    process = subprocess.Popen(
        [find(), *arguments],
        env=environment(variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    ended = Ended(FAILURE)
    # Read beside the log, so that neither pipe fills up.
    reader = threading.Thread(target=lambda: setattr(ended, "stdout", read(process)), daemon=True)
    reader.start()
    try:
        follow(process, ended, on_progress)
    except KeyboardInterrupt:
        interrupt(process, ended)
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()
        reader.join()
    ended.exit_code = process.returncode
    if ended.exit_code not in published:
        raise ended.error()
    return ended


def read(process: subprocess.Popen[str]) -> str:
    """All of the standard output."""
    if process.stdout is None:
        return ""
    with process.stdout as stdout:
        return stdout.read()


def follow(
    process: subprocess.Popen[str],
    ended: Ended,
    on_progress: Callable[[Event], None] | None,
) -> None:
    """Reads the whole log, and waits for the process."""
    for line in process.stderr or ():
        event = parse(line)
        if event is None:
            ended.lines.append(line.rstrip())
        elif event["event"] == "progress":
            if on_progress is not None:
                on_progress(event)
        else:
            ended.events.append(event)
            level = logging.WARNING if event["event"] in WARNINGS else logging.INFO
            LOG.log(level, "%s", event["message"])
    process.wait()


def parse(line: str) -> Event | None:
    """The event in a line, if it is one."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    is_event = isinstance(event, dict) and {"event", "message"} <= event.keys()
    return event if is_event else None


def interrupt(process: subprocess.Popen[str], ended: Ended) -> None:
    """Lets the process end as after Ctrl-C. A second KeyboardInterrupt ends it at once; its saved progress stays."""
    try:
        if not has_ended(process, GROUP_SIGNAL_SECONDS):
            process.send_signal(signal.SIGINT)
        follow(process, ended, None)
    except KeyboardInterrupt:
        process.kill()
        process.wait()


def has_ended(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether the process ends within some time."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
