-- DuckDB tables. Run in the directory of a Parquet export:
--     scale-export schema --format sql --dialect duckdb > create.sql
--     duckdb tasks.duckdb < create.sql

CREATE TABLE "annotations" (
    "task_id" VARCHAR NOT NULL,
    "path" VARCHAR NOT NULL,
    "thread_id" VARCHAR,
    "thread_index" INTEGER,
    "turn_id" VARCHAR,
    "turn_index" INTEGER,
    "message_id" VARCHAR,
    "message_index" INTEGER,
    "chunk_index" INTEGER,
    "level" VARCHAR NOT NULL,
    "annotation_index" INTEGER NOT NULL,
    "annotation_id" VARCHAR,
    "key" VARCHAR,
    "type" VARCHAR,
    "title" VARCHAR,
    "description" VARCHAR,
    "justification" VARCHAR,
    "labels" VARCHAR[],
    "not_applicable" BOOLEAN,
    "cannot_assess" BOOLEAN,
    "metadata" VARCHAR,
    "criteria" VARCHAR,
    "possible_values" VARCHAR,
    "value_text" VARCHAR,
    "value_int" BIGINT,
    "value_number" DOUBLE,
    "value_bool" BOOLEAN,
    "value_list" VARCHAR[],
    "value_json" VARCHAR,
    "value_label" VARCHAR,
    "extra" VARCHAR,
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
COMMENT ON COLUMN "annotations"."labels" IS 'Names of the possible values, in their order';
COMMENT ON COLUMN "annotations"."not_applicable" IS 'Whether the question does not apply';
COMMENT ON COLUMN "annotations"."cannot_assess" IS 'Whether the question could not be answered';
COMMENT ON COLUMN "annotations"."metadata" IS '`metadata` as received (JSON text)';
COMMENT ON COLUMN "annotations"."criteria" IS '`metadata.criteria` if it is a string, otherwise its `id`';
COMMENT ON COLUMN "annotations"."possible_values" IS '`possible_values` as received (JSON text)';
COMMENT ON COLUMN "annotations"."value_text" IS 'A string value';
COMMENT ON COLUMN "annotations"."value_int" IS 'An integer value';
COMMENT ON COLUMN "annotations"."value_number" IS 'The nearest float64 of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`';
COMMENT ON COLUMN "annotations"."value_bool" IS 'A boolean value';
COMMENT ON COLUMN "annotations"."value_list" IS 'A value that is a list of strings';
COMMENT ON COLUMN "annotations"."value_json" IS 'Every value that no other `value_` column holds exactly (JSON text)';
COMMENT ON COLUMN "annotations"."value_label" IS 'The element of `labels` at the position of the value in `possible_values`';
COMMENT ON COLUMN "annotations"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';
INSERT INTO "annotations" BY NAME SELECT * FROM read_parquet('annotations.parquet');
