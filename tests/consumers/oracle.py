"""An oracle: derives the four core tables from raw tasks in SQL and compares them with an export.

Arguments: the tasks as the API returned them, one per line, and the Parquet export of the same tasks.

It shares no code with the exporter, only the contract of the tables. DuckDB reads the nested JSON,
one query per level of nesting unfolds it, and every column but `extra` must agree, row by row. The
tasks must be as documented: what an exporter does with values that do not fit is not derived here,
nor are digits that a float64 does not hold, which DuckDB's JSON reader drops.
"""
import collections
import json
import pathlib
import sys

import duckdb

LARGEST_TASK_BYTES = 1 << 30
EXAMPLES = 3
EXAMPLE_WIDTH = 200

# The shape of a task, as far as the four tables need it. `JSON` is what has no fixed type.
FILE = dict.fromkeys(("name", "mime_type", "url", "scale_url", "content", "transcript", "transcript_url"), "VARCHAR") \
    | dict.fromkeys(("duration", "transcript_start", "transcript_end"), "DOUBLE") | {"file_size_in_bytes": "BIGINT"}
STREAMS = ("stdout_output", "stderr_output", "test_stdout_output", "test_stderr_output")
ANNOTATIONS = [dict.fromkeys(("id", "key", "type", "title", "description", "justification"), "VARCHAR") | {
    "labels": ["VARCHAR"], "not_applicable": "BOOLEAN", "cannot_assess": "BOOLEAN",
    "metadata": "JSON", "possible_values": "JSON", "value": "JSON"}]
CRITERION = {"annotations": ANNOTATIONS}
RUBRIC = {"criteria_definitions": [CRITERION]}
RUBRIC_EVALUATION = {"annotations": ANNOTATIONS, "criteria_evaluations": [CRITERION]}
CONTENT = {"text": "VARCHAR", "reference_texts": ["JSON"], "attachments": [FILE],
           "chunks": [{"annotations": ANNOTATIONS}], "reasoning": ["JSON"]}
MODEL_PARAMETERS = {"model": "VARCHAR", "temperature": "DOUBLE", "top_p": "DOUBLE",
                    "max_completion_tokens": "BIGINT", "top_k": "BIGINT"}
MESSAGE = {"role": "VARCHAR", "source_id": "VARCHAR", "content": CONTENT, "model_parameters": MODEL_PARAMETERS,
           "annotations": ANNOTATIONS, "rubric_evaluations": [RUBRIC_EVALUATION]}
TURN = {"id": "VARCHAR", "annotations": ANNOTATIONS, "rubrics": [RUBRIC], "messages": [MESSAGE]}
THREAD = {"id": "VARCHAR", "annotations": ANNOTATIONS, "turns": [TURN]}
TASK = {"task_id": "VARCHAR", "project": "JSON", "batch": "JSON", "status": "VARCHAR",
        "created_at": "TIMESTAMPTZ", "completed_at": "TIMESTAMPTZ", "metadata": "JSON",
        "threads": [THREAD], "errors": ["JSON"], "sensitive_content_reports": ["JSON"]}

# Each kind of object, the one that it hangs in, the list that it stands in there, and the keys that it adds.
NESTING = (
    ("thread", "task", "threads", {"thread_id": "object.id", "thread_index": "position"}),
    ("turn", "thread", "turns", {"turn_id": "object.id", "turn_index": "position"}),
    ("message", "turn", "messages", {
        "message_id": "format('{}:{}.{}.{}', task_id, thread_index, turn_index, position)",
        "message_index": "position"}),
    ("chunk", "message", "content.chunks", {"chunk_index": "position"}),
    ("rubric", "turn", "rubrics", {}),
    ("rubric_criterion", "rubric", "criteria_definitions", {}),
    ("rubric_evaluation", "message", "rubric_evaluations", {}),
    ("criterion_evaluation", "rubric_evaluation", "criteria_evaluations", {}),
)
ANNOTATED = [name for name, *_ in NESTING if name != "rubric"]
CONVERSATION = "thread_id, thread_index, turn_id, turn_index, message_id, message_index"


def sql_type(shape):
    if isinstance(shape, dict):
        return "STRUCT(" + ", ".join(f'"{name}" {sql_type(field)}' for name, field in shape.items()) + ")"
    return sql_type(shape[0]) + "[]" if isinstance(shape, list) else shape


def unfold(parent, items):
    """The objects of a list in each row of `parent`, with their positions, beside the row's other columns."""
    return f"""
        SELECT parent.* EXCLUDE (object), item.object, item.ordinal - 1 AS position
        FROM {parent} AS parent, unnest({items}) WITH ORDINALITY AS item(object, ordinal)"""


