-- SQLite tables (3.32 or later). Run in the directory of a CSV export:
--     scale-export schema --format sql --dialect sqlite > create.sql
--     sqlite3 -bail tasks.db < create.sql
-- .import makes empty text of every null; NULLIF makes null of every empty text where null can be.

CREATE TABLE "annotations" (
    -- One row for each annotation, at every level of a task
    -- ID of the task that the row belongs to
    "task_id" TEXT NOT NULL,
    -- JSON Pointer (RFC 6901) of the row's object in the task; with `task_id`, the primary key
    "path" TEXT NOT NULL,
    -- The `id` of the thread
    "thread_id" TEXT,
    -- Index of the thread in the task, from 0
    "thread_index" INTEGER,
    -- The `id` of the turn
    "turn_id" TEXT,
    -- Index of the turn in its thread, from 0
    "turn_index" INTEGER,
    -- ID of the message, as in `messages.message_id`
    "message_id" TEXT,
    -- Index of the message in its turn, from 0
    "message_index" INTEGER,
    -- Index of the chunk, for an annotation of a chunk
    "chunk_index" INTEGER,
    -- `thread`, `turn`, `message`, `chunk`, `rubric_criterion`, `rubric_evaluation` or `criterion_evaluation`
    "level" TEXT NOT NULL,
    -- Index in its list, from 0
    "annotation_index" INTEGER NOT NULL,
    -- The annotation's own ID
    "annotation_id" TEXT,
    -- Key of the question
    "key" TEXT,
    -- Type of the annotation; the JSON type of the value may differ
    "type" TEXT,
    -- Title of the question
    "title" TEXT,
    -- Description of the question
    "description" TEXT,
    -- Why the value was chosen
    "justification" TEXT,
    -- Names of the possible values, in their order (JSON list)
    "labels" TEXT,
    -- Whether the question does not apply (1 or 0)
    "not_applicable" INTEGER,
    -- Whether the question could not be answered (1 or 0)
    "cannot_assess" INTEGER,
    -- `metadata` as received (JSON text)
    "metadata" TEXT,
    -- `metadata.criteria` if it is a string, otherwise its `id`
    "criteria" TEXT,
    -- `possible_values` as received (JSON text)
    "possible_values" TEXT,
    -- A string value
    "value_text" TEXT,
    -- An integer value
    "value_int" INTEGER,
    -- The nearest float64 of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`
    "value_number" REAL,
    -- A boolean value (1 or 0)
    "value_bool" INTEGER,
    -- A value that is a list of strings (JSON list)
    "value_list" TEXT,
    -- Every value that no other `value_` column holds exactly (JSON text)
    "value_json" TEXT,
    -- The element of `labels` at the position of the value in `possible_values`
    "value_label" TEXT,
    -- Keys without a column and values that do not have their column's type, as a JSON object; null if there are none (JSON text)
    "extra" TEXT,
    PRIMARY KEY ("task_id", "path")
);
CREATE TABLE "annotations_csv" ("task_id" TEXT, "path" TEXT, "thread_id" TEXT, "thread_index" TEXT, "turn_id" TEXT, "turn_index" TEXT, "message_id" TEXT, "message_index" TEXT, "chunk_index" TEXT, "level" TEXT, "annotation_index" INTEGER, "annotation_id" TEXT, "key" TEXT, "type" TEXT, "title" TEXT, "description" TEXT, "justification" TEXT, "labels" TEXT, "not_applicable" TEXT, "cannot_assess" TEXT, "metadata" TEXT, "criteria" TEXT, "possible_values" TEXT, "value_text" TEXT, "value_int" TEXT, "value_number" TEXT, "value_bool" TEXT, "value_list" TEXT, "value_json" TEXT, "value_label" TEXT, "extra" TEXT);
.import --csv --skip 1 annotations.csv "annotations_csv"
INSERT INTO "annotations" SELECT
    "task_id",
    "path",
    NULLIF("thread_id", ''),
    NULLIF("thread_index", ''),
    NULLIF("turn_id", ''),
    NULLIF("turn_index", ''),
    NULLIF("message_id", ''),
    NULLIF("message_index", ''),
    NULLIF("chunk_index", ''),
    "level",
    "annotation_index",
    NULLIF("annotation_id", ''),
    NULLIF("key", ''),
    NULLIF("type", ''),
    NULLIF("title", ''),
    NULLIF("description", ''),
    NULLIF("justification", ''),
    NULLIF("labels", ''),
    NULLIF("not_applicable", '') = 'true',
    NULLIF("cannot_assess", '') = 'true',
    NULLIF("metadata", ''),
    NULLIF("criteria", ''),
    NULLIF("possible_values", ''),
    NULLIF("value_text", ''),
    NULLIF("value_int", ''),
    NULLIF("value_number", ''),
    NULLIF("value_bool", '') = 'true',
    NULLIF("value_list", ''),
    NULLIF("value_json", ''),
    NULLIF("value_label", ''),
    NULLIF("extra", '')
FROM "annotations_csv";
DROP TABLE "annotations_csv";
