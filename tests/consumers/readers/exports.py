"""The exports that are read: every table with rows, and with almost none, as Parquet and as CSV."""
import contextlib
import json
import os
import pathlib
import subprocess

# What the sandbox does not have, one task a line. Each text stands for a way in which readers went wrong.
TIMES = ("0001-01-01T00:00:00Z", "1883-11-18T12:03:58.000001Z", "1969-12-31T23:59:59.999999Z",
         "2262-04-11T23:47:16.854776Z", "9999-12-31T23:59:59.999999Z")
TEXTS = ("", " ", "null", "NULL", "NA", "NaN", "None", "\\N", "007", "1e3", "true", "=1+1", "+1", "-1", "@SUM(A1)",
         "a\nb", "a\r\nb", "a\rb", "\"", "\"\"", "a\"b", "a,b", "a;b", "a\tb", "\\", "a\\", "\\\"", "\\n", "#", "# a",
         " a ", "\ufeffa", "\u2028", "e\u0301", "\U0001f642", "{\"a\":1}", "[1]", "x" * 33_000)
SANDBOX_TASKS = 150
# With few tasks in a range, tables of debug builds have several row groups, as those of large exports have.
ENVIRONMENT = {"SCALE_API_KEY": "test_key", "SCALE_EXPORT_RANGE_TASKS": "20"}
LONE_SURROGATE = "\\ud800"
BYTE_THAT_IS_NOT_UTF8 = "\\udcff"
THIRTY_DIGITS = "123456789012345678901234567890"


def tasks():
    """Lines of JSON, as bytes."""
    message = [{"role": "user", "content": {"text": text}, "source_id": text,
                "model_parameters": {"temperature": -0.0, "top_k": 2 ** 53 + 1, "max_completion_tokens": -2 ** 63},
                "annotations": [{"key": "k", "type": "text", "value": text, "justification": text,
                                 "labels": [text, "", "x"]}]}
               for text in TEXTS]
    threads = [{"id": "thread", "turns": [{"id": "turn", "messages": message}]}]
    for number, time in enumerate(TIMES):
        task = {"task_id": f"time_{number}", "status": "", "created_at": time, "completed_at": time,
                "metadata": {"n": 10 ** 29, "text": "é\u2028"}, "threads": threads if number == 0 else []}
        yield json.dumps(task).encode()
    yield b'{"task_id":"bytes","metadata":{"text":"caf\xff","half":"\\ud800"},"threads":[{"id":"caf\xff"}]}'
    yield ('{"task_id":"numbers","metadata":[%s,1e400,-0.0,1.50],"unknown":"\\ud800"}' % THIRTY_DIGITS).encode()


def run(program, *arguments, **options):
    """Runs the program without what the caller's environment would change."""
    done = subprocess.run([program, *arguments, "--quiet"], env=ENVIRONMENT, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))} ended with {done.returncode}: {done.stderr}")


@contextlib.contextmanager
def sandbox(program):
    """The base URL of a mock server with unexpected content."""
    server = subprocess.Popen([program, "sandbox", "--port", "0", "--drift"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, env={})
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def flatten(program, tasks, base):
    """Exports of a file of tasks in both formats."""
    for kind in ("parquet", "csv"):
        if not (base / kind).exists():
            run(program, "flatten", tasks, "--out", base / kind, "--format", kind)


def make(program, base):
    """Makes `full/parquet`, `full/csv`, `empty/parquet` and `empty/csv` below `base`; gives these directories."""
    program = os.path.abspath(program)
    lines, fetched = base / "tasks.jsonl", base / "fetched"
    lines.write_bytes(b"\n".join(tasks()))
    ids = base / "ids.txt"
    ids.write_text("\n".join(f"task_{number + 1}" for number in range(SANDBOX_TASKS)))
    with sandbox(program) as url:
        run(program, "--base-url", url, "--rate", "max", "--ids", ids, "--expand", "project,batch", "--out", fetched)
    one = base / "one.jsonl"
    one.write_text('{"task_id":"one","threads":[]}')
    made = []
    for name, sources in (("full", (fetched, lines)), ("empty", (one,))):
        for kind in ("parquet", "csv"):
            out = base / name / kind
            run(program, "flatten", *sources, "--format", kind, "--out", out)
            run(program, "verify", out)
            made.append(out)
    return made


def check(expected, schemas):
    """Fails unless the exports hold what readers are known to fail on."""
    full, empty = expected["full"], expected["empty"]

    def cells(kinds):
        for table, schema in schemas.items():
            for column in schema["columns"]:
                if column["type"] in kinds:
                    yield table, column["name"], full[table][column["name"]]

    json_text = [value for *_, column in cells({"json"}) for value in column if value]
    present = {
        "a lone surrogate": any(LONE_SURROGATE in value for value in json_text),
        "a byte that is not UTF-8": any(BYTE_THAT_IS_NOT_UTF8 in value for value in json_text),
        "an integer of thirty digits": any(THIRTY_DIGITS in value for value in json_text),
        "2^53+1": any(f"int:{2 ** 53 + 1}" in column for *_, column in cells({"int64"})),
        "-2^63": any(f"int:{-2 ** 63}" in column for *_, column in cells({"int64"})),
        "null next to an empty string": any({None, "str:"} <= set(column) for *_, column in cells({"str"})),
        "null next to empty bytes": any({None, "bytes:"} <= set(column) for *_, column in cells({"bytes"})),
        "null next to an empty list": any({None, "list:[]"} <= set(column) for *_, column in cells({"list<str>"})),
        "an integer column with nulls": any({None} < set(column) for *_, column in cells({"int32"})),
        "-0.0": any("f64:8000000000000000" in column for *_, column in cells({"f64"})),
        "the years 0001 and 9999": {"ts:-62135596800000000", "ts:253402300799999999"}
                                   <= set(full["tasks"]["created_at"]),
    }
    for text in TEXTS:
        present[f"the text {text[:40]!r}"] = f"str:{text}" in full["messages"]["text"]
    for table, columns in full.items():
        present[f"rows in {table}"] = len(columns["extra"]) > 0
    present["tables without rows"] = sum(not columns["extra"] for columns in empty.values()) >= len(schemas) - 1
    missing = [what for what, there in present.items() if not there]
    if missing:
        raise SystemExit(f"the exports do not hold what they should: {', '.join(missing)}")


def schemas():
    """The committed schemas, by table."""
    directory = pathlib.Path(__file__).parents[3] / "schemas"
    return {path.stem: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}
