"""Runs the queries of a page and writes the output of each below it, or compares it.

Arguments: the page, a directory with the export `demo/` in it, the languages of the queries in order
(`sql,python`), and `bless` to write.
"""
import contextlib
import io
import os
import pathlib
import re
import sys

import duckdb

page, directory = map(pathlib.Path, sys.argv[1:3])
languages = sys.argv[3].split(",")
text = page.read_text()
base = directory.resolve()


def sql(query):
    os.chdir(base / "demo")  # the paths in load.sql are relative
    connection = duckdb.connect()
    connection.execute(pathlib.Path("load.sql").read_text())
    return str(connection.sql(query))


def python(code):
    os.chdir(base)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    return printed.getvalue()


run = {"sql": sql, "python": python}
pattern = re.compile(r"```(sql|python)\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
seen = []


def with_output(match):
    language, code, written = match.groups()
    output = run[language](code).strip() + "\n"
    seen.append((language, written, output))
    return f"```{language}\n{code}```\n\n```text\n{output}```"


page = page.resolve()
renewed = pattern.sub(with_output, text)
assert [language for language, _, _ in seen] == languages, seen
if "bless" in sys.argv[4:]:
    page.write_text(renewed)
else:
    for language, written, output in seen:
        assert written == output, f"the {language} query of {page.name} prints\n{output}\nand not\n{written}"
