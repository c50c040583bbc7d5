"""A directory with an export: its manifest, its tables, and the commands that read it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _process
from ._errors import MISMATCH, USAGE, ScaleExportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb
    import pandas
    import polars
    import pyarrow

    from ._conversations import Conversation

MANIFEST = "manifest.json"

# The newest format of a manifest that this package reads.
MANIFEST_VERSION = 1

# Tables with the same first number of the schema version have the same columns, except for new ones.
SCHEMA_MAJOR = "2"

# The ID of a publication, which `changes()` has as `from` and `to`.
PUBLICATION = re.compile("[0-9a-f]{16}")

# Variables that would change what `changes` prints.
CHANGES_VARIABLES = ("SCALE_EXPORT_SINCE", "SCALE_EXPORT_SUMMARY", "SCALE_EXPORT_WITH_TABLES")

# Findings that an error names. The rest is counted.
SHOWN_FINDINGS = 3


def read(directory: str | os.PathLike[str]) -> Export:
    """Read the manifest of an export. Its tables are read when they are requested.

    An export in a bucket (``s3://``, ``gs://``, ``az://``) is downloaded into a temporary directory, which is removed with the
    result.
    """
    if "://" in os.fspath(directory):
        return downloaded(os.fspath(directory))
    path = Path(directory)
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        cause = f"it has no {MANIFEST}" if path.is_dir() else "there is no such directory"
        raise unreadable(path, cause, "name the output directory of an export") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, f"{MANIFEST}: {error}", "check the file, or export again") from error
    check_versions(path, manifest)
    return Export(path, manifest)


def downloaded(url: str) -> Export:
    """A temporary copy of an export in a bucket."""
    path = tempfile.mkdtemp(prefix="scale-export-")
    try:
        _process.run(["download", url, path])
        export = read(path)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    weakref.finalize(export, shutil.rmtree, path, ignore_errors=True)
    return export


def unreadable(path: Path, cause: str, hint: str) -> ScaleExportError:
    return ScaleExportError(USAGE, f"could not read the export in `{path}`: {cause}", hint)


def check_versions(path: Path, manifest: Any) -> None:
    """Raises an error for manifests and tables of other versions."""
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int):
        raise unreadable(path, f"{MANIFEST} has no format_version", "export again")
    tool = manifest.get("tool", {}).get("version", "?")
    if version > MANIFEST_VERSION:
        raise unreadable(
            path,
            f"scale-export {tool} wrote its manifest in format {version}, and this version reads up to {MANIFEST_VERSION}",
            "upgrade: pip install --upgrade scale-export",
        )
    schema = str(manifest.get("schema_version"))
    major = schema.split(".")[0]
    if major != SCHEMA_MAJOR:
        is_newer = major.isdigit() and int(major) > int(SCHEMA_MAJOR)
        raise unreadable(
            path,
            f"its tables have schema version {schema}, and this version reads {SCHEMA_MAJOR}",
            "upgrade: pip install --upgrade scale-export"
            if is_newer
            else f"rebuild the tables: scale-export flatten {path} --out {path}",
        )


class Export:
    """A published export.

    Each method imports its library when it is called: pyarrow, pandas, polars or duckdb.
    """

    path: Path
    manifest: Mapping[str, Any]

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    def __repr__(self) -> str:
        return f"Export({str(self.path)!r}, tables={len(self.tables)}, tasks={self.tables.get('tasks')})"

    @property
    def tables(self) -> dict[str, int]:
        """The tables with the number of their rows."""
        return {name: table["rows"] for name, table in self.manifest["tables"].items()}

    @property
    def format(self) -> str:
        """``parquet`` or ``csv``."""
        return str(self.manifest["options"]["format"])

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The IDs that failed or are stale, with kind, http_status, attempts and message."""
        with (self.path / "failures.jsonl").open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def arrow(self, table: str, *, columns: Sequence[str] | None = None) -> pyarrow.Table:
        """A table for pyarrow. JSON columns are text."""
        from . import _frames

        return _frames.arrow(self.format, table, self._file(table), self._columns(table, columns))

    def pandas(self, table: str, *, columns: Sequence[str] | None = None, json: bool = False) -> pandas.DataFrame:
        """A table for pandas: nullable integers, booleans and texts, times in UTC, lists as Python lists.

        JSON columns are text. With ``json=True`` they are decoded to Python values; integers keep all digits, and other
        numbers become floats.
        """
        from . import _frames

        return _frames.pandas(self.arrow(table, columns=columns), table, json)

    def polars(self, table: str, *, columns: Sequence[str] | None = None) -> polars.DataFrame:
        """A table for polars. JSON columns are text."""
        from . import _frames

        if self.format == "csv":
            return _frames.polars_of(self.arrow(table, columns=columns))
        return _frames.polars(self._file(table), columns)

    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """A database in memory with a view for each table: ``x.duckdb().sql("FROM messages")``."""
        import duckdb

        views = _process.run(["schema", "--dir", str(self.path.absolute())]).stdout
        connection = duckdb.connect()
        connection.execute(views)
        return connection

    def conversations(self, *, alternatives: str = "keep") -> list[Conversation]:
        """One row for each thread, with its messages as role and content: for trl and datasets.

        Assistant messages that follow each other are alternatives. The first is used. The others are in ``alternatives``, or
        with ``alternatives="expand"`` in rows that end with them. A content is the text of the message, or without a text
        the texts of its chunks.
        """
        return list(self.iter_conversations(alternatives=alternatives))

    def iter_conversations(self, *, alternatives: str = "keep") -> Iterator[Conversation]:
        """The rows of ``conversations()`` one by one, in bounded memory from Parquet."""
        from . import _conversations, _frames

        _conversations.check(alternatives)
        columns = _conversations.COLUMNS
        read_rows = {table: _frames.rows(self.format, table, self._file(table), columns[table]) for table in columns}
        for thread in _conversations.threads(**read_rows):
            yield from _conversations.rows(thread, alternatives)

    def verify(self) -> dict[str, Any]:
        """Verify checksums, keys and the rebuild of every task. Returns the report, and raises an error on a mismatch."""
        command = ["verify", os.fspath(self.path), "--progress=never", "--summary=-"]
        ended = _process.run(command, published=(0, MISMATCH))
        report: dict[str, Any] = json.loads(ended.stdout)
        if ended.exit_code == MISMATCH:
            raise ScaleExportError(MISMATCH, mismatch(self.path, report), "export or flatten again, and verify")
        return report

    def changes(self, since: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """How many tasks the last publication inserted, updated and deleted.

        With ``since``, the changes since an older export in that directory, or since the publication with that ID, which must
        be the last one or the one before.
        """
        command = ["changes", os.fspath(self.path), "--json"]
        if since is not None:
            older = os.fspath(since)
            is_publication = PUBLICATION.fullmatch(older) is not None and not Path(older).exists()
            command[1:1] = [f"--since={older}"] if is_publication else [older]
        ended = _process.run(command, variables=dict.fromkeys(CHANGES_VARIABLES))
        changes: dict[str, Any] = json.loads(ended.stdout)
        return changes

    def _columns(self, table: str, columns: Sequence[str] | None) -> list[str] | None:
        """Selected columns, all of which must exist: pyarrow ignores others."""
        if columns is None:
            return None
        if isinstance(columns, str):
            raise TypeError(f"columns is a list of names, like [{columns!r}]")
        from . import _frames

        path = self._file(table)
        known = _frames.column_names(self.format, path)
        unknown = next((column for column in columns if column not in known), None)
        if unknown is not None:
            raise ScaleExportError(
                USAGE,
                f"could not find column `{unknown}` in `{path}`",
                f"the columns are {', '.join(known)}",
            )
        return list(columns)

    def _file(self, table: str) -> Path:
        """The file of a table, which must be the one in the manifest."""
        listed = self.manifest["tables"].get(table)
        if listed is None:
            names = ", ".join(self.tables)
            raise ScaleExportError(
                USAGE,
                f"could not find table `{table}` in the export in `{self.path}`",
                f"the tables are {names}",
            )
        (file,) = listed["files"]
        path = self.path / str(file["path"])
        try:
            size = path.stat().st_size
        except OSError as error:
            raise unreadable(self.path, str(error), "export again to repair it") from error
        if size != file["bytes"]:
            raise ScaleExportError(
                MISMATCH,
                f"could not read `{path}`: it has {size} bytes, and {file['bytes']} in the manifest",
                "a run may have replaced it: call scale_export.read() again; else verify the export",
            )
        return path


def mismatch(path: Path, report: Mapping[str, Any]) -> str:
    """The number of findings of a verification, and the first ones."""
    lines = [
        ": ".join(str(finding[key]) for key in ("file", "task_id", "column") if finding.get(key))
        + f": expected {finding.get('expected')}, found {finding.get('found')}"
        for finding in report["first_findings"][:SHOWN_FINDINGS]
    ]
    return "\n".join([f"verify found {report['findings']} mismatches in `{path}`", *lines])
