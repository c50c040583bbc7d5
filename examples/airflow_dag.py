"""Nightly export of Scale tasks, for Airflow 3; runs with 2.10 as well.

`export` succeeds when tables were published, so downstream tasks can use them. If IDs failed, `failed_ids` fails and with
it the whole run, while `verify` and the tasks after it continue. `changes` writes the tasks that this publication inserted,
updated and deleted, with their rows, for a warehouse that loads only those; `report` writes a page for a browser.

Before the first run, run `scale-export check` with the options of EXPORT as the user of the worker.
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
OUT = "/srv/scale/export"
# The key is in a file: Airflow shows commands in its pages and logs.
EXPORT = [PROGRAM, "--ids", "/srv/scale/ids.txt", "--out", OUT, "--api-key-file", "/srv/scale/key"]
EXPORT += ["--metrics", "/srv/scale/scale_export.prom"]  # for the textfile collector of node_exporter
CHANGES = [PROGRAM, "changes", OUT, "--out", "/srv/scale/feed", "--with-tables"]
REPORT = [PROGRAM, "report", OUT, "--out", "/srv/scale/report.html"]


def what_to_do(code):
    """The action for an exit code: "done", "some_failed", "again" or "fail"."""
    if code == 0:
        return "done"
    if code == 3:  # published, but some IDs failed; an immediate retry seldom helps
        return "some_failed"
    # The API was unavailable, or the run was stopped. A negative code is the signal that killed it. The same
    # command resumes.
    if code in (5, 129, 130, 143) or code < 0:
        return "again"
    return "fail"  # a retry does not help


def run(command):
    """Runs the command with its log in the task's log; returns its exit code and summary."""
    with tempfile.TemporaryDirectory() as directory:
        summary = Path(directory, "summary.json")
        command = [*command, "--progress", "never", "--summary", str(summary)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
            try:
                for line in process.stderr:
                    print(line, end="")
            except BaseException:
                # Airflow ends the task, not its child process. The program saves its state and ends
                # within seconds. Otherwise the next try finds the directory locked.
                process.terminate()
                raise
        text = summary.read_text() if summary.exists() else ""
    return process.returncode, json.loads(text or "{}")


@dag(
    schedule="15 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a run always exports the current tasks
    max_active_runs=1,  # a second run in the same directory ends with exit code 2
    tags=["scale"],
)
def scale_export():
    # Waits over two hours for an API that is unavailable: each try waits five minutes for it, too.
    @task(retries=6, retry_delay=timedelta(minutes=15), execution_timeout=timedelta(hours=6))
    def export():
        code, summary = run(EXPORT)
        verdict = what_to_do(code)
        message = f"exit code {code}: {summary.get('error', 'see the log above')}"
        if verdict == "again":
            raise AirflowException(message)
        if verdict == "fail":
            raise AirflowFailException(message)
        return {"some_failed": verdict == "some_failed", **summary}

    @task(retries=0)
    def failed_ids(summary):
        if summary["some_failed"]:
            kinds = summary.get("failures")
            raise AirflowFailException(f"{summary.get('failed')} IDs failed, {kinds}: see {OUT}/failures.jsonl")

    def offline(command):
        code, summary = run(command)
        if code != 0:
            raise AirflowFailException(f"exit code {code}: {summary.get('error', 'see the log above')}")
        return summary

    @task(retries=0)
    def verify():
        offline([PROGRAM, "verify", OUT])

    # Its value has the publications `from` and `to`. Compare `from` with the one that the warehouse has (docs/changes.md).
    @task(retries=0)
    def changes():
        return offline(CHANGES)

    @task(retries=0)
    def report():
        offline(REPORT)

    summary = export()
    failed_ids(summary)
    summary >> verify() >> [changes(), report()]  # your tasks follow here


scale_export()
