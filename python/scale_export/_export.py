"""Exports: a run of the program from Python values, and its result."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _process, _progress
from ._errors import USAGE, ScaleExportError
from ._options import Option, arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ._directory import Export

KEY_VARIABLE = "SCALE_API_KEY"

# Have precedence over the variable of the key, so they are removed where a key is given.
OTHER_KEY_VARIABLES = ("SCALE_EXPORT_API_KEY_FILE", "SCALE_EXPORT_API_KEY_COMMAND")

# The file with the IDs of a call.
IDS_FILE = "ids.json"

# Exit codes with which a run has published.
PUBLISHED = (0, 3)


@dataclass(frozen=True)
class Run:
    """A run that has published: every ID was exported (exit code 0), or some failed (exit code 3)."""

    out: Path
    exit_code: int
    # Distinct IDs.
    requested: int
    exported: int
    failed: int
    # IDs in the tables by an earlier response, since the last request failed.
    stale: int
    # Failed and stale IDs by kind, like {"not_found": 2}. `read().failures` names them.
    failures: Mapping[str, int]
    # Rows by table.
    rows: Mapping[str, int]
    # What can be done next.
    hints: tuple[str, ...]
    warnings: tuple[str, ...]
    # The whole summary, as the option `summary` of the program writes it.
    summary: Mapping[str, Any] = field(repr=False)

    def read(self) -> Export:
        """The export that the run published."""
        from ._directory import read

        return read(self.out)


def export(
    *,
    out: str | os.PathLike[str],
    ids: str | os.PathLike[str] | Iterable[str] | None = None,
    project: str | Iterable[str] | None = None,
    batch: str | Iterable[str] | None = None,
    delivery: str | Iterable[str] | None = None,
    api_key: str | None = None,
    format: str | None = None,  # noqa: A002
    tables: Iterable[str] | None = None,
    rate: float | str | None = None,
    base_url: str | None = None,
    progress: bool | None = None,
    **options: Option,
) -> Run:
    """Export tasks into a directory, or bring an export up to date.

    ``ids`` is a file of task IDs, or the IDs themselves. ``project``, ``batch`` and ``delivery`` export all tasks of these.
    ``api_key`` reaches the program by its environment; without it the program reads ``SCALE_API_KEY``. All other options have
    the names of the command line with ``_`` for ``-``: ``max_failures=3``, ``drop_missing=True``, ``sandbox=True``.

    ``progress`` is shown in notebooks and terminals unless it is False. Warnings go to the logger ``scale_export``.

    Returns when the export is published, with some failed IDs or none. Every other end raises ScaleExportError.
    KeyboardInterrupt stops the run and keeps what was fetched: the same call resumes it.
    """
    named = {
        "out": os.fspath(out),
        "project": project,
        "batch": batch,
        "delivery": delivery,
        "format": format,
        "tables": tables,
        "rate": rate,
        "base_url": base_url,
    }
    variables = {}
    if api_key is not None:
        for other in ("api_key_file", "api_key_command"):
            if options.get(other) is not None:
                raise TypeError(f"api_key and {other} cannot be used together")
        variables = {KEY_VARIABLE: api_key, **dict.fromkeys(OTHER_KEY_VARIABLES)}
    with tempfile.TemporaryDirectory(prefix="scale-export-") as directory:
        summary_file = Path(directory, "summary.json")
        command = [
            *arguments({**named, **options}),
            *id_arguments(ids, Path(directory)),
            f"--summary={summary_file}",
        ]
        try:
            ended = run(command, variables, progress)
        except ScaleExportError as error:
            raise about_ids(error, ids, Path(directory)) from None
        summary = json.loads(summary_file.read_text(encoding="utf-8"))
    return Run(
        out=Path(out),
        exit_code=ended.exit_code,
        requested=summary.get("requested", 0),
        exported=summary.get("exported", 0),
        failed=summary.get("failed", 0),
        stale=summary.get("stale", 0),
        failures=summary.get("failures") or {},
        rows=summary.get("rows") or {},
        hints=tuple(summary.get("hints") or ()),
        warnings=tuple(event["message"] for event in ended.events if event["event"] == "warning"),
        summary=summary,
    )


def run(command: list[str], variables: Mapping[str, str | None], progress: bool | None) -> _process.Ended:
    """Runs an export, and shows its progress."""
    with _progress.display(progress) as show:
        ended = _process.run(
            # In seconds, where a person looks at it.
            [*command, "--progress=always" if show else "--progress=never"],
            variables=variables,
            on_progress=(lambda event: show(event["message"])) if show else None,
            published=PUBLISHED,
        )
        event = ended.last("summary")
        if show and event:
            show(event["message"])
    return ended


def about_ids(error: ScaleExportError, ids: str | os.PathLike[str] | Iterable[str] | None, directory: Path) -> ScaleExportError:
    """The error with the argument ``ids`` where it names a file of this package, or an ID as a file."""
    named = f"`{directory / IDS_FILE}`"
    if named in error.message:
        return ScaleExportError(
            error.exit_code, error.message.replace(named, "the argument `ids`"), "pass task IDs, like ids=['task_1']"
        )
    is_missing = isinstance(ids, str) and f"`{ids}`" in error.message and not Path(ids).exists()
    if error.exit_code == USAGE and is_missing:
        return ScaleExportError(USAGE, error.message, f"name a file, or pass the IDs themselves as a list: ids=[{ids!r}]")
    return error


def id_arguments(ids: str | os.PathLike[str] | Iterable[str] | None, directory: Path) -> Iterator[str]:
    """The list of IDs as an option. IDs themselves are written to a JSON file, which can hold any ID."""
    if ids is None:
        return
    if isinstance(ids, (str, os.PathLike)):
        yield f"--ids={os.fspath(ids)}"
        return
    listed = list(ids)
    wrong = next((item for item in listed if not isinstance(item, str)), None)
    if wrong is not None:
        raise TypeError(f"an ID must be a str, not {type(wrong).__name__}: {wrong!r}")
    path = directory / IDS_FILE
    path.write_text(json.dumps(listed), encoding="utf-8")
    yield f"--ids={path}"
