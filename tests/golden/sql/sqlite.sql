-- SQLite tables (3.32 or later). Run in the directory of a CSV export:
--     scale-export schema --format sql --dialect sqlite > create.sql
--     sqlite3 -bail tasks.db < create.sql
-- .import makes empty text of every null; NULLIF makes null of every empty text where null can be.

CREATE TABLE "annotations" (
    -- One row for each annotation, at every level of a task
    -- The task that the row belongs to
    "task_id" TEXT NOT NULL,
    -- JSON Pointer (RFC 6901) to the row's object in the task; with `task_id` the primary key
    "path" TEXT NOT NULL,
    -- The `id` of the thread
    "thread_id" TEXT,
    -- Place of the thread in the task, from 0
    "thread_index" INTEGER,
    -- The `id` of the turn
    "turn_id" TEXT,
    -- Place of the turn in its thread, from 0
    "turn_index" INTEGER,
    -- The message, as in `messages.message_id`
    "message_id" TEXT,
    -- Place of the message in its turn, from 0
    "message_index" INTEGER,
    -- Place of the chunk, for an annotation of a chunk
    "chunk_index" INTEGER,
    -- `thread`, `turn`, `message`, `chunk`, `rubric_criterion`, `rubric_evaluation` or `criterion_evaluation`
    "level" TEXT NOT NULL,
    -- Place in its list, from 0
    "annotation_index" INTEGER NOT NULL,
    -- The annotation's own ID
    "annotation_id" TEXT,
    -- What is asked, as a key
    "key" TEXT,
    -- The kind of annotation; the value's own JSON type may disagree
    "type" TEXT,
    -- What is asked, as a title
    "title" TEXT,
    -- What is asked, at length
    "description" TEXT,
    -- Why the value was chosen
    "justification" TEXT,
    -- Names of the possible values, in their order (JSON list)
    "labels" TEXT,
    -- The question does not apply (1 or 0)
    "not_applicable" INTEGER,
    -- The question could not be answered (1 or 0)
    "cannot_assess" INTEGER,
    -- As received (JSON text)
    "metadata" TEXT,
    -- `metadata.criteria` when it is a string, else its `id`
    "criteria" TEXT,
    -- As received (JSON text)
    "possible_values" TEXT,
    -- A string value
    "value_text" TEXT,
    -- An integer value
    "value_int" INTEGER,
    -- The nearest double of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`
    "value_number" REAL,
    -- A boolean value (1 or 0)
    "value_bool" INTEGER,
    -- A value that is a list of strings (JSON list)
    "value_list" TEXT,
    -- Every value that no other `value_` column holds exactly (JSON text)
    "value_json" TEXT,
    -- The entry of `labels` that stands where the value stands in `possible_values`
    "value_label" TEXT,
    -- What has no column or does not fit its column: a JSON object, or null (JSON text)
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
