"""docs/readers.md: its generated table, and the recipes in it."""
import pathlib
import re
import subprocess
import tempfile

import environments

PATH = environments.ROOT / "docs" / "readers.md"
BEGIN, END = "<!-- readers -->\n", "<!-- end of readers -->"

# Sections that are not about one reader, and which runs their recipes.
OTHER_SECTIONS = {"Spreadsheets": "DuckDB"}

FORMATS = {"parquet": "Parquet", "csv": "CSV"}

# What stands before a recipe in SQL so that Python runs it and prints the rows of its last statement.
SQL = {
    "DuckDB": """
import duckdb
duckdb.execute("SET file_search_path = 'export'")
duckdb.execute(open("export/load.sql").read())
print(duckdb.sql({query!r}))
""",
    "ClickHouse": """
import chdb
print(chdb.query({query!r}, "TSV"))
""",
}


def generated(matrix):
    """The table of readers: one row for each call."""
    lines = ["| reader | versions | format | call | limits |", "| --- | --- | --- | --- | --- |"]
    for family in matrix["family"]:
        versions = ", ".join(shown_version(family, version) for version in family["version"])
        for call in family["call"]:
            directory = {"parquet": "export", "csv": "export-csv"}[call["format"]]
            code = call["code"].strip().replace("DIR", directory).replace("TABLE", "messages")
            lines_of_code = [" ".join(line.split()) for line in code.splitlines()]
            shown = f"`{lines_of_code[0]}`" if len(lines_of_code) == 1 else f"[below](#{anchor(family['title'])})"
            limits = "; ".join(limit_text(limit) for limit in call.get("limit", [])) or "none"
            name = FORMATS[call["format"]] + call["id"].removeprefix(call["format"])
            lines.append(f"| {family['title']} | {versions} | {name} | {shown} | {limits} |")
    return "\n".join(lines) + "\n"


def anchor(title):
    """How a heading is linked to."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def shown_version(family, version):
    """The version, with that of the package that reads for it."""
    if "shown" in version:
        return version["shown"]
    backend = family.get("backend")
    pins = dict(package.split("==") for package in version.get("packages", ()))
    return f"{version['version']} ({backend} {pins[backend]})" if backend else version["version"]


def limit_text(limit):
    """What a reader cannot do, for which columns, and why."""
    kinds = f" ({', '.join(f'`{kind}`' for kind in limit['types'])})" if "types" in limit else ""
    return f"{limit['text']}{kinds}: {limit['reason']}"


def parts():
    """The document before, in, and after its generated table."""
    before, rest = PATH.read_text().split(BEGIN)
    table, after = rest.split(END)
    return before, table, after


def write(matrix):
    """Writes the table."""
    before, _, after = parts()
    PATH.write_text(f"{before}{BEGIN}{generated(matrix)}{END}{after}")


def differences(matrix):
    """What the document has that readers.toml does not say, or the other way round."""
    found = []
    if parts()[1] != generated(matrix):
        found.append("the table in docs/readers.md is not what readers.toml says: run `make readers`")
    titles = {title for title, _, _ in recipes()}
    found += [f"docs/readers.md has no recipe for {family['title']}" for family in matrix["family"]
              if family["title"] not in titles]
    return found


def recipes():
    """The fenced blocks of Python and SQL, with the headings above them."""
    title = None
    for match in re.finditer(r"^## ([^\n]*)$|^```(python|sql)\n(.*?)^```$", PATH.read_text(), re.MULTILINE | re.DOTALL):
        if match[1]:
            title = match[1]
        else:
            yield OTHER_SECTIONS.get(title, title), match[2], match[3]


def run(interpreter, title, language, code, base):
    """Runs a recipe from a directory with `export` and `export-csv`; gives what went wrong, if anything did."""
    if language == "sql":
        code = SQL[title].format(query=code)
    # Python searches the directory of a script for modules: that has nothing else in it.
    with tempfile.TemporaryDirectory() as directory:
        script = pathlib.Path(directory, "recipe.py")
        script.write_text(code)
        command = [pathlib.Path(interpreter).absolute(), script]
        done = subprocess.run(command, cwd=base, capture_output=True, text=True)
    if done.returncode != 0:
        return f"a recipe of {title} fails:\n{code}\n{done.stderr[-2000:]}"
    if not done.stdout.strip():
        return f"a recipe of {title} prints nothing:\n{code}"
    return None
