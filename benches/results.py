"""What `whole_runs.py` measured, as tables in Markdown: for its own output and for `chart.py`."""

OURS = "scale-export"

STAGES = ("parse", "check", "flatten", "parquet", "csv", "journal append", "journal read", "rebuild")
"""Of an export, as `stages/stage.rs` has them."""


def described(result):
    """With what was measured."""
    of = result["input"]
    server = f", served by {of['server']}" if "server" in of else ""
    return f"{of['tasks']:,} {of['kind']}, {of['bytes'] / 1e6:.1f} MB{server}"


def is_timed(result):
    return "who" in result and "wall" in result["who"][OURS]


def tables(result):
    """A case's lines: what was measured, and beside which goals."""
    lines = []
    if is_timed(result):
        lines += ["| | wall time | processor time | memory, peak |", "|---|--:|--:|--:|"]
        for name, took in result["who"].items():
            lines.append(f"| {name} | {took['wall']:.2f} s | {took['cpu']:.2f} s | {took['memory'] / 1e6:.0f} MB |")
    elif "who" in result:
        lines += ["| | requests a second |", "|---|--:|"]
        lines += [f"| {name} | {took['requests_per_second']:,.0f} |" for name, took in result["who"].items()]
    elif "tables" in result:
        lines += ["| table | ours, bytes | DuckDB's | ratio |", "|---|--:|--:|--:|"]
        for name, size in [*result["tables"].items(), ("all", result["total"])]:
            ratio = size["ours"] / size["duckdb"]
            lines.append(f"| {name} | {size['ours']:,} | {size['duckdb']:,} | {ratio:.2f} |")
    elif "queries" in result:
        lines += ["| query | over our files | over its own | ratio |", "|---|--:|--:|--:|"]
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