def nested(name, parent, items, keys):
    place = "/" + items.replace(".", "/") + "/"
    keys = {"path": f"path || '{place}' || position", **keys}
    return f"""
        CREATE TABLE {name} AS
        SELECT * EXCLUDE (position) REPLACE ({", ".join(f"{value} AS {key}" for key, value in keys.items())})
        FROM ({unfold(parent, "parent.object." + items)})"""


MACROS = """
    CREATE MACRO text_of(value) AS CASE json_type(value) WHEN 'VARCHAR' THEN value ->> '$' END;
    CREATE MACRO bool_of(value) AS CASE json_type(value) WHEN 'BOOLEAN' THEN TRY_CAST(value AS BOOLEAN) END;
    CREATE MACRO number_of(value) AS
        CASE WHEN json_type(value) IN ('BIGINT', 'UBIGINT', 'DOUBLE') THEN TRY_CAST(value AS DOUBLE) END;
    CREATE MACRO integer_of(value) AS
        CASE WHEN json_type(value) IN ('BIGINT', 'UBIGINT') THEN TRY_CAST(value AS BIGINT) END;
    CREATE MACRO items_of(value) AS CASE json_type(value) WHEN 'ARRAY' THEN TRY_CAST(value AS JSON[]) END;
    CREATE MACRO strings_of(value) AS
        CASE WHEN len(list_filter(items_of(value), lambda item: json_type(item) IS DISTINCT FROM 'VARCHAR')) = 0
        THEN TRY_CAST(value AS VARCHAR[]) END;

    -- What may be an ID or the whole object.
    CREATE MACRO id_of(reference) AS coalesce(text_of(reference), text_of(reference['id']));
    CREATE MACRO object_of(reference) AS CASE json_type(reference) WHEN 'OBJECT' THEN reference END;

    -- Equal for equal scalars: numbers by value, and a string, which keeps its quotes, equals no number.
    CREATE MACRO comparable(value) AS
        CASE WHEN json_type(value) NOT IN ('ARRAY', 'OBJECT')
        THEN coalesce(number_of(value)::VARCHAR, value::VARCHAR) END;
    CREATE MACRO choices_of(possible_values) AS
        CASE WHEN json_array_length(possible_values) = 1 AND json_type(possible_values[0]) = 'ARRAY'
        THEN items_of(possible_values[0]) ELSE items_of(possible_values) END;
    CREATE MACRO label_of(value, choices, labels) AS
        CASE WHEN len(labels) = len(choices)
        THEN labels[list_position(list_transform(choices, lambda choice: comparable(choice)), comparable(value))] END;

    CREATE MACRO redacted(value) AS regexp_replace(value::VARCHAR,
        '"workspace_token":"([^"\\\\]|\\\\.)*"', '"workspace_token":"[redacted]"', 'g')::JSON;

    -- Only base64 that its own bytes give back is decoded.
    CREATE MACRO decoded(base64) AS
        CASE WHEN to_base64(TRY(from_base64(base64))) = base64 THEN from_base64(base64) END;
"""

TASK_OBJECTS = f"""
    CREATE TABLE task AS
    SELECT task.task_id, '' AS path, NULL::VARCHAR AS thread_id, NULL::BIGINT AS thread_index,
        NULL::VARCHAR AS turn_id, NULL::BIGINT AS turn_index, NULL::VARCHAR AS message_id,
        NULL::BIGINT AS message_index, NULL::BIGINT AS chunk_index, task AS object
    FROM read_json($tasks, format = 'newline_delimited', maximum_object_size = {LARGEST_TASK_BYTES},
        columns = {{{", ".join(f"'{name}': '{sql_type(field)}'" for name, field in TASK.items())}}}) AS task"""

MESSAGES = f"""
    CREATE TABLE messages AS
    SELECT task_id, path, {CONVERSATION}, object.role, object.source_id, object.content.text,
        unnest(object.model_parameters),
        len(object.content.reference_texts) AS reference_text_count,
        len(object.content.attachments) AS attachment_count,
        len(object.content.chunks) AS chunk_count, len(object.content.reasoning) AS reasoning_count,
        len(object.annotations) AS annotation_count,
        len(object.rubric_evaluations) AS rubric_evaluation_count
    FROM message"""

