"""Reads exports with one reader; runs in that reader's environment.

The argument is a JSON file: `adapter`, `calls` (a list of `id`, `format`, `code`), `exports`, `schemas`, and `out`,
where one line of JSON is written for each column, and one for each table that could not be read.
"""
import ast
import importlib
import json
import os
import pathlib
import sys
import traceback

from cells import cell


def evaluated(code, names):
    """Runs a documented call; gives the value of its last expression."""
    tree = ast.parse(code)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), f"the last line of a call is an expression: {code}"
    exec(compile(tree, "<call>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<call>", "eval"), names)


def main():
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    adapter = importlib.import_module(f"adapters.{job['adapter']}")
    start = os.getcwd()
    failed = False
    with open(job["out"], "w") as out:
        for call in job["calls"]:
            for export, directory in job["exports"].items():
                session = adapter.names()
                directory = os.path.join(directory, call["format"])
                for table, schema in job["schemas"].items():
                    where = {"call": call["id"], "export": export, "table": table}
                    kinds = {column["name"]: column["type"] for column in schema["columns"]}
                    try:
                        code = call["code"].replace("DIR", directory).replace("TABLE", table)
                        result = evaluated(code, session)
                        for column, values in adapter.columns(result, kinds, call):
                            print(json.dumps({**where, "column": column, "cells": [cell(v) for v in values]}), file=out)
                    except Exception as error:
                        print(json.dumps({**where, "error": f"{type(error).__name__}: {error}"}), file=out)
                        if not failed:
                            traceback.print_exc()
                        failed = True
                    finally:
                        os.chdir(start)
    # Some readers leave threads behind that crash while the interpreter ends.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


main()
