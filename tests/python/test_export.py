"""Exports by the package: results, errors, the key, interruption. Needs no other package."""

from __future__ import annotations

import datetime
import gc
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import unittest
from pathlib import Path
from unittest import mock

import scale_export
from scale_export import _directory, _process, _program
from scale_export._options import arguments
from support import KEY, ROOT, Case, sandbox_export, server, task_ids

# The store in memory that the tests of buckets have.
sys.path.append(str(ROOT / "tests/stores"))
import fake_gcs


class Results(Case):
    def test_a_run_reports_its_summary(self):
        run = scale_export.export(ids=["task_1", "task_2"], out=self.out, rate=50, sandbox=True)
        self.assertEqual((run.exit_code, run.exported, run.failed, run.failures), (0, 2, 0, {}))
        self.assertEqual(run.rows["tasks"], 2)
        self.assertEqual(run.summary["requests"], 2)
        x = run.read()
        self.assertEqual(x.tables["tasks"], 2)
        self.assertEqual(len(x.tables), 18)
        self.assertEqual(x.format, "parquet")
        self.assertEqual(x.failures, [])
        self.assertEqual(x.verify()["findings"], 0)
        self.assertIn("tasks=2", repr(x))

    def test_failed_ids_are_a_result(self):
        run = scale_export.export(ids=["task_1", "none"], out=str(self.out), sandbox=True)
        self.assertEqual((run.exit_code, run.exported, run.failed, run.failures), (3, 1, 1, {"not_found": 1}))
        self.assertIn("not found", run.hints[0])
        (failure,) = run.read().failures
        self.assertEqual((failure["task_id"], failure["kind"], failure["http_status"]), ("none", "not_found", 404))

    def test_ids_come_from_a_file_or_any_iterable(self):
        file = self.directory / "ids.txt"
        file.write_text("task_1\ntask_2\n")
        strange = ["task_1", "a,b", '"', "#c", "https://d", "\N{SNOWMAN}"]
        for ids, requested in [(file, 2), (str(file), 2), (iter(["task_3"]), 1), (strange, 6)]:
            run = scale_export.export(ids=ids, out=self.directory / str(requested), sandbox=True, max_shrink="100%")
            self.assertEqual(run.requested, requested)
        with self.assertRaisesRegex(TypeError, "an ID must be a str, not int: 7"):
            scale_export.export(ids=["task_1", 7], out=self.out)

    def test_lists_have_their_options(self):
        with server("--tasks=60", "--batch-size=20") as url:
            run = scale_export.export(
                batch="Batch 1",
                out=self.out,
                base_url=url,
                api_key=KEY,
                tables=["tasks", "messages"],
                timeout=datetime.timedelta(seconds=20),
                completed_after=datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc),
                expand=[],
            )
        self.assertGreater(run.exported, 0)
        self.assertEqual(list(run.read().tables), ["tasks", "messages"])

    def test_warnings_are_logged_and_returned(self):
        with self.assertLogs("scale_export", logging.WARNING) as logs:
            run = sandbox_export(self.out, 2, opts=["annotation_details", "no_such"])
        self.assertEqual(len(run.warnings), 1)
        self.assertIn("no_such", run.warnings[0])
        self.assertIn(run.warnings[0], logs.output[0])

    def test_progress_is_shown_where_it_is_requested(self):
        script = (
            "import scale_export, sys\n"
            "ids = [f'task_{n}' for n in range(1, 31)]\n"
            "scale_export.export(ids=ids, out=sys.argv[1], sandbox=True, rate=10, progress=%s)"
        )
        for progress, is_shown in [(True, True), (False, False), (None, False)]:
            output = subprocess.run(
                [sys.executable, "-c", script % progress, self.directory / str(progress)],
                capture_output=True,
                text=True,
            )
            self.assertEqual(output.returncode, 0, output.stderr)
            self.assertEqual(bool(re.search(r"\d+/30 tasks", output.stderr)), is_shown, output.stderr)
            self.assertEqual("Exported 30 of 30" in output.stderr, is_shown, output.stderr)


