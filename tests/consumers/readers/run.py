"""Reads every cell of every table with every reader of readers.toml, and compares it with what pyarrow reads.

    run.py --program target/debug/scale-export [--ci] [--only NAME] [--write-document]
    run.py --install [--ci]
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import tomllib

import effects
import document
import environments
import expected
import exports

HERE = pathlib.Path(__file__).parent

# Of one reader version that are printed.
MOST_DIFFERENCES = 12


def readers(matrix, arguments):
    """Pairs of a family and a version that are to be checked."""
    for family in matrix["family"]:
        for version in family["version"]:
            name = f"{family['name']}-{version['version']}"
            if arguments.only and not any(name.startswith(only) for only in arguments.only):
                continue
            if version.get("ci") or not arguments.ci:
                yield name, family, version


def read(base, name, family, job):
    """Runs the adapter in the reader's environment; gives its lines."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        out, file = scratch / "out.jsonl", scratch / "job.json"
        file.write_text(json.dumps({**job, "adapter": family["adapter"], "calls": family["call"], "out": str(out)}))
        done = subprocess.run([environments.python(base, name).absolute(), HERE / "read.py", file], cwd=scratch,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
        if done.returncode != 0:
            raise RuntimeError(f"ended with {done.returncode}:\n{done.stdout[-4000:]}")
        return lines


def limits_of(call, version):
    """The limits that a version has with a call."""
    return [limit for limit in call.get("limit", [])
            if "versions" not in limit or version["version"] in limit["versions"]]


class Comparison:
    """What one reader version shows beside what it should."""

    def __init__(self, version, kinds, wanted):
        self.version, self.kinds, self.wanted = version, kinds, wanted
        self.differences, self.cells, self.effective = [], 0, set()

    def with_limits(self, call, table, column, cells):
        """The cells as the reader's limits change them; notes which limits changed any."""
        kind = self.kinds[table][column]
        for number, limit in enumerate(limits_of(call, self.version)):
            if kind in limit.get("types", ()):
                changed = getattr(effects, limit["effect"])(cells)
                if changed != cells:
                    self.effective.add((call["id"], number))
                cells = changed
        return cells

    def column(self, call, line):
        export, table, column = line["export"], line["table"], line["column"]
        wanted = self.wanted[export][table].get(column)
        if wanted is None:
            self.differences.append(f"{call['id']}: {export} {table}.{column} is a column too many")
            return
        wanted = self.with_limits(call, table, column, wanted)
        found = line["cells"]
        self.cells += len(found)
        if found == wanted:
            return
        if len(found) != len(wanted):
            what = f"{len(found)} rows instead of {len(wanted)}"
        else:
            row = next(row for row, pair in enumerate(zip(found, wanted)) if pair[0] != pair[1])
            count = sum(a != b for a, b in zip(found, wanted))
            what = (f"{count} of {len(found)} cells differ, first in row {row}: "
                    f"{found[row]!r:.200} instead of {wanted[row]!r:.200}")
        self.differences.append(f"{call['id']}: {export} {table}.{column} ({self.kinds[table][column]}): {what}")

    def error(self, call, line):
        """Notes a table that could not be read, unless that is a limit for tables without rows."""
        rows = any(self.wanted[line["export"]][line["table"]].values())
        for number, limit in enumerate(limits_of(call, self.version)):
            if not rows and limit.get("refuses", "\0") in line["error"]:
                self.effective.add((call["id"], number))
                return
        self.differences.append(f"{call['id']}: {line['export']} {line['table']}: {line['error']:.300}")

    def finish(self, calls, seen):
        """Notes columns that were not read and limits without effect."""
        for call in calls:
            for export, tables in self.wanted.items():
                for table, columns in tables.items():
                    if seen.get((call["id"], export, table)) is None:
                        continue
                    missing = [column for column in columns if column not in seen[call["id"], export, table]]
                    if missing:
                        self.differences.append(f"{call['id']}: {export} {table} lacks {', '.join(missing)}")
            for number, limit in enumerate(limits_of(call, self.version)):
                if (call["id"], number) not in self.effective:
                    self.differences.append(
                        f"{call['id']}: unexpected success: the limit {limit['text']!r} does not show")


def compare(lines, family, version, kinds, wanted):
    """The comparison of all that a reader version read."""
    comparison = Comparison(version, kinds, wanted)
    calls = {call["id"]: call for call in family["call"]}
    seen = {}
    for line in lines:
        where = (line["call"], line["export"], line["table"])
        if "error" in line:
            seen[where] = None
            comparison.error(calls[line["call"]], line)
            continue
        seen.setdefault(where, set()).add(line["column"])
        comparison.column(calls[line["call"]], line)
    for call in family["call"]:
        for export, tables in wanted.items():
            for table in tables:
                if (call["id"], export, table) not in seen:
                    comparison.differences.append(f"{call['id']}: {export} {table} was not read")
    comparison.finish(family["call"], seen)
    return comparison


def check(base, place, chosen, schemas):
    """Reads the exports below `place` with every chosen version; prints a line for each and gives how many failed."""
    kinds = {table: {c["name"]: c["type"] for c in schema["columns"]} for table, schema in schemas.items()}
    directories = {name: str((place / name).absolute()) for name in ("full", "empty")}
    wanted = expected.read(directories, schemas)
    exports.check(wanted, schemas)
    failed = 0
    without = expected.doubles_without_statistics(directories, schemas)
    if without:
        print(f"FAIL  pyarrow ignores the statistics of {', '.join(without)}")
        failed += 1
    job = {"exports": directories, "schemas": schemas}

    def one(reader):
        name, family, version = reader
        begin = time.monotonic()
        try:
            comparison = compare(read(base, name, family, job), family, version, kinds, wanted)
            return name, comparison.cells, time.monotonic() - begin, comparison.differences
        except RuntimeError as error:
            return name, 0, time.monotonic() - begin, [str(error)]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(one, chosen):
            report(*result)
            failed += bool(result[-1])
    return failed


def report(name, cells, seconds, differences):
    """One line for a reader version, and its first differences."""
    verdict = "FAIL" if differences else "ok"
    print(f"{verdict:4}  {name:22}  {cells:>9,} cells  {seconds:6.1f} s", flush=True)
    for difference in differences[:MOST_DIFFERENCES]:
        print(f"      {difference}", flush=True)
    if len(differences) > MOST_DIFFERENCES:
        print(f"      and {len(differences) - MOST_DIFFERENCES} more", flush=True)


def run_recipes(base, source, chosen):
    """Runs the recipes of the document over the exports below `source`, with the newest version of their readers; gives
    how many failed."""
    place = source / "recipes"
    place.mkdir(exist_ok=True)
    for name, kind in (("export", "parquet"), ("export-csv", "csv")):
        with contextlib.suppress(FileExistsError):
            (place / name).symlink_to(source.absolute() / kind)
    newest = {family["title"]: name for name, family, version in chosen if version is family["version"][-1]}
    failed = count = 0
    for title, language, code in document.recipes():
        if title not in newest:
            continue
        count += 1
        problem = document.run(environments.python(base, newest[title]), title, language, code, place)
        if problem:
            print(f"FAIL  {problem}", flush=True)
            failed += 1
    print(f"{count - failed} of {count} recipes of docs/readers.md run over {source.name}")
    return failed


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, help="scale-export")
    parser.add_argument("--environments", type=pathlib.Path, default=environments.ROOT / ".readers")
    parser.add_argument("--ci", action="store_true", help="only the readers that `make test` runs")
    parser.add_argument("--only", action="append", help="only readers whose names begin so")
    parser.add_argument("--install", action="store_true", help="make the environments, then stop")
    parser.add_argument("--keep", type=pathlib.Path, help="make the exports here, or take those that are here")
    parser.add_argument("--tasks", type=pathlib.Path, help="a file of tasks, over which the recipes run too")
    parser.add_argument("--write-document", action="store_true", help="write the table of docs/readers.md")
    return parser.parse_args()


def main():
    options = arguments()
    matrix = tomllib.loads((HERE / "readers.toml").read_text())
    base = options.environments
    chosen = list(readers(matrix, options))
    for name, family, version in chosen:
        environments.install(base, name, environments.packages(family, version))
    if options.install:
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        place = options.keep or pathlib.Path(scratch)
        if not (place / "full").exists():
            exports.make(options.program, place)
        failed = check(base, place, chosen, exports.schemas())
        print(f"compared with pyarrow {expected.pyarrow.__version__}: reader versions: {len(chosen)}, failures: {failed}")
        if options.write_document and not failed:
            document.write(matrix)
        sources = [place / "full"]
        if options.tasks:
            exports.flatten(options.program, options.tasks, place / "tasks")
            sources.append(place / "tasks")
        failed += sum(run_recipes(base, source, chosen) for source in sources)
        for difference in document.differences(matrix):
            print(f"FAIL  {difference}")
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
