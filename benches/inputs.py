"""Tasks to measure with: as JSON lines, as a list of their IDs, and as files for nginx."""

import itertools
import json
import re

FILE_NAME = "[A-Za-z0-9_-]+"
"""Pattern of the IDs of tasks that can be served as files."""


class Tasks:
    """A file of JSON lines, and the list of their IDs beside it."""

    def __init__(self, lines, kind):
        self.lines, self.kind = lines, kind
        self.ids = lines.with_suffix(".ids")
        self.count = self.bytes = 0
        with lines.open("rb") as tasks, self.ids.open("w") as ids:
            for task in tasks:
                ids.write(task_id(task) + "\n")
                self.count += 1
                self.bytes += len(task.rstrip(b"\n"))

    def described(self, **more):
        return {"tasks": self.count, "bytes": self.bytes, "kind": self.kind, **more}


def task_id(task):
    found = json.loads(task)["task_id"]
    if not re.fullmatch(FILE_NAME, found):
        raise SystemExit(f"the task {found!r} cannot be served as a file of that name")
    return found


def first_tasks(source, count, place, kind):
    """The first tasks of a file of JSON lines."""
    lines = place / f"{kind.replace(' ', '_')}_{count}.jsonl"
    with source.open("rb") as tasks, lines.open("wb") as out:
        out.writelines(itertools.islice(tasks, count))
    return Tasks(lines, kind)


def write_files(lines, directory):
    """Writes each task to a file with the name of its ID."""
    directory.mkdir()
    with lines.open("rb") as tasks:
        for task in tasks:
            (directory / f"{task_id(task)}.json").write_bytes(task.rstrip(b"\n"))


def tiny_tasks(count, place):
    """Tasks of under 1 kB, like a question with a short text."""
    lines = place / "tiny.jsonl"
    with lines.open("w") as out:
        for number in range(count):
            out.write(json.dumps(tiny_task(number), separators=(",", ":")) + "\n")
    return Tasks(lines, "tiny tasks")


def tiny_task(number):
    text = "Which of the two answers is better, and why? " * 3
    message = {"role": "user", "content": {"text": f"{text}{number}"}}
    turn = {"id": f"turn_{number:024x}", "messages": [message], "annotations": []}
    return {
        "task_id": f"task_{number:024x}",
        "project": "project_000000000000000000000001",
        "batch": "batch_000000000000000000000001",
        "status": "completed",
        "created_at": "2025-03-01T12:00:00.000Z",
        "completed_at": "2025-03-02T12:00:00.000Z",
        "threads": [{"id": f"thread_{number:024x}", "turns": [turn], "annotations": []}],
    }
