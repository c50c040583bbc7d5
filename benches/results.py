"""Tables in Markdown of what `whole_runs.py` measured, for its output and for `chart.py`."""

OURS = "scale-export"

STAGES = ("parse", "check", "flatten", "parquet", "csv", "journal append", "journal read", "rebuild")
"""Stages of an export, as in `stages/stage.rs`."""


def described(result):
    """The input of a measurement."""
    of = result["input"]
    server = f", served by {of['server']}" if "server" in of else ""
    return f"{of['tasks']:,} {of['kind']}, {of['bytes'] / 1e6:.1f} MB{server}"


def is_timed(result):
    return "who" in result and "wall" in result["who"][OURS]


def tables(result):
    """The lines of a case: results and goals."""
    lines = []
    if is_timed(result):
        lines += ["| | wall time | CPU time | peak memory |", "|---|--:|--:|--:|"]
        for name, took in result["who"].items():
            lines.append(f"| {name} | {took['wall']:.2f} s | {took['cpu']:.2f} s | {took['memory'] / 1e6:.0f} MB |")
    elif "who" in result:
        lines += ["| | requests per second |", "|---|--:|"]
        lines += [f"| {name} | {took['requests_per_second']:,.0f} |" for name, took in result["who"].items()]
    elif "tables" in result:
        lines += ["| table | ours, bytes | DuckDB's | ratio |", "|---|--:|--:|--:|"]
        for name, size in [*result["tables"].items(), ("all", result["total"])]:
            ratio = size["ours"] / size["duckdb"]
            lines.append(f"| {name} | {size['ours']:,} | {size['duckdb']:,} | {ratio:.2f} |")
    elif "queries" in result:
        lines += ["| query | our files | DuckDB's files | ratio |", "|---|--:|--:|--:|"]
        for name, times in result["queries"].items():
            ours, theirs = times["ours"] * 1000, times["duckdb"] * 1000
            lines.append(f"| {name} | {ours:.2f} ms | {theirs:.2f} ms | {ours / theirs:.2f} |")
    if result["goals"]:
        lines += [""] if lines else []
        lines += ["| | measured | goal |", "|---|--:|--:|"]
    for goal in result["goals"]:
        wanted = goal["goal"] or ""
        missed = " (missed)" if wanted and not goal["met"] else ""
        lines.append(f"| {goal['what']} | {goal['value']:.2f} | {wanted}{missed} |")
    return lines
