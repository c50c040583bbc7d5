-- Postgres tables (15 or later). Run in the directory of a CSV export:
--     scale-export schema --format sql --dialect postgres > create.sql
--     psql --single-transaction -v ON_ERROR_STOP=1 -f create.sql

CREATE TABLE "annotations" (
    "task_id" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "thread_id" TEXT,
    "thread_index" INTEGER,
    "turn_id" TEXT,
    "turn_index" INTEGER,
    "message_id" TEXT,
    "message_index" INTEGER,
    "chunk_index" INTEGER,
    "level" TEXT NOT NULL,
    "annotation_index" INTEGER NOT NULL,
    "annotation_id" TEXT,
    "key" TEXT,
    "type" TEXT,
    "title" TEXT,
    "description" TEXT,
    "justification" TEXT,
    "labels" JSON,
    "not_applicable" BOOLEAN,
    "cannot_assess" BOOLEAN,
    "metadata" JSON,
    "criteria" TEXT,
    "possible_values" JSON,
    "value_text" TEXT,
    "value_int" BIGINT,
    "value_number" DOUBLE PRECISION,
    "value_bool" BOOLEAN,
    "value_list" JSON,
    "value_json" JSON,
    "value_label" TEXT,
    "extra" JSON,
    PRIMARY KEY ("task_id", "path")
);
COMMENT ON TABLE "annotations" IS 'One row for each annotation, at every level of a task';
COMMENT ON COLUMN "annotations"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "annotations"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "annotations"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "annotations"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "annotations"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "annotations"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "annotations"."message_id" IS 'ID of the message, as in `messages.message_id`';
COMMENT ON COLUMN "annotations"."message_index" IS 'Index of the message in its turn, from 0';
COMMENT ON COLUMN "annotations"."chunk_index" IS 'Index of the chunk, for an annotation of a chunk';
COMMENT ON COLUMN "annotations"."level" IS '`thread`, `turn`, `message`, `chunk`, `rubric_criterion`, `rubric_evaluation` or `criterion_evaluation`';
COMMENT ON COLUMN "annotations"."annotation_index" IS 'Index in its list, from 0';
COMMENT ON COLUMN "annotations"."annotation_id" IS 'The annotation''s own ID';
COMMENT ON COLUMN "annotations"."key" IS 'Key of the question';
COMMENT ON COLUMN "annotations"."type" IS 'Type of the annotation; the JSON type of the value may differ';
COMMENT ON COLUMN "annotations"."title" IS 'Title of the question';
COMMENT ON COLUMN "annotations"."description" IS 'Description of the question';
COMMENT ON COLUMN "annotations"."justification" IS 'Why the value was chosen';
COMMENT ON COLUMN "annotations"."labels" IS 'Names of the possible values, in their order (JSON list)';
COMMENT ON COLUMN "annotations"."not_applicable" IS 'Whether the question does not apply';
COMMENT ON COLUMN "annotations"."cannot_assess" IS 'Whether the question could not be answered';
COMMENT ON COLUMN "annotations"."metadata" IS '`metadata` as received (JSON text)';
COMMENT ON COLUMN "annotations"."criteria" IS '`metadata.criteria` if it is a string, otherwise its `id`';
COMMENT ON COLUMN "annotations"."possible_values" IS '`possible_values` as received (JSON text)';
COMMENT ON COLUMN "annotations"."value_text" IS 'A string value';
COMMENT ON COLUMN "annotations"."value_int" IS 'An integer value';
COMMENT ON COLUMN "annotations"."value_number" IS 'The nearest float64 of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`';
COMMENT ON COLUMN "annotations"."value_bool" IS 'A boolean value';
COMMENT ON COLUMN "annotations"."value_list" IS 'A value that is a list of strings (JSON list)';
COMMENT ON COLUMN "annotations"."value_json" IS 'Every value that no other `value_` column holds exactly (JSON text)';
COMMENT ON COLUMN "annotations"."value_label" IS 'The element of `labels` at the position of the value in `possible_values`';
COMMENT ON COLUMN "annotations"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';
\copy "annotations" FROM 'annotations.csv' WITH (FORMAT csv, HEADER MATCH, ENCODING 'UTF8')
