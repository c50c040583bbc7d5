"""Compares a report with numbers that DuckDB computes over the export.

Arguments: the export, and the report. Every table of the page is compared as a whole: rows, order, numbers, and bars.
Prints how many cells were compared.
"""
import collections
import html.parser
import json
import os
import pathlib
import re
import sys

import duckdb

directory, page = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
os.chdir(directory)  # the paths in load.sql are relative
connection = duckdb.connect()
connection.execute(pathlib.Path("load.sql").read_text())
connection.execute("SET TimeZone = 'UTC'")
manifest = json.loads(pathlib.Path("manifest.json").read_text())


def rows(query):
    return connection.sql(query).fetchall()


class Page(html.parser.HTMLParser):
    """The sections of the page: tiles, notes, tables with their cells, and drawings."""

    def __init__(self):
        super().__init__()
        self.sections = collections.defaultdict(list)  # (caption or kind, content)
        self.section = "head"
        self.text = None
        self.table = None
        self.path_class = None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        kind = attributes.get("class") or ""
        if tag == "section":
            self.section = attributes["id"]
        elif tag == "table":
            self.table = []
            self.sections[self.section].append(self.table)
        elif tag == "tr":
            self.table.append([])
        elif tag in ("td", "th", "caption", "p", "dt", "dd", "h3", "title"):
            self.text = ""
        elif tag == "svg" and kind == "small":
            self.text += attributes["aria-label"]
        elif tag == "svg" and kind == "weeks":
            self.sections[self.section].append({"drawing": attributes["aria-label"]})
        elif tag == "rect" and kind != "track" and self.table is not None and self.text is not None:
            position = attributes.get("x")
            self.text += f"at {position}" if position else f"bar {attributes['width']}"
        elif tag == "path" and kind.startswith("s") and self.table is None:
            self.sections[self.section][-1][kind] = attributes["d"]

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.table[-1].append(self.text.strip())
            self.text = None
        elif tag == "caption":
            self.table.append(self.text)
            self.text = None
        elif tag in ("p", "dt", "dd", "h3", "title") and self.text is not None:
            self.sections[self.section].append((tag, self.text.strip()))
            self.text = None
        elif tag == "table":
            self.table = None

    def handle_data(self, data):
        if self.text is not None:
            self.text += data


parsed = Page()
parsed.feed(page.read_text())
sections = parsed.sections
compared = 0


def tables(section, caption):
    return [found[1:] for found in sections[section] if isinstance(found, list) and found[0] == caption]


def texts(section, tag):
    return [found[1] for found in sections[section] if isinstance(found, tuple) and found[0] == tag]


def same(what, found, expected):
    global compared
    if found != expected:
        for one, other in zip(found, expected):
            if one != other:
                print(f"  found    {one}\n  expected {other}")
        raise SystemExit(f"{what}: found {len(found)}, expected {len(expected)}\n{found}\n{expected}")
    compared += sum(len(row) if isinstance(row, list) else 1 for row in found)


def n(count):
    return f"{count:,}"


def permille(count, total):
    return (count * 2000 + total) // (2 * total) if total else 0


def digits(thousandths):
    return f"{thousandths // 10}.{thousandths % 10}"


def share(count, total):
    return digits(permille(count, total)) + "%" if total else "–"


def counted(name, count, total):
    return [name, f"bar {digits(permille(count, total))}", n(count), share(count, total)]


def cut(text, limit):
    if text == "":
        return "(empty)"
    start = text.encode()[:240].decode(errors="ignore")
    start = start if start == text else start + "…"
    return start if len(start) <= limit else start[:limit] + "…"


def name(text, absent):
    return absent if text is None else cut(text, 60)


def sentence(text, absent):
    return absent if text is None else cut(re.sub(r"[ \t\n\r\f]+", " ", text).strip(), 160)


def key(text):
    return (text is not None, (text or "").encode())


def ordered(found):
    """Rows of a key and a count: the most frequent first, then by key."""
    return sorted(found, key=lambda row: (-row[-1], *map(key, row[:-1])))


def first(found, most):
    """What a list shows: never all but one."""
    return found if len(found) == most + 1 else found[:most]


def more(found, most, noun):
    rest = len(found) - len(first(found, most))
    return [f"and {n(rest)} more {noun}{'s' * (rest != 1)}"] if rest > 0 else []


