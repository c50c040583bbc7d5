"""What the cases of `whole_runs.py` share: the tasks, the tools, and rounds of measured runs."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import typing

from inputs import Tasks, first_tasks
from machine import KEY, ROOT, runs, timed
from results import OURS
from servers import nginx, sandbox

PACKAGES = ("aiohttp", "orjson", "uvloop", "pyarrow", "duckdb")

TASK_OPTIONS = "opts=annotation_details&opts=attachment_details&opts=model_parameters"
"""What the program requests of a task."""


class LeftOut(Exception):
    """A case cannot be measured, since a tool is missing."""


class Contender(typing.NamedTuple):
    """A program, its tasks, and its command for an output directory."""

    who: str
    tasks: Tasks
    command: typing.Callable


class Bench:
    """State that all cases share."""

    def __init__(self, options):
        self.options = options
        self.rounds = options.rounds
        self.work = pathlib.Path(options.work).resolve()
        self.program = pathlib.Path(options.program).resolve()
        self.left_out = []
        self.python = None
        self.peers = None
        self.made = None
        self.over_duckdb = None

    def leave_out(self, what):
        if what not in self.left_out:
            self.left_out.append(what)
            print(f"left out: {what}", file=sys.stderr)

    def find_peers(self):
        given = self.options.peers or os.environ.get("SCALE_EXPORT_BENCH_PEERS")
        place = pathlib.Path(given) if given else ROOT.parent / "shared" / "bench"
        if (place / "peer_aiohttp.py").is_file() and (place / "duck_flatten.py").is_file():
            self.peers = place.resolve()
        elif given:
            raise SystemExit(f"{place} does not contain peer_aiohttp.py and duck_flatten.py")
        else:
            self.leave_out("the scripts to compare with: give their directory with --peers")

    def find_python(self):
        """An interpreter that has the packages of the scripts."""
        given = self.options.python
        if given:
            if not runs([given, "-c", "import " + ", ".join(PACKAGES)]):
                raise SystemExit(f"{given} cannot import all of {', '.join(PACKAGES)}")
            self.python = given
            return
        place = self.work / "venv"
        python = place / "bin" / "python"
        if not runs([python, "-c", "import " + ", ".join(PACKAGES)]):
            print(f"installing {', '.join(PACKAGES)} into {place}", file=sys.stderr)
            made = runs([sys.executable, "-m", "venv", place]) and runs(
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
            )
            if not made:
                self.leave_out(f"all cases with Python packages: {', '.join(PACKAGES)} could not be installed")
                return
        self.python = str(python)

    def peer(self, script):
        """The path of a script to compare with; `None` if it cannot run."""
        return self.peers / script if self.peers and self.python else None

    def inputs(self):
        """One task, which shows what start-up costs, and the tasks of each size, generated on first use."""
        if self.made is None:
            lines, kind = self.all_tasks()
            counts = sorted({1, *self.options.tasks})
            self.made = [first_tasks(lines, count, self.work, kind) for count in counts]
            if self.made[-1].count < counts[-1]:
                raise SystemExit(f"{lines} has {self.made[-1].count} tasks, not {counts[-1]}: give other numbers with --tasks")
        return self.made

    def sizes(self):
        """The tasks of each size, the largest last."""
        return [tasks for tasks in self.inputs() if tasks.count in self.options.tasks]

    def all_tasks(self):
        """A file with at least the tasks of the largest size, and what they are."""
        lines, count = self.work / "all.jsonl", max(self.options.tasks)
        expand = self.peers and self.peers / "expand_corpus.py"
        corpus = self.peers and self.peers.parent / "corpus" / "real-small.jsonl.gz"
        if self.options.lines:
            return pathlib.Path(self.options.lines).resolve(), "given tasks"
        if expand and expand.is_file() and corpus.is_file():
            command = [sys.executable, expand, str(count), "-c", corpus, "-o", lines]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            return lines, "tasks with real texts"
        log = self.work / "sandbox.log"
        with sandbox(self.program, ["--tasks", str(count)], log) as port, lines.open("wb") as out:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            for number in range(1, count + 1):
                path = f"/v2/task?task_id=task_{number}&{TASK_OPTIONS}"
                connection.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
                out.write(connection.getresponse().read() + b"\n")
            connection.close()
        return lines, "tasks of the sandbox"

    @contextlib.contextmanager
    def serve(self, tasks):
        """Serves these tasks with nginx, or with the sandbox. Yields the port and name of the server."""
        if shutil.which("nginx"):
            with nginx(tasks, self.work / "nginx") as port:
                yield port, "nginx"
            return
        self.leave_out("nginx as the server: the sandbox serves instead, and is slower (Debian: nginx-light)")
        with sandbox(self.program, ["--from", str(tasks.lines)], self.work / "sandbox.log") as port:
            yield port, "the sandbox"

    def export(self, port, tasks, out):
        command = [self.program, "--ids", tasks.ids, "--out", out, "--plan", "ids", "--rate", "max", "--quiet"]
        return [*command, "--base-url", f"http://127.0.0.1:{port}"]

    def flatten(self, source, out, *more):
        return [self.program, "flatten", source, "--out", out, "--quiet", *more]

    def alternate(self, measures):
        """Calls all measures in rounds; returns the results of each by its key.

        Every second round has the reverse order.
        """
        took = {key: [] for key in measures}
        for number in range(self.rounds):
            for key in measures if number % 2 == 0 else reversed(measures):
                took[key].append(measures[key]())
        return took

    def compare(self, contenders):
        """Medians of the contenders by name, one for each of their inputs, in the order of the contenders."""
        # Warms up the caches; not counted.
        self.run([one for one in contenders if one.who == OURS][-1])
        measures = {number: lambda one=one: self.run(one) for number, one in enumerate(contenders)}
        took = self.alternate(measures)
        who = {}
        for number, one in enumerate(contenders):
            who.setdefault(one.who, []).append(medians(took[number]))
        for name, figures in who.items():
            for seen, wanted in zip(figures, who[OURS], strict=True):
                if seen["rows"] != wanted["rows"]:
                    raise SystemExit(f"{name} has {seen['rows']} tasks and messages, {OURS} {wanted['rows']}")
        return who

    def run(self, contender):
        """Runs a contender once."""
        out = self.work / "out" / contender.who.replace(" ", "_")
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(exist_ok=True)
        if contender.who != OURS:
            out.mkdir()
        figures, text = self.timed(contender.command(out))
        return {**figures, "rows": rows(out, contender.who, text)}

    def timed(self, command):
        """Runs a command; returns its figures and its output."""
        path = os.environ["PATH"]
        if self.python:
            path = f"{pathlib.Path(self.python).parent}:{path}"
        log = self.work / "log"
        with log.open("wb") as output:
            code, wall, cpu, memory = timed(command, path, stdout=output, stderr=output)
        text = log.read_text(errors="replace")
        if code != 0:
            raise SystemExit(f"{' '.join(map(str, command))}: exited with {code}:\n{text}")
        return {"wall": wall, "cpu": cpu, "memory": memory}, text


def rows(out, name, text):
    """Numbers of tasks and messages in the output, to check that all did the same work."""
    if name == OURS:
        tables = json.loads((out / "manifest.json").read_text())["tables"]
        return [tables[table]["rows"] for table in ("tasks", "messages")]
    return [int(number) for number in re.findall(r"\d+", text.splitlines()[-1])[:2]]


def medians(took):
    """Medians of the figures of all rounds, and the rounds."""
    figures = {key: statistics.median(run[key] for run in took) for key in ("wall", "cpu", "memory")}
    return {**figures, "rows": took[0].get("rows"), "rounds": took}