class Errors(Case):
    def test_wrong_usage_raises_with_a_hint(self):
        error = self.error_of(scale_export.export, ids=["task_1"], out=self.out, sandbox=True, ratee=5)
        self.assertEqual((error.exit_code, error.message), (2, "could not read the command line: unknown option `--ratee`"))
        self.assertIn("did you mean `--rate`?", error.hint)
        self.assertIn("hint: did you mean `--rate`?", str(error))
        again = pickle.loads(pickle.dumps(error))  # noqa: S301
        self.assertEqual(str(again), str(error))
        error = self.error_of(scale_export.export, ids="no_such.txt", out=self.out, sandbox=True)
        self.assertEqual(error.exit_code, 2)
        self.assertIn("no_such.txt", error.message)
        self.assertIn("ids=['no_such.txt']", error.hint)
        for ids in ([], ["two words"]):
            error = self.error_of(scale_export.export, ids=ids, out=self.out, sandbox=True)
            self.assertEqual(error.exit_code, 2)
            self.assertIn("the argument `ids`", error.message)
            self.assertNotIn("ids.json", str(error))

    def test_options_of_the_package_cannot_be_set(self):
        for name in ("log_format", "summary", "version"):
            with self.assertRaisesRegex(TypeError, name):
                scale_export.export(ids=["task_1"], out=self.out, **{name: "x"})

    def test_a_refused_key_raises_and_is_not_shown(self):
        wrong = KEY + "_wrong"
        with server() as url:
            error = self.error_of(scale_export.export, ids=["task_1"], out=self.out, base_url=url, api_key=wrong)
        self.assertEqual(error.exit_code, 4)
        self.assertNotIn(wrong, repr(error) + str(error))

    def test_a_failed_run_is_not_published(self):
        error = self.error_of(scale_export.export, ids=["none"], out=self.out, sandbox=True)
        self.assertEqual(error.exit_code, 8)
        self.assertIn("hint: ", str(error))

    def test_a_missing_directory_and_other_versions_are_not_read(self):
        error = self.error_of(scale_export.read, self.out)
        self.assertEqual(error.exit_code, 2)
        self.assertIn("no such directory", error.message)
        self.out.mkdir()
        self.assertIn("no manifest.json", self.error_of(scale_export.read, self.out).message)
        manifest = self.out / "manifest.json"
        manifest.write_text("{")
        self.assertEqual(self.error_of(scale_export.read, self.out).exit_code, 2)
        manifest.unlink()
        sandbox_export(self.out, 2)
        text = manifest.read_text()
        for old, new, hint in [
            ('"format_version": 1', '"format_version": 9', "upgrade"),
            ('"schema_version": "2.', '"schema_version": "3.', "upgrade"),
            ('"schema_version": "2.', '"schema_version": "1.', "scale-export flatten"),
        ]:
            self.assertIn(old, text)
            manifest.write_text(text.replace(old, new))
            error = self.error_of(scale_export.read, self.out)
            self.assertEqual(error.exit_code, 2)
            self.assertIn(hint, error.hint)

    def test_an_export_in_a_bucket_is_read_from_a_copy(self):
        store = fake_gcs.start()
        self.addCleanup(store.server_close)
        self.addCleanup(store.shutdown)
        url = "gs://bucket/nightly"
        place = {"GOOGLE_BASE_URL": f"http://127.0.0.1:{store.server_address[1]}", "GOOGLE_BEARER_TOKEN": KEY}
        with mock.patch.dict(os.environ, place):
            error = self.error_of(scale_export.read, url)
            self.assertEqual((error.exit_code, "has no manifest.json" in error.message), (2, True))
            sandbox_export(url, 20, state=self.directory / "state")
            x = scale_export.read(url)
        local = scale_export.read(self.directory / "state/out")
        self.assertEqual((x.tables, x.tables["tasks"]), (local.tables, 20))
        copy = x._file("tasks")
        self.assertEqual(copy.read_bytes(), local._file("tasks").read_bytes())
        self.assertEqual(x.verify()["findings"], 0)
        del x
        gc.collect()
        self.assertFalse(copy.parent.exists())
        with mock.patch.dict(os.environ, {**place, "GOOGLE_BASE_URL": "http://127.0.0.1:1"}):
            error = self.error_of(scale_export.export, ids=["task_1"], out=url, state=self.out, sandbox=True, max_retries=0)
        self.assertEqual(error.exit_code, 6)
        self.assertNotIn(KEY, str(error))

    def test_a_file_that_is_not_the_published_one_is_not_read(self):
        x = sandbox_export(self.out, 2).read()
        with (self.out / "tasks.parquet").open("ab") as file:
            file.write(b"x")
        error = self.error_of(x._file, "tasks")
        self.assertEqual(error.exit_code, 7)
        self.assertIn("the tables are tasks, ", self.error_of(x._file, "task").hint)
        error = self.error_of(x.verify)
        self.assertEqual(error.exit_code, 7)
        self.assertRegex(error.message, r"^verify found \d+ mismatches in .*\ntasks.parquet: expected")

    def test_a_killed_program_raises(self):
        error = _process.Ended(-9).error()
        self.assertEqual((error.exit_code, error.message), (-9, "the program was killed by signal 9"))

    def test_options_of_the_user_do_not_hide_results(self):
        quiet = {"SCALE_EXPORT_QUIET": "true", "SCALE_EXPORT_LOG_FORMAT": "text"}
        with mock.patch.dict(os.environ, quiet):
            x = sandbox_export(self.out, 2).read()
            self.assertEqual(x.verify()["tasks"], 2)
            error = self.error_of(scale_export.export, ids="no_such.txt", out=self.out, sandbox=True)
        self.assertIsNotNone(error.hint)