ANNOTATION_OBJECTS = f"""
    CREATE TABLE annotation AS
    SELECT * REPLACE (path || '/annotations/' || position AS path)
    FROM ({" UNION ALL BY NAME ".join(
        f"SELECT '{level}' AS level, * FROM ({unfold(level, 'parent.object.annotations')})" for level in ANNOTATED)})"""

ANNOTATIONS_TABLE = f"""
    CREATE TABLE annotations AS
    WITH typed AS (
        SELECT task_id, path, {CONVERSATION}, chunk_index, level,
            position AS annotation_index, object.id AS annotation_id, unnest(object),
            text_of(object.value) AS value_text, integer_of(object.value) AS value_int,
            bool_of(object.value) AS value_bool, strings_of(object.value) AS value_list,
            number_of(object.value) AS number
        FROM annotation)
    SELECT * EXCLUDE (id, value, number), id_of(metadata['criteria']) AS criteria,
        coalesce(number, CASE type
            WHEN 'rubric_rating' THEN number_of(value['score'])
            WHEN 'rubric_criteria' THEN number_of(value['weight']) END) AS value_number,
        CASE WHEN value_text IS NULL AND value_int IS NULL AND value_bool IS NULL AND value_list IS NULL
            -- Of the numbers left, those with a fraction or an exponent are doubles, the others too long.
            AND (number IS NULL OR NOT regexp_matches(value::VARCHAR, '[.eE]')) THEN redacted(value) END AS value_json,
        label_of(value, choices_of(possible_values), labels) AS value_label
    FROM typed"""

# Where a file hangs is what differs between the four; its fields are then taken alike.
ATTACHMENTS = f"""
    CREATE TABLE attachments AS
    WITH message_file AS (
        SELECT *, path || '/content/attachments/' || position AS place, 'message' AS source
        FROM ({unfold("message", "parent.object.content.attachments")})),
    holder AS (
        SELECT * EXCLUDE (position) REPLACE (path || '/value' AS path, object.value AS object),
            object.id AS annotation_id, object.type AS type
        FROM annotation),
    file_holder AS (SELECT * FROM holder WHERE type = 'file'),
    annotation_file AS (
        SELECT *, 0 AS position, path AS place FROM file_holder WHERE json_type(object) = 'OBJECT'
        UNION ALL BY NAME
        SELECT *, path || '/' || position AS place
        FROM ({unfold("file_holder", "items_of(parent.object)")})),
    workspace AS (SELECT *, 'workspace' AS source FROM holder WHERE type = 'workspace_container'),
    workspace_file AS (
        SELECT *, path || '/output_files/' || position AS place
        FROM ({unfold("workspace", "items_of(parent.object['output_files'])")})),
    workspace_stream AS (
        SELECT * REPLACE (object[name] AS object), name, 0 AS position, path || '/' || name AS place
        FROM workspace, unnest({list(STREAMS)}) AS stream(name)
        WHERE json_type(object[name]) = 'OBJECT'),
    file AS (
        SELECT *, unnest(object) FROM message_file
        UNION ALL BY NAME
        SELECT *, 'annotation' AS source, unnest(from_json(object, '{json.dumps(FILE)}')) FROM annotation_file
        UNION ALL BY NAME
        SELECT *, object ->> 'file_name' AS name, object ->> 'file_content' AS content,
            object ->> 'url' AS url, object ->> 'scale_url' AS scale_url FROM workspace_file
        UNION ALL BY NAME
        SELECT *, object ->> 'content' AS content,
            object ->> 'url' AS url, object ->> 'scale_url' AS scale_url FROM workspace_stream)
    SELECT task_id, place AS path, {CONVERSATION}, annotation_id, source, position AS attachment_index,
        {", ".join(field for field in FILE if field != "content")},
        content, octet_length(content) AS content_size, sha256(content) AS content_sha256
    FROM (SELECT * REPLACE (CASE source WHEN 'workspace' THEN encode(content) ELSE decoded(content) END AS content)
          FROM file)"""

TASKS = """
    CREATE TABLE tasks AS
    SELECT task_id,
        id_of(object.project) AS project_id, text_of(object.project['name']) AS project_name,
        id_of(object.batch) AS batch_id, text_of(object.batch['name']) AS batch_name,
        object_of(object.project) AS project, object_of(object.batch) AS batch,
        object.status, object.created_at, object.completed_at, object.metadata,
        len(object.threads) AS thread_count, len(object.errors) AS error_count,
        len(object.sensitive_content_reports) AS sensitive_content_report_count,
{counts}
    FROM task""".format(counts=",\n".join(
        f"        (SELECT count(*) FROM {rows} WHERE {rows}.task_id = task.task_id) AS {column}"
        for column, rows in (("turn_count", "turn"), ("message_count", "messages"),
                             ("annotation_count", "annotations"), ("attachment_count", "attachments"))))

