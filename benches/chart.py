#!/usr/bin/env python3
"""Writes docs/performance.svg and the results in docs/performance.md from measurements:

    make performance

Reads the output of `whole_runs.py --json` and `instructions.py --json`, and Criterion's results of `stages.rs`. If only
some cases or stages were measured, the document has only these. The picture shows the largest input of each case.
"""

import argparse
import html
import json
import pathlib

from machine import BUSY, ROOT
from results import FIGURES, OURS, STAGES, TIMES, amount, described, largest, tables

BEGIN = "<!-- results: written by `make bench-report` -->"
END = "<!-- end of results -->"
BLUE, GREY = "#1769aa", "#999"

LEFT, WIDTH, GAP, ROW = 130, 330, 60, 18


def read(path, what):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: cannot be read: {error}; run `{what}` to write it")


def stage_speeds(place):
    """Bytes per second by set and stage, from the results of Criterion."""
    out = {}
    for estimates in sorted(place.glob("*/*/new/estimates.json")):
        benchmark = read(estimates.with_name("benchmark.json"), "make bench-stages")
        found = read(estimates, "make bench-stages")
        nanoseconds = (found.get("slope") or found["mean"])["point_estimate"]
        speed = benchmark["throughput"]["Bytes"] / nanoseconds * 1e9
        out.setdefault(benchmark["group_id"], {})[benchmark["function_id"]] = speed
    return out


def stage_table(speeds, instructions):
    names = ("sandbox", "long texts", "given")
    counted = instructions["instructions_per_byte"] if instructions else {}
    sets = [name for name in names if name in speeds]
    counted_sets = [name for name in names if any(name in stage for stage in counted.values())]
    heads = [f"{name}, MB/s" for name in sets] + [f"{name}, instructions per byte" for name in counted_sets]
    lines = ["| stage | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    for stage in STAGES:
        cells = [f"{speeds[name][stage] / 1e6:,.0f}" if stage in speeds[name] else "" for name in sets]
        if counted:
            values = [counted.get(stage, {}).get(name) for name in counted_sets]
            cells += [f"{value:.2f}" if value is not None else "" for value in values]
        if any(cells):
            lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return lines


def panels(results):
    """The panels of the chart: a title, and columns of named bars with their texts, of the largest inputs."""
    for result in results.values():
        title = f"{result['title']} ({largest(result)})"
        if "who" in result:
            who = {name: took[-1] for name, took in result["who"].items()}
            columns = []
            for key in TIMES:
                bars = [(name, took[key], amount(key, took[key])) for name, took in who.items()]
                columns.append((FIGURES[key], bars))
            yield title, columns
        elif "rates" in result:
            found = [(name, took["requests_per_second"]) for name, took in result["rates"].items()]
            bars = [(name, rate, f"{rate:,.0f}") for name, rate in found]
            yield title, [("requests per second", bars)]
        elif "tables" in result:
            total = result["tables"]["all"][-1]
            found = ((OURS, total["ours"]), ("DuckDB", total["duckdb"]))
            bars = [(name, size, f"{size / 1e6:.2f} MB") for name, size in found]
            yield title, [("bytes of Parquet", bars)]


def draw(results):
    out, y = [], 16
    for title, columns in panels(results):
        out.append(f'<text x="10" y="{y}" font-weight="bold">{html.escape(title)}</text>')
        y += ROW
        for number, (words, bars) in enumerate(columns):
            left = LEFT + number * (WIDTH + GAP)
            out.append(f'<text x="{left}" y="{y}">{words}</text>')
            most = max(value for _, value, _ in bars)
            for row, (name, value, text) in enumerate(bars, start=1):
                at = y + row * ROW
                if number == 0:
                    out.append(f'<text x="{left - 6}" y="{at}" text-anchor="end">{html.escape(name)}</text>')
                width, fill = max(1, WIDTH * value / most), BLUE if name == OURS else GREY
                out.append(f'<rect x="{left}" y="{at - 10}" width="{width:.1f}" height="13" fill="{fill}"/>')
                out.append(f'<text x="{left + width + 4:.1f}" y="{at}">{text}</text>')
        y += (1 + max(len(bars) for _, bars in columns)) * ROW + 14
    size = f"0 0 {LEFT + 2 * (WIDTH + GAP) + 10} {y - 10}"
    look = 'font-family="sans-serif" font-size="10" fill="#444"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" {look}>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *out, "</svg>", ""])


def document(report, speeds, instructions):
    machine, versions = report["machine"], report["versions"]
    programs = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        f"Measured on {report['date']} on {machine['cores']} cores ({machine['cpu']}, {machine['kernel']}); medians of"
        f" {report['rounds']} rounds. {programs}.",
        "",
    ]
    busy = report.get("busy_with_others") or 0
    if busy > BUSY:
        lines += [f"The machine was busy with other work: up to {busy:.1f} CPUs before a case.", ""]
    lines += [line for what in report["left_out"] for line in (f"Left out: {what}.", "")]
    for result in report["results"].values():
        lines += [f"**{result['title']}**, {described(result)}", "", *tables(result), ""]
    for found, what in ((speeds, "make bench-stages"), (instructions, "make bench-instructions")):
        if not found:
            lines += [f"Left out: what `{what}` measures.", ""]
    if speeds or instructions:
        lines += ["**Each stage**, in bytes of the tasks' JSON", "", *stage_table(speeds, instructions), ""]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=pathlib.Path, default=ROOT / "target/bench/whole_runs.json")
    parser.add_argument("--stages", type=pathlib.Path, default=ROOT / "target/criterion")
    parser.add_argument("--instructions", type=pathlib.Path, default=ROOT / "target/bench/instructions.json")
    parser.add_argument("--docs", type=pathlib.Path, default=ROOT / "docs")
    options = parser.parse_args()
    report = read(options.runs, "make bench-runs")
    instructions = read(options.instructions, "make bench-instructions") if options.instructions.exists() else None
    page = options.docs / "performance.md"
    try:
        text = page.read_text()
    except OSError as error:
        raise SystemExit(f"{page}: cannot be read: {error}")
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{page}: does not contain both {BEGIN} and {END}")
    before, rest = text.split(BEGIN, 1)
    lines = document(report, stage_speeds(options.stages), instructions)
    page.write_text("\n".join([before + BEGIN, "", *lines, END]) + rest.split(END, 1)[1])
    (options.docs / "performance.svg").write_text(draw(report["results"]))


main()