class Key(Case):
    def test_the_key_reaches_the_program_by_its_environment_alone(self):
        seen = {}
        popen = subprocess.Popen

        def spy(command, **options):
            seen.update(command=[str(word) for word in command], env=options.get("env"))
            return popen(command, **options)

        key_file = {"SCALE_EXPORT_API_KEY_FILE": "/no/such/file", "SCALE_EXPORT_API_KEY_COMMAND": "false"}
        with server() as url, mock.patch.dict(os.environ, key_file), mock.patch("subprocess.Popen", spy):
            before = dict(os.environ)
            run = scale_export.export(ids=["task_1"], out=self.out, base_url=url, api_key=KEY)
            self.assertEqual(dict(os.environ), before)
        self.assertNotIn(KEY, " ".join(seen["command"]))
        self.assertEqual(seen["env"]["SCALE_API_KEY"], KEY)
        self.assertNotIn("SCALE_EXPORT_API_KEY_FILE", seen["env"])
        self.assertNotIn("SCALE_EXPORT_API_KEY_COMMAND", seen["env"])
        self.assertNotIn(KEY, repr(run) + repr(run.summary))
        with self.assertRaisesRegex(TypeError, "together"):
            scale_export.export(ids=["a"], out=self.out, api_key=KEY, api_key_file="x")


