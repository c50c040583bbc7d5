"""Nightly export of a long list in shards, for Airflow 3. It has the imports of Airflow 2, but is not tested with it.

`export_shard` is mapped: one task for each shard, on any worker. Each retries alone, and continues with the directory of
its shard, which stays from night to night. `combine` then publishes the export of the whole list, and `verify` compares
it with the raw responses in the shards.

DATA is on a volume that all workers mount at the same path.
"""

import json
import subprocess
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

try:
    from airflow.sdk import dag, task
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:  # Airflow 2, and the first releases of 3
    from airflow.decorators import dag, task
    from airflow.exceptions import AirflowException, AirflowFailException

PROGRAM = "/usr/local/bin/scale-export"
DATA = "/srv/scale"
SHARDS = 4
# A list with more IDs moves some to other shards, so a shard can lose tasks. `combine` compares the whole export.
OPTIONS = ["--ids", f"{DATA}/ids.txt", "--api-key-file", f"{DATA}/key", "--max-shrink", "100%"]
TRIES = 7
# The API can be unavailable for two hours: each try waits five minutes for it, too.
RETRY_WAIT = timedelta(minutes=15)

OUT = f"{DATA}/export"
SHARD_DIRECTORIES = [f"{DATA}/shards/{index}" for index in range(SHARDS)]
PUBLISHED = (0, 3)  # 3: some IDs failed
# The API was unavailable, this worker cannot write to the volume, or the run was stopped. The same command resumes.
RETRIED = (5, 6, 129, 130, 143)


def run(*arguments):
    """Runs the program with its log in the task's log; returns its summary, or raises what Airflow acts on."""
    with tempfile.TemporaryDirectory() as directory:
        summary = Path(directory, "summary.json")
        # Airflow can kill a task, and its child process stays. It would hold the lock of the shard.
        command = ["setpriv", "--pdeathsig", "TERM", PROGRAM, *arguments, "--progress", "never", "--summary", summary]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
            try:
                for line in process.stderr:
                    print(line, end="")
            except BaseException:
                process.terminate()
                raise
        result = json.loads((summary.read_text() if summary.exists() else "") or "{}")
    code = process.returncode
    if code in PUBLISHED:
        return {"some_failed": code == 3, **result}
    message = f"exit code {code}: {result.get('error', 'see the log above')}"
    if code in RETRIED or code < 0:  # below zero: the signal that killed it
        raise AirflowException(message)
    raise AirflowFailException(message)  # a retry does not help


@dag(
    schedule="15 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a run always exports the current tasks
    max_active_runs=1,  # a second run in the same directories ends with exit code 2
    tags=["scale"],
)
def scale_shards():
    @task(retries=TRIES - 1, retry_delay=RETRY_WAIT, execution_timeout=timedelta(hours=6))
    def export_shard(index):
        run(*OPTIONS, "--shard", f"{index}/{SHARDS}", "--out", SHARD_DIRECTORIES[index])

    @task(retries=2, retry_delay=RETRY_WAIT)
    def combine():
        return run("combine", *SHARD_DIRECTORIES, "--out", OUT)

    # Fails the run when IDs failed, so that people see it. The tables are published all the same.
    @task(retries=0)
    def failed_ids(summary):
        if summary["some_failed"]:
            raise AirflowFailException(f"{summary.get('failed')} IDs failed: see {OUT}/failures.jsonl")

    @task(retries=2, retry_delay=RETRY_WAIT)
    def verify():
        run("verify", OUT, *SHARD_DIRECTORIES)

    summary = combine()
    export_shard.expand(index=list(range(SHARDS))) >> summary
    failed_ids(summary)
    summary >> verify()  # your tasks follow here


scale_shards()
