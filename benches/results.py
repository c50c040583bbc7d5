"""Tables in Markdown of what `whole_runs.py` measured, for its output and for `chart.py`."""

OURS = "scale-export"

STAGES = ("parse", "check", "flatten", "parquet", "csv", "journal append", "journal read", "rebuild")
"""Stages of an export, of those in `stages/stage.rs`."""

FIGURES = {"wall": "wall time", "cpu": "CPU time", "memory": "peak memory"}
TIMES = ("wall", "cpu")


def largest(result):
    """The largest input of a measurement."""
    of = result["inputs"][-1]
    server = f", served by {of['server']}" if "server" in of else ""
    return f"{of['tasks']:,} {of['kind']}, {of['bytes'] / 1e6:.1f} MB{server}"


def described(result):
    """The inputs of a measurement, without their sizes if these are the heads of its columns."""
    if len(result["inputs"]) == 1:
        return largest(result)
    of = result["inputs"][-1]
    return f"{of['kind']}, served by {of['server']}" if "server" in of else of["kind"]


def sized(of):
    if of["tasks"] == 1:
        return "one task"
    return f"{of['tasks']:,} tasks, {of['bytes'] / 1e6:,.0f} MB"


def amount(key, value):
    """A figure with its unit."""
    if key == "memory":
        return f"{value / 1e6:.0f} MB"
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def heads(*cells):
    return [row(*cells), "|---|" + "--:|" * (len(cells) - 1)]


def compared(result):
    """Figures of all programs for each input, and their ratios."""
    who, inputs = result["who"], result["inputs"]
    ours = who[OURS]
    lines = heads("", *map(sized, inputs))
    for key, words in FIGURES.items():
        for name, took in who.items():
            lines.append(row(f"{words}, {name}", *(amount(key, one[key]) for one in took)))
        for name, took in who.items():
            if name == OURS:
                continue
            ratios = [f"{one[key] / other[key]:.2f}" for one, other in zip(ours, took, strict=True)]
            lines.append(row(f"{words}, ours / {name}'s", *ratios))
            if key in TIMES and inputs[0]["tasks"] == 1:
                ratios = [net_ratio(ours, took, key, column) for column in range(1, len(inputs))]
                lines += [row("the same without the time of one task", "", *ratios)] if any(ratios) else []
    return [*lines, "", spread(who)]


def net_ratio(ours, theirs, key, column):
    """Ratio of what an input takes beyond one task."""
    one, other = (took[column][key] - took[0][key] for took in (ours, theirs))
    return f"{one / other:.2f}" if other > 0 else ""


def spread(who):
    """How much the rounds of the larger inputs vary."""
    most = {
        key: max(abs(run[key] / one[key] - 1) for took in who.values() for one in took[1:] or took for run in one["rounds"])
        for key in TIMES
    }
    return (
        f"Of more than one task, rounds differ from their median by up to {most['wall']:.0%} of wall time and"
        f" {most['cpu']:.0%} of CPU time."
    )


def rebuilt(result):
    lines = heads("", *FIGURES.values())
    for name, took in result["variants"].items():
        lines.append(row(name, *(amount(key, took[key]) for key in FIGURES)))
    return lines


def rates(result):
    lines = heads("", "requests per second", "CPU time per request")
    for name, took in result["rates"].items():
        lines.append(row(name, f"{took['requests_per_second']:,.0f}", f"{took['cpu_per_request'] * 1e6:.1f} µs"))
    return lines


def sizes(result):
    columns = [(f"ours, bytes: {sized(of)}", "DuckDB's", "ratio") for of in result["inputs"]]
    lines = heads("table", *(cell for column in columns for cell in column))
    for name, found in result["tables"].items():
        cells = [(f"{one['ours']:,}", f"{one['duckdb']:,}", f"{one['ours'] / one['duckdb']:.2f}") for one in found]
        lines.append(row(name, *(cell for column in cells for cell in column)))
    return lines


def queries(result):
    columns = [(f"our files: {sized(of)}", "DuckDB's files", "ratio") for of in result["inputs"]]
    lines = heads("query", *(cell for column in columns for cell in column))
    for name, times in result["queries"].items():
        cells = []
        for one in times:
            cells += [f"{one['ours'] * 1000:.2f} ms", f"{one['duckdb'] * 1000:.2f} ms", f"{one['ours'] / one['duckdb']:.2f}"]
        lines.append(row(name, *cells))
    return lines


FORMS = {"who": compared, "variants": rebuilt, "rates": rates, "tables": sizes, "queries": queries}


def tables(result):
    """The lines of a case: results, and goals for the largest input."""
    lines = [line for key, form in FORMS.items() if key in result for line in form(result)]
    if result["goals"]:
        lines += [""] if lines else []
        inputs = result["inputs"]
        of = f": {sized(inputs[-1])}" if len(inputs) > 1 else ""
        lines += heads("", f"measured{of}", "goal")
    for goal in result["goals"]:
        missed = "" if goal["met"] else " (missed)"
        lines.append(row(goal["what"], f"{goal['value']:.2f}", f"{goal['goal']}{missed}"))
    return lines
