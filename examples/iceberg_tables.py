"""Loads an export (Parquet) into Iceberg tables. Run it after each export.

    pip install 'pyiceberg[pyarrow,sql-sqlite]'
    iceberg_tables.py export/ --catalog production --namespace scale
    iceberg_tables.py export/ --local lake/

The catalog is one of `.pyiceberg.yaml`, or a new one in a directory, to try it. The first run creates one table for each table
of the export. Each later run replaces the file of each table that changed, in one snapshot, so a reader sees the table before
or after. `tasks` is the last one. If a run stops midway, run the same command again: it continues. Exit code 1: the message on
standard error has one line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow
import pyarrow.parquet
from pyiceberg import exceptions
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.io import FileIO, InputStream
from pyiceberg.io.pyarrow import parquet_files_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, TableProperties, Transaction

# Names of a copy. Each run that is killed in the middle of one leaves the part under its name.
COPY_NAMES = 100

# A property of each table that this script created. It changes no others.
CREATED_FOR = "scale-export.table"
# In the summary of each snapshot: the publication that it came with.
PUBLICATION = "scale-export.publication"
BUFFER_BYTES = 1 << 20

# It warns about each column without a minimum, as in a table without rows, and of conflicts before it raises them.
logging.getLogger("pyiceberg").setLevel(logging.ERROR)

# What pyiceberg raises after a commit of another run. The last one is new in version 0.10.
CONFLICTS = tuple(
    getattr(exceptions, name)
    for name in ("CommitFailedException", "TableAlreadyExistsError", "ValidationException")
    if hasattr(exceptions, name)
)


class LoadError(Exception):
    """What failed, and what to do."""


@dataclass(frozen=True)
class TableFile:
    """A table of the export."""

    table: str
    path: Path
    sha256: str

    @property
    def stem(self) -> str:
        """The beginning of the name of its copies."""
        return f"{self.table}-{self.sha256[:32]}"


def read_manifest(export: Path) -> tuple[str, list[TableFile]]:
    """The ID of the publication, and its tables, with `tasks` at the end."""
    try:
        manifest = json.loads((export / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise LoadError(f"could not read the export {export}: {error}; give the directory of a complete export") from error
    if manifest["options"]["format"] != "parquet":
        raise LoadError(f"{export} has CSV files; export with --format parquet")
    files = []
    for table, listed in manifest["tables"].items():
        (file,) = listed["files"]
        files.append(TableFile(table, export / file["path"], file["sha256"]))
    files.sort(key=lambda file: file.table == "tasks")
    return str(manifest.get("publication")), files


def digest(stream: InputStream | BinaryIO) -> str:
    sha256 = hashlib.sha256()
    while chunk := stream.read(BUFFER_BYTES):
        sha256.update(chunk)
    return sha256.hexdigest()


def copy(file: TableFile, table: Table) -> str:
    """Copies a file into the table's directory, and returns where it is. A run that repeats a failed one finds its copy.

    The name has a number that increases with each snapshot: Iceberg deletes what an expired snapshot removed, so a name that
    was in the table before must not return, even with the same content.
    """
    number = table.metadata.next_sequence_number()
    for attempt in range(COPY_NAMES):
        suffix = f"-{attempt}" if attempt else ""
        location = table.location_provider().new_data_location(f"{file.stem}-{number}{suffix}.parquet")
        if not table.io.new_input(location).exists():
            write(file, table.io, location)
            return location
        with table.io.new_input(location).open() as existing:
            if digest(existing) == file.sha256:
                return location
        # A part of the file, from a run that was killed, or that still writes it.
    raise LoadError(
        f"could not copy {file.path} to {location}: other files have this name and the next {COPY_NAMES}; delete them"
    )


def write(file: TableFile, io: FileIO, location: str) -> None:
    with file.path.open("rb") as source:
        if digest(source) != file.sha256:
            raise LoadError(f"{file.path} is not the file in manifest.json; run this again after the export has ended")
        source.seek(0)
        with io.new_output(location).create() as target:
            shutil.copyfileobj(source, target, BUFFER_BYTES)


def data_files(table: Table) -> tuple[list[DataFile], bool]:
    """The files of the current snapshot, and whether rows of them are deleted."""
    tasks = list(table.scan(options={"include_empty_files": "true"}).plan_files())
    return [task.file for task in tasks], any(task.delete_files for task in tasks)


def is_current(table: Table, file: TableFile) -> bool:
    """Whether the table has the rows of this file, and no others."""
    files, have_deletes = data_files(table)
    return not have_deletes and [Path(it.file_path).name.startswith(file.stem + "-") for it in files] == [True]


def columns_of(file: TableFile) -> list[pyarrow.Field]:
    """The columns of a file, with their descriptions."""
    schema = pyarrow.parquet.read_schema(file.path)
    descriptions = json.loads((schema.metadata or {}).get(b"scale_export.columns", b"{}"))
    return [column.with_metadata({"doc": descriptions.get(column.name, "")}) for column in schema]


def update_columns(transaction: Transaction, columns: list[pyarrow.Field]) -> None:
    """Adds the columns that a table lacks. Columns that only some files have are null in the others."""
    fields = transaction.table_metadata.schema().fields
    known = {field.name for field in fields}
    with transaction.update_schema() as update:
        update.union_by_name(pyarrow.schema([it if it.name in known else it.with_nullable(True) for it in columns]))
        for name in known - {column.name for column in columns}:
            update.make_column_optional(name)


def replace(table: Table, file: TableFile, publication: str) -> None:
    """Replaces the rows of a table in one snapshot."""
    location = copy(file, table)
    with table.transaction() as transaction:
        # Readers find columns by name, as the file has no IDs of columns.
        if transaction.table_metadata.name_mapping() is None:
            names = transaction.table_metadata.schema().name_mapping.model_dump_json()
            transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: names})
        update_columns(transaction, columns_of(file))
        # What `add_files` does. But pyiceberg repeats an `add_files` after another run's, and then has the rows twice.
        added = parquet_files_to_data_files(table.io, transaction.table_metadata, iter([location]))
        with transaction.update_snapshot(snapshot_properties={PUBLICATION: publication}).overwrite() as overwrite:
            for data_file in data_files(table)[0]:
                overwrite.delete_data_file(data_file)
            for data_file in added:
                overwrite.append_data_file(data_file)


def snapshot_id(table: Table) -> int | None:
    snapshot = table.current_snapshot()
    return snapshot.snapshot_id if snapshot else None


def existing_tables(catalog: Catalog, namespace: str, files: list[TableFile]) -> Iterator[tuple[TableFile, Table | None]]:
    for file in files:
        try:
            table = catalog.load_table((*namespace.split("."), file.table))
        except exceptions.NoSuchTableError:
            yield file, None
            continue
        if table.properties.get(CREATED_FOR) != file.table:
            raise LoadError(f"this script did not create {namespace}.{file.table}; choose another --namespace, or rename it")
        yield file, table


def load(catalog: Catalog, namespace: str, export: Path) -> None:
    """Loads an export into the tables of a namespace."""
    publication, files = read_manifest(export)
    catalog.create_namespace_if_not_exists(namespace)
    # All are checked before the first one changes.
    tables = list(existing_tables(catalog, namespace, files))
    kept: dict[tuple[str, ...], int | None] = {}
    replaced = 0
    for file, existing in tables:
        if (table := existing) is None:
            identifier = (*namespace.split("."), file.table)
            schema = pyarrow.schema(columns_of(file))
            table = catalog.create_table(identifier, schema, properties={CREATED_FOR: file.table})
        if not is_current(table, file):
            replace(table, file, publication)
            replaced += 1
        kept[table.name()] = snapshot_id(table)
    # Another run can have changed a table that this run left as it was.
    if any(snapshot_id(catalog.load_table(name)) != kept[name] for name in kept):
        raise exceptions.CommitFailedException("a table has another snapshot")
    print(f"{namespace} has publication {publication}: replaced {replaced} of {len(tables)} tables")


def open_catalog(options: argparse.Namespace) -> Catalog:
    if options.local is None:
        return load_catalog(options.catalog)
    directory = options.local.resolve()
    if any(character in str(directory) for character in "%?#"):
        raise LoadError(f"{directory} has a character with a meaning in URLs; choose a directory without %, ? and #")
    directory.mkdir(parents=True, exist_ok=True)
    return load_catalog("local", type="sql", uri=f"sqlite:///{directory}/catalog.db", warehouse=f"file://{directory}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Load an export (Parquet) into Iceberg tables.")
    parser.add_argument("export", type=Path, help="directory of the export")
    catalogs = parser.add_mutually_exclusive_group()
    catalogs.add_argument("--catalog", default="default", metavar="NAME", help="catalog in .pyiceberg.yaml (default: default)")
    catalogs.add_argument("--local", type=Path, metavar="DIR", help="use a SQLite catalog and tables in this directory")
    parser.add_argument("--namespace", default="scale_export", metavar="NAME", help="default: scale_export")
    options = parser.parse_args()
    try:
        load(open_catalog(options), options.namespace, options.export)
    except LoadError as error:
        sys.exit(f"error: {error}")
    except CONFLICTS:
        sys.exit(f"error: another run changed {options.namespace} at the same time; run this again after that run has ended")
    except exceptions.CommitStateUnknownException:
        sys.exit("error: the catalog did not confirm a commit; run this again")
    except Exception as error:
        # Those of catalogs, stores and files have no common type.
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        sys.exit(f"error: could not load {options.export}: {reason}; correct the cause, and run this again")


if __name__ == "__main__":
    main()