def hundredths(micros, count):
    divisor = count * 10_000
    rounded = (abs(micros) + divisor // 2) // divisor
    return -rounded if micros < 0 else rounded


def mean_text(value):
    return f"{'−' * (value < 0)}{abs(value) // 100}.{abs(value) % 100:02}"


def short(value):
    return mean_text(value).rstrip("0").rstrip(".")


def bucket(number):
    dropped = max(0, number.bit_length() - 13)
    return number >> dropped << dropped


def percentile(numbers, percent):
    numbers = sorted(numbers)
    return bucket(numbers[max(1, -(-len(numbers) * percent // 100)) - 1])


def duration(seconds):
    if seconds < 60:
        return f"{seconds} s"
    for below, unit, word in ((3_600, 60, "min"), (172_800, 3_600, "h"), (8_640_000, 86_400, "days")):
        if seconds < below:
            tenths = (seconds * 10 + unit // 2) // unit
            return f"{tenths // 10}.{tenths % 10} {word}"
    return f"{n((seconds + 43_200) // 86_400)} days"


def check_head():
    (exported,) = rows("SELECT count(*) FROM tasks")[0]
    failures = [json.loads(line) for line in open("failures.jsonl")]
    stale = sum(failure.get("exported", False) for failure in failures)
    failed = len(failures) - stale
    requested = exported + failed
    expected = [
        n(requested), "distinct task IDs",
        n(exported), f"{share(exported, requested)}, in the tables",
        n(failed), f"{share(failed, requested)}, not in the tables",
        n(stale), f"{share(stale, requested)}, exported, last request failed",
    ]
    same("head", texts("head", "dd"), expected)
    published = manifest["run"]["finished_at"][:19].replace("T", " ")
    assert texts("head", "p")[0].startswith(f"Published {published} UTC from "), texts("head", "p")
    kinds = collections.defaultdict(lambda: [0, 0])
    for failure in failures:
        kinds[failure["kind"], failure["http_status"]][failure.get("exported", False)] += 1
    kinds = sorted(kinds.items(), key=lambda entry: (-sum(entry[1]), entry[0][0], entry[0][1] or 0))
    expected = [
        [kind, "–" if status is None else str(status), n(failed), n(stale)] for (kind, status), (failed, stale) in kinds
    ]
    found = tables("failures", "Failed and stale IDs by kind")
    same("failures", found[0][1:] if found else [], expected)


STATUSES = ["completed", "pending", "error", "canceled", "deleted"]


def check_weeks(what, part, found):
    """A chart by week: its numbers, what the mouse shows, and the columns. `found` has weeks, groups and counts."""
    weeks = collections.defaultdict(collections.Counter)
    for week, group, count in found:
        weeks[week][group] += count
    groups = [*STATUSES, "other"] if part == 0 else ["completed"]
    used = [group for group in groups if any(counts[group] for counts in weeks.values())]
    caption = f"{what.capitalize()} by week"
    (table,) = tables("tasks", caption)
    columns = used if part == 0 else []
    expected = [["week from", "all", *columns]]
    for week, counts in sorted(weeks.items()):
        expected.append([week, n(counts.total()), *(n(counts[group]) for group in columns)])
    same(what, table, expected)
    titles = [f"{week}: {n(counts.total())}" for week, counts in sorted(weeks.items())]
    shown = texts("tasks", "title")
    same(what, shown[: len(titles)] if part == 0 else shown[-len(titles) :], titles)
    drawing = [found for found in sections["tasks"] if isinstance(found, dict)][part]
    largest = max(counts.total() for counts in weeks.values())
    top = next(step * 10**power for power in range(20) for step in (2, 4, 6, 8, 10) if step * 10**power >= largest)
    for at, group in enumerate(groups):
        heights = [float(height) for height in re.findall(r"v-([\d.]+)h-8z", drawing.get(f"s{at}", ""))]
        counts = [counts[group] for _, counts in sorted(weeks.items()) if counts[group]]
        assert len(heights) == len(counts), (what, group)
        for height, count in zip(heights, counts):
            assert abs(height - 120 * count / top) <= 0.2, (what, group, height, count, top)


def check_tasks():
    statuses = ordered(rows("SELECT status, count(*) FROM tasks GROUP BY ALL"))
    total = sum(count for _, count in statuses)
    (table,) = tables("tasks", "Tasks by status")
    expected = [counted(name(status, "(no status)"), count, total) for status, count in first(statuses, 12)]
    same("statuses", table, [["status", "", "tasks", "share"], *expected])
    week = "strftime(date_trunc('week', {}), '%Y-%m-%d')"
    known = ", ".join(f"'{status}'" for status in STATUSES)
    check_weeks("tasks created", 0, rows(f"""
        SELECT {week.format('created_at')}, CASE WHEN status IN ({known}) THEN status ELSE 'other' END, count(*)
        FROM tasks WHERE created_at IS NOT NULL GROUP BY ALL"""))
    check_weeks("tasks completed", 1, rows(f"""
        SELECT {week.format('completed_at')}, 'completed', count(*)
        FROM tasks WHERE completed_at IS NOT NULL GROUP BY ALL"""))
    seconds = rows("""
        SELECT (epoch_us(completed_at) - epoch_us(created_at)) // 1000000 FROM tasks
        WHERE completed_at >= created_at""")
    seconds = [value for (value,) in seconds]
    expected = [n(len(seconds)), duration(percentile(seconds, 50)), duration(percentile(seconds, 90)), duration(max(seconds))]
    same("durations", texts("durations", "dd"), expected)
    minute, hour, day = 60, 3_600, 86_400
    starts = [0, minute, 10 * minute, hour, 6 * hour, day, 3 * day, 7 * day, 14 * day, 30 * day, 90 * day, 365 * day]
    names = ["under 1 min", "1 to 10 min", "10 to 60 min", "1 to 6 h", "6 to 24 h", "1 to 3 days", "3 to 7 days"]
    names += ["7 to 14 days", "14 to 30 days", "30 to 90 days", "90 to 365 days", "365 days and more"]
    expected = [["time", "", "tasks", "share"]]
    for text, start, end in zip(names, starts, [*starts[1:], float("inf")]):
        count = sum(start <= value < end for value in seconds)
        expected.append(counted(text, count, len(seconds)))
    same("durations", tables("durations", "Distribution of the time to completion")[0], expected)


CHOSEN = """coalesce(value_label, CASE WHEN type = 'category' THEN value_text END, value_bool::VARCHAR, value_int::VARCHAR)"""
SCORE = """CASE WHEN type IS DISTINCT FROM 'rubric_criteria' THEN value_number END"""
SHOWN = 20


def question_name(question):
    level, question_key = question
    return f"{name(question_key, '(no key)')} {name(level, '')}"


def headings(section):
    return texts(section, "h3")


def check_questions():
    questions = ordered(rows("SELECT level, key, count(*) FROM annotations GROUP BY ALL"))
    flags = {(level, question_key): counts for level, question_key, *counts in rows("""
        SELECT level, key, count(*) FILTER (not_applicable), count(*) FILTER (cannot_assess)
        FROM annotations GROUP BY ALL""")}
    kinds = collections.defaultdict(list)
    for level, question_key, kind, count in rows("""
            SELECT level, key, type, count(*) FROM annotations WHERE type IS NOT NULL GROUP BY ALL"""):
        kinds[level, question_key].append((kind, count))
    expected = [["question", "type", "annotations", "not applicable", "cannot assess"]]
    for *question, total in first(questions, SHOWN):
        question = tuple(question)
        kind = ", ".join(kind for kind, _ in ordered(kinds[question])[:3])
        shares = [f"{n(count)} ({share(count, total)})" for count in flags[question]]
        expected.append([question_name(question), kind or "(no type)", n(total), *shares])
    same("questions", tables("questions", "Questions")[0], expected)
    same("questions", texts("questions", "p")[1:], more(questions, SHOWN, "question"))


def check_labels():
    questions = ordered(rows(f"SELECT level, key, count({CHOSEN}) AS n FROM annotations GROUP BY ALL HAVING n > 0"))
    same("labels", headings("labels"), [question_name(row[:2]) for row in first(questions, SHOWN)])
    chosen = collections.defaultdict(dict)
    for level, question_key, label, number, is_false, count in rows(f"""
            SELECT level, key, {CHOSEN} AS label, min(value_int), bool_or(NOT value_bool), count(*)
            FROM annotations WHERE label IS NOT NULL GROUP BY ALL"""):
        place = number if number is not None else None if is_false is None else int(is_false)
        chosen[level, question_key][label] = (place, count)
    places = collections.defaultdict(dict)
    for level, question_key, label, place in rows("""
            SELECT level, key, label, min(place) FROM (
                SELECT level, key, unnest(labels) AS label, generate_subscripts(labels, 1) - 1 AS place FROM annotations
            ) GROUP BY ALL"""):
        places[level, question_key][label] = place
    integers = collections.defaultdict(dict)
    for level, question_key, number, count in rows("""
            SELECT level, key, value_int, count(*) FROM annotations WHERE value_int IS NOT NULL GROUP BY ALL"""):
        integers[level, question_key][number] = count
    found = [table for table in sections["labels"] if isinstance(table, list)]
    assert len(found) == len(first(questions, SHOWN))
    for table, (level, question_key, total) in zip(found, questions):
        question = (level, question_key)
        labels = {label: (place, 0) for label, place in places[question].items()}
        for label, (place, count) in chosen[question].items():
            labels[label] = (labels.get(label, (place,))[0], count)
        numbers = integers[question]
        if len(labels) > 12 >= len(numbers) and sum(numbers.values()) == total:
            expected = [counted(str(number), count, total) for number, count in sorted(numbers.items())]
            same(f"values of {question}", table[1:], [["value (labels vary)", "", "count", "share"], *expected])
            continue
        assert table[0] == "Labels of a question", (question, table)
        labels = [(label, place, count) for label, (place, count) in labels.items()]
        if len(labels) <= 12 and all(place is not None for _, place, _ in labels):
            labels.sort(key=lambda row: (row[1], key(row[0])))
        else:
            labels.sort(key=lambda row: (-row[2], key(row[0])))
            labels = first(labels, min(8, sum(row[2] > 0 for row in labels)))
        expected = [counted(name(label, ""), count, total) for label, _, count in labels]
        same(f"labels of {question}", table[1:], [["label", "", "count", "share"], *expected])


def scored(query):
    """Sums by the first columns of a query whose last column is a score in millionths."""
    found = collections.defaultdict(list)
    for *group, score in rows(query):
        found[tuple(group)].append(score)
    return found


def mean(scores):
    return hundredths(sum(scores), len(scores))


def score_row(text, scores, lowest, highest):
    value = mean(scores)
    place = permille(value - lowest, highest - lowest) if highest > lowest else 500
    own = f"{short(hundredths(min(scores), 1))} to {short(hundredths(max(scores), 1))}"
    return [text, f"at {digits(place * 96 // 100)}", mean_text(value), n(len(scores)), own]


MICROS = "round(least(greatest(score, -1e15), 1e15) * 1000000)::HUGEINT"


def check_scores():
    source = f"""(
        SELECT a.level, a.key, m.message_id, m.model, {SCORE} AS score
        FROM annotations a LEFT JOIN messages m USING (message_id))"""
    everything = scored(f"SELECT level, key, {MICROS} FROM {source} WHERE score IS NOT NULL")
    by_model = scored(f"""
        SELECT level, key, model, {MICROS} FROM {source} WHERE score IS NOT NULL AND message_id IS NOT NULL""")
    questions = ordered([(*question, len(scores)) for question, scores in everything.items()])
    same("scores", headings("scores"), [question_name(row[:2]) for row in first(questions, SHOWN)])
    found = tables("scores", "Scores of a question")
    assert len(found) == len(first(questions, SHOWN))
    for table, (*question, _) in zip(found, questions):
        scores = everything[tuple(question)]
        lowest, highest = (hundredths(value, 1) for value in (min(scores), max(scores)))
        expected = [["model", "", "mean", "scores", "range"], score_row("all", scores, lowest, highest)]
        models = ordered([(group[2], len(own)) for group, own in by_model.items() if list(group[:2]) == question])
        own = [(model, by_model[(*question, model)]) for model, _ in first(models, 12)]
        own.sort(key=lambda row: (-mean(row[1]), key(row[0])))
        expected += [score_row(name(model, "(no model)"), scores, lowest, highest) for model, scores in own]
        same(f"scores of {question}", table, expected)


def check_rubrics():
    source = """(
        SELECT coalesce(c.criterion, e.criterion_definition_id) AS criterion, m.model, e.score
        FROM criterion_evaluations e
        LEFT JOIN messages m USING (message_id)
        LEFT JOIN (
            SELECT * FROM rubric_criteria
            QUALIFY row_number() OVER (PARTITION BY task_id, thread_index, turn_index, criterion_id
                                       ORDER BY rubric_index, criterion_index) = 1
        ) c ON (e.task_id, e.thread_index, e.turn_index, e.criterion_definition_id)
             = (c.task_id, c.thread_index, c.turn_index, c.criterion_id)
        WHERE e.score IS NOT NULL)"""
    by_criterion = scored(f"SELECT criterion, {MICROS} FROM {source}")
    by_model = scored(f"SELECT model, {MICROS} FROM {source}")
    both = scored(f"SELECT criterion, model, {MICROS} FROM {source}")
    everything = [score for scores in by_criterion.values() for score in scores]
    models = ordered([(model, len(scores)) for (model,), scores in by_model.items()])
    columns = [model for model, _ in first(models, 8)]

    def cell(scores):
        return f"{mean_text(mean(scores))} {n(len(scores))}" if scores else "–"

    expected = [["criterion", "all", *(name(model, "(no model)") for model in columns)]]
    expected.append(["all criteria", cell(everything), *(cell(by_model[model,]) for model in columns)])
    criteria = ordered([(criterion, len(scores)) for (criterion,), scores in by_criterion.items()])
    for criterion, _ in first(criteria, SHOWN):
        cells = [cell(by_criterion[criterion,]), *(cell(both.get((criterion, model))) for model in columns)]
        expected.append([sentence(criterion, "(no criterion)"), *cells])
    same("rubrics", tables("rubrics", "Rubric scores")[0], expected)
    rest = [text.replace("criterions", "criteria") for text in more(criteria, SHOWN, "criterion")]
    rest += more(models, 8, "model")
    same("rubrics", texts("rubrics", "p")[1:], [", ".join(rest)] if rest else [])


def check_lengths():
    roles = ordered(rows("SELECT role, count(*) FROM messages GROUP BY ALL"))
    starts = [0, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000]
    expected = [["role", "messages", "with text", "median", "90% within", "longest", "distribution"]]
    for role, messages in first(roles, 10):
        found = connection.execute(
            "SELECT length(text) FROM messages WHERE role IS NOT DISTINCT FROM ? AND text IS NOT NULL", [role])
        lengths = [length for (length,) in found.fetchall()]
        numbers = ["0", "–", "–", "–"]
        if lengths:
            numbers = [n(len(lengths)), n(percentile(lengths, 50)), n(percentile(lengths, 90)), n(max(lengths))]
        ranges = []
        for start, end in zip(starts, [*starts[1:], float("inf")]):
            count = sum(start <= length < end for length in lengths)
            ranges += [f"from {n(start)}: {n(count)}"] if count else []
        expected.append([name(role, "(no role)"), n(messages), *numbers, "; ".join(ranges)])
    same("lengths", tables("lengths", "Characters of messages by role")[0], expected)


def check_rest():
    for table, caption in (
        ("errors", "Errors of tasks by type"),
        ("sensitive_content_reports", "Reports of sensitive content by type"),
    ):
        kinds = ordered(rows(f"SELECT type, count(*) FROM {table} GROUP BY ALL"))
        total = sum(count for _, count in kinds)
        expected = [counted(name(kind, "(no type)"), count, total) for kind, count in first(kinds, 20)]
        found = tables("failures", caption)
        same(caption, found[0][1:] if found else [], expected)
    contributors = ordered(rows("SELECT contributor_id, count(*) FROM submissions GROUP BY ALL"))
    total = sum(count for _, count in contributors)
    expected = [counted(name(contributor, "(no ID)"), count, total) for contributor, count in first(contributors, 30)]
    same("contributors", tables("contributors", "Submissions by contributor")[0][1:], expected)
    same("contributors", texts("contributors", "p"), more(contributors, 30, "contributor"))
    others = {"unknown_key": "unknown key", "unknown_value": "unknown value"}

    def place(kind):
        return [*others].index(kind) if kind in others else -1

    drift = sorted(manifest["drift"], key=lambda it: (-it["count"], place(it["kind"]), it["table"], it["column"]))
    expected = [
        [name(f"{it['table']}.{it['column']}", ""), others.get(it["kind"], "type mismatch"), n(it["count"]), it["first_task_id"]]
        for it in first(drift, 20)
    ]
    found = tables("drift", "Drift")
    same("drift", found[0][1:] if found else [], expected)
    counts = [[table, n(rows(f"SELECT count(*) FROM {table}")[0][0])] for table in TABLES]
    same("tables", [row[:2] for row in tables("tables", "Tables")[0][1:]], counts)


TABLES = """tasks threads submissions turns messages chunks reference_texts reasoning attachments annotations rubrics
rubric_criteria rubric_evaluations criterion_evaluations errors sensitive_content_reports projects batches""".split()

check_head()
check_tasks()
check_questions()
check_labels()
check_scores()
check_rubrics()
check_lengths()
check_rest()
print(compared)
