"""The Python of the documentation runs, and prints what the pages show. `BLESS=1` writes it to the pages."""

from __future__ import annotations

import contextlib
import io
import os
import re
from unittest import mock

from support import ROOT, Case

PAGES = ("docs/python.md", "python/README.md")

# A block of Python, and the block of text that it prints, if one follows.
BLOCKS = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)

# The first of the examples, so that the test is fast.
IDS = 100

# Times and speeds differ between runs.
TIMES = re.compile(r"\d+\.\d+ s\b")


class Documents(Case):
    def test_the_documented_code_prints_the_documented_output(self):
        for page in PAGES:
            with self.subTest(page):
                self.check(page)

    def check(self, page: str) -> None:
        """Runs the blocks of a page in their order, in one directory, against the sandbox."""
        directory = self.directory / page.replace("/", "-")
        directory.mkdir()
        ids = (ROOT / "examples/ids.txt").read_text().splitlines(keepends=True)
        (directory / "ids.txt").write_text("".join(ids[:IDS]))
        self.addCleanup(os.chdir, os.getcwd())  # noqa: PTH109
        os.chdir(directory)
        names: dict[str, object] = {}
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        count = 0

        def run(match: re.Match[str]) -> str:
            nonlocal count
            count += 1
            code, expected = match.groups()
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, f"{page}, block {count}", "exec"), names)  # noqa: S102
            output = printed.getvalue()
            if expected is None:
                self.assertEqual(output, "", code)
                return match.group()
            if TIMES.sub("", output) == TIMES.sub("", expected):
                return match.group()
            return f"```python\n{code}```\n\n```text\n{output}```\n"

        with mock.patch.dict(os.environ, {"SCALE_EXPORT_SANDBOX": "true", "SCALE_EXPORT_RATE": "max"}):
            found = BLOCKS.sub(run, text)
        self.assertGreater(count, 2)
        if os.environ.get("BLESS"):
            path.write_text(found, encoding="utf-8")
        else:
            self.assertEqual(text, found)