class Interruption(Case):
    def interrupted(self, send):
        """Exports slowly, and interrupts the run as soon as tasks were fetched."""
        ids = task_ids(200)

        def show(event):
            if event["done"] > 0 and not sent.is_set():
                sent.set()
                threading.Thread(target=send).start()

        sent = threading.Event()
        listed = self.directory / "ids.txt"
        listed.write_text("\n".join(ids))
        command = [f"--ids={listed}", f"--out={self.out}", "--sandbox", "--rate=20", "--plan=ids", "--progress=always"]
        with self.assertRaises(KeyboardInterrupt):
            _process.run(command, on_progress=show)
        self.assertTrue(sent.is_set())
        self.assertFalse((self.out / "manifest.json").exists())
        run = sandbox_export(self.out, 200, plan="ids")
        self.assertEqual(run.exported, 200)
        self.assertGreater(run.summary["reused"], 0)

    def test_an_interrupted_run_is_saved_and_resumes(self):
        # As the interruption of a notebook cell reaches the kernel alone.
        self.interrupted(lambda: os.kill(os.getpid(), signal.SIGINT))

    def test_an_interruption_of_the_whole_group_saves_too(self):
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        if not children.exists():
            self.skipTest("the children of a process are only listed on Linux")

        def send():
            for child in children.read_text().split():
                os.kill(int(child), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

        self.interrupted(send)


class Changes(Case):
    def test_changes_are_counted_and_refer_to_publications(self):
        x = sandbox_export(self.out, 2).read()
        first = x.changes()
        self.assertEqual((first["insert"], first["update"], first["delete"], first["from"]), (2, 0, 0, None))
        newer = scale_export.export(ids=["task_1", "task_3"], out=self.directory / "newer", sandbox=True).read()
        changes = newer.changes(since=self.out)
        self.assertEqual((changes["insert"], changes["delete"], changes["unchanged"]), (1, 1, 1))
        self.assertEqual(changes["from"], first["to"])
        error = self.error_of(newer.changes, since=self.directory / "none")
        self.assertEqual(error.exit_code, 2)

    def test_changes_since_a_publication_are_requested_by_its_id(self):
        sandbox_export(self.out, 2)
        x = sandbox_export(self.out, 3).read()
        with mock.patch.dict(os.environ, {"SCALE_EXPORT_SUMMARY": "-", "SCALE_EXPORT_SINCE": "other"}):
            changes = x.changes()
        self.assertEqual((changes["insert"], changes["delete"]), (1, 0))
        self.assertEqual(x.changes(since=changes["from"]), changes)
        self.assertEqual(x.changes(since=changes["to"])["insert"], 0)
        error = self.error_of(x.changes, since="0123456789abcdef")
        self.assertEqual(error.exit_code, 2)
        self.assertIn(f"--since {changes['to']}", error.hint)


class Arguments(unittest.TestCase):
    def test_values_become_options(self):
        zone = datetime.timezone(datetime.timedelta(hours=2))
        for value, expected in [
            (True, ["--an-option"]),
            (False, []),
            (None, []),
            (0, ["--an-option=0"]),
            (0.5, ["--an-option=0.5"]),
            ("-x", ["--an-option=-x"]),
            (Path("a b"), ["--an-option=a b"]),
            (["a", "b"], ["--an-option=a", "--an-option=b"]),
            (datetime.date(2024, 1, 31), ["--an-option=2024-01-31"]),
            (datetime.datetime(2024, 1, 31, 1, tzinfo=zone), ["--an-option=2024-01-30T23:00:00.000000Z"]),
            (datetime.timedelta(minutes=1.5), ["--an-option=90000ms"]),
        ]:
            self.assertEqual(arguments({"an_option": value}), expected)
        self.assertEqual(arguments({"tables": ["a", "b"], "opts": []}), ["--tables=a,b", "--opts="])
        for wrong in (b"x", object(), [None]):
            with self.assertRaises(TypeError):
                arguments({"an_option": wrong})
        with self.assertRaisesRegex(ValueError, "time zone"):
            arguments({"an_option": datetime.datetime(2024, 1, 31)})


class Package(unittest.TestCase):
    def test_nothing_heavy_is_imported(self):
        script = "import scale_export, sys; print(*sys.modules)"
        output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        modules = set(output.stdout.split())
        heavy = {"pandas", "polars", "pyarrow", "duckdb", "numpy", "IPython", "importlib.metadata", "sysconfig"}
        # What the interpreter imports at its start, because of other packages, does not count.
        output = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True)
        self.assertEqual(modules & heavy - set(output.stdout.split()), set())

    def test_the_versions_are_those_of_the_program(self):
        output = subprocess.run([_program.find(), "--version", "-v"], capture_output=True, text=True, check=True)
        first, *rest = output.stdout.splitlines()
        self.assertTrue(first.startswith(f"scale-export {scale_export.__version__} "), first)
        versions = dict(line.split(": ") for line in rest)
        self.assertEqual(int(versions["manifest"]), _directory.MANIFEST_VERSION)
        self.assertEqual(versions["schema"].split(".")[0], _directory.SCHEMA_MAJOR)

    def test_the_module_runs_the_program(self):
        output = subprocess.run([sys.executable, "-m", "scale_export", "--version"], capture_output=True, text=True)
        self.assertEqual(output.returncode, 0, output.stderr)
        self.assertTrue(output.stdout.startswith("scale-export "))
