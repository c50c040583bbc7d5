"""Runs the example DAG with Airflow, once for each exit code, and compares what becomes of its tasks.

Arguments: the file of the DAG, a directory for the files of Airflow, and exit codes, each with the expected result:
`5=again`. The program is a mock that exits with the code once, and with 0 if it is retried.
"""
import json
import pathlib
import sys
from datetime import timedelta

import airflow_support

source, home = map(pathlib.Path, sys.argv[1:3])
module = airflow_support.load(source, home)

stub = home / "scale-export"
module.PROGRAM = module.EXPORT[0] = module.CHANGES[0] = module.REPORT[0] = str(stub)
SUMMARY = {"failed": 2, "failures": {"not_found": 2}, "error": "as the program said it"}


def run(code, day):
    """The state of the run, those of its tasks, and how often the program was started to export."""
    calls = home / f"calls_{day}"
    end = f"kill -{-code} $$" if code < 0 else f"exit {code}"
    stub.write_text(
        f"""#!/bin/sh
case "$1" in verify | changes | report) exit 0;; esac
echo call >> {calls}
[ $(wc -l < {calls}) -eq 1 ] || exit 0
while [ "$1" != --summary ]; do shift; done
echo '{json.dumps(SUMMARY)}' > "$2"
{end}
"""
    )
    stub.chmod(0o755)
    dag = module.scale_export()
    dag.get_task("export").retry_delay = timedelta(0)
    return *airflow_support.run(dag, day), len(calls.read_text().splitlines())


def states(export, failed_ids, others):
    return {"export": export, "failed_ids": failed_ids, "verify": others, "changes": others, "report": others}


EXPECTED = {
    "done": ("success", states("success", "success", "success"), 1),
    # Red for people, tables for what follows.
    "some_failed": ("failed", states("success", "failed", "success"), 1),
    "again": ("success", states("success", "success", "success"), 2),
    "fail": ("failed", states("failed", "upstream_failed", "upstream_failed"), 1),
}
for day, argument in enumerate(sys.argv[3:], start=1):
    code, asked = argument.split("=")
    found = run(int(code), day)
    assert found == EXPECTED[asked], f"exit code {code} gives {found} and not {EXPECTED[asked]}"