TABLES = ("tasks", "messages", "annotations", "attachments")
KINDS = {"annotations": "level", "attachments": "source"}  # columns whose values are counted apart


def compare(connection, table, file):
    """Says whether the rows agree, and prints it, or where they do not."""
    columns, found_columns = (
        {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {rows}").fetchall() if row[0] != "extra"}
        for rows in (table, f"'{file}'"))
    if columns.keys() != found_columns.keys():
        print(f"{table}: columns that only one side has:", *sorted(columns.keys() ^ found_columns.keys()))
        return False

    # JSON is compared as text, in the one way that DuckDB writes it.
    selected = ", ".join(f"json({column})::VARCHAR AS {column}" if kind == "JSON" else column
                         for column, kind in found_columns.items())
    expected, found = f"SELECT {selected} FROM {table}", f"SELECT {selected} FROM '{file}'"
    missing, surplus = (
        [dict(zip(found_columns, row)) for row in connection.execute(f"{one} EXCEPT ALL {other}").fetchall()]
        for one, other in ((expected, found), (found, expected)))
    if missing or surplus:
        explain(table, missing, surplus)
        return False

    rows = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    if rows == 0:
        print(f"{table}: the tasks give no rows, so nothing was compared")
        return False
    line = f"{table}: {rows} rows agree"
    if kind := KINDS.get(table):
        counts = connection.execute(f"SELECT {kind}, count(*) FROM {table} GROUP BY ALL ORDER BY ALL").fetchall()
        line += " (" + ", ".join(f"{name} {count}" for name, count in counts) + ")"
    filled = connection.execute(f"SELECT {', '.join(f'count({column})' for column in columns)} FROM {table}").fetchone()
    if empty := [column for column, count in zip(columns, filled) if count == 0]:
        line += "; null in every row: " + ", ".join(empty)
    print(line)
    return True


def explain(table, missing, surplus):
    """Prints which columns differ between rows of one place, and examples from each side."""
    expected, found = ({(row["task_id"] or "", row.get("path") or ""): row for row in rows} for rows in (missing, surplus))
    differing = {place: [column for column in row if row[column] != found[place][column]]
                 for place, row in expected.items() if place in found}
    print(f"{table}: {len(missing)} rows of the oracle are not in Parquet, {len(surplus)} of Parquet not in the oracle")
    totals = collections.Counter(column for columns in differing.values() for column in columns)
    if totals:
        print("  columns that differ:", ", ".join(f"{column} ({count})" for column, count in totals.most_common()))
    for place in sorted(differing)[:EXAMPLES]:
        print(" ", *place)
        for column in differing[place]:
            for side, row in (("oracle", expected[place]), ("Parquet", found[place])):
                print(f"    {column} in {side:7}: {repr(row[column])[:EXAMPLE_WIDTH]}")
    for side, rows in (("the oracle", expected), ("Parquet", found)):
        for place in sorted(rows.keys() - differing.keys())[:EXAMPLES]:
            print(f"  only in {side}:", *place)


def every_annotation_is_compared(connection):
    """Counts the annotations without knowing the levels, so that none can be left out unseen."""
    anywhere = connection.execute(f"""
        SELECT coalesce(sum(len(json_extract(json, '$.threads..annotations[*]'))), 0)
        FROM read_json_objects($tasks, format = 'newline_delimited', maximum_object_size = {LARGEST_TASK_BYTES})""",
        {"tasks": tasks}).fetchone()[0]
    by_level = connection.execute("SELECT count(*) FROM annotations").fetchone()[0]
    if anywhere != by_level:
        print(f"annotations: {anywhere} stand in the tasks, and {by_level} at the levels that the oracle knows")
    return anywhere == by_level


tasks, parquet = sys.argv[1], pathlib.Path(sys.argv[2])
oracle = duckdb.connect()
oracle.execute(MACROS)
oracle.execute(TASK_OBJECTS, {"tasks": tasks})
for level in NESTING:
    oracle.execute(nested(*level))
for query in (MESSAGES, ANNOTATION_OBJECTS, ANNOTATIONS_TABLE, ATTACHMENTS, TASKS):
    oracle.execute(query)
verdicts = [compare(oracle, table, parquet / f"{table}.parquet") for table in TABLES]
verdicts.append(every_annotation_is_compared(oracle))
sys.exit(not all(verdicts))
