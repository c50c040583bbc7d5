"""Runs the example DAG of shards with Airflow and the real program, and compares what becomes of its tasks.

Arguments: the file of the DAG, the program, and exit codes with what must follow: `5=again`, or `2=fail`. A script in
front of the program ends the second shard with a code.
"""
import pathlib
import sys
from datetime import timedelta

import airflow_support

source, program = map(pathlib.Path, sys.argv[1:3])
base = source.parent
module = airflow_support.load(source, base / "airflow")

stub = base / "scale-export"
calls = base / "calls"
module.PROGRAM = str(stub)
module.RETRY_WAIT = timedelta(0)
COUNT = len(module.SHARD_DIRECTORIES)
UNUSUAL = 1
ALWAYS = 99


def put_in_front(code, times):
    """Ends the second shard so often with a code, and runs the program for everything else."""
    end = f"kill -{-code} $$" if code < 0 else f"exit {code}"
    stub.write_text(
        f"""#!/bin/sh
echo "$*" >> {calls}
case "$*" in *"--shard {UNUSUAL}/"*)
    [ $(grep -c -e "--shard {UNUSUAL}/" {calls}) -gt {times} ] || {end};;
esac
exec {program} "$@"
"""
    )
    stub.chmod(0o755)
    calls.write_text("")


def started():
    """How often the program was started for each shard."""
    lines = calls.read_text().splitlines()
    return [sum(f"--shard {index}/" in line for line in lines) for index in range(COUNT)]


def run(day):
    return airflow_support.run(module.scale_shards(), day)


def states(unusual="success", combine="success", failed_ids="success", verify="success"):
    shards = {f"export_shard[{index}]": "success" for index in range(COUNT)}
    shards[f"export_shard[{UNUSUAL}]"] = unusual
    return {**shards, "combine": combine, "failed_ids": failed_ids, "verify": verify}


def starts(unusual):
    return [unusual if index == UNUSUAL else 1 for index in range(COUNT)]


def equal(found, expected, what):
    assert found == expected, f"{what} gives {found} and not {expected}"


# Only the shard that was killed is started again.
put_in_front(-9, times=1)
equal(run(day=1), ("success", states()), "a killed shard")
equal(started(), starts(2), "a killed shard")

# The others end, so that the next run has them.
put_in_front(2, times=ALWAYS)
skipped = states("failed", "upstream_failed", "upstream_failed", "upstream_failed")
equal(run(day=2), ("failed", skipped), "a shard with exit code 2")
equal(started(), starts(1), "a shard with exit code 2")

# Its shard is published, and so is the whole: red for people, tables for what follows. More IDs move tasks from most
# shards to others.
ids = base / "ids.txt"
count = len(ids.read_text().splitlines())
more = "".join(f"task_{number}\n" for number in range(count + 1, 2 * count + 1))
ids.write_text(ids.read_text() + "no_such_task\n" + more)
put_in_front(0, times=0)
equal(run(day=3), ("failed", states(failed_ids="failed")), "a failed ID")

# Every other code, without Airflow around the function.
for argument in sys.argv[3:]:
    code, expected = argument.split("=")
    put_in_front(int(code), times=ALWAYS)
    try:
        found = module.run("--shard", f"{UNUSUAL}/{COUNT}", "--version")
    except module.AirflowFailException:
        found = "fail"
    except module.AirflowException:
        found = "again"
    else:
        found = "some_failed" if found["some_failed"] else "done"
    equal(found, expected, f"exit code {code}")
