"""Runs the README's queries and writes what they give under each, or compares it.

Arguments: the README, a directory with the export `demo/` in it, and `bless` to write.
"""
import contextlib
import io
import os
import pathlib
import re
import sys

import duckdb

readme, directory = map(pathlib.Path, sys.argv[1:3])
text = readme.read_text()
base = directory.resolve()


def sql(query):
    os.chdir(base / "demo")  # the paths in load.sql are relative
    connection = duckdb.connect()
    connection.execute(pathlib.Path("load.sql").read_text())
    return str(connection.sql(query))


def python(code):
    os.chdir(base)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code, {})
    return said.getvalue()


run = {"sql": sql, "python": python}
pattern = re.compile(r"```(sql|python)\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
seen = []


def with_output(match):
    language, code, written = match.groups()
    said = run[language](code).strip() + "\n"
    seen.append((language, written, said))
    return f"```{language}\n{code}```\n\n```text\n{said}```"


readme = readme.resolve()
renewed = pattern.sub(with_output, text)
assert [language for language, _, _ in seen] == ["sql", "python"], seen
if "bless" in sys.argv[3:]:
    readme.write_text(renewed)
else:
    for language, written, said in seen:
        assert written == said, f"the README's {language} query gives\n{said}\nand not\n{written}"
