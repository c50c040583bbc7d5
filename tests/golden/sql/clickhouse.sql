-- ClickHouse tables. Run in the directory of a Parquet export:
--     scale-export schema --format sql --dialect clickhouse > create.sql
--     clickhouse-client --queries-file create.sql

CREATE TABLE `annotations` (
    `task_id` String COMMENT 'ID of the task that the row belongs to',
    `path` String COMMENT 'JSON Pointer (RFC 6901) of the row\'s object in the task; with `task_id`, the primary key',
    `thread_id` Nullable(String) COMMENT 'The `id` of the thread',
    `thread_index` Nullable(Int32) COMMENT 'Index of the thread in the task, from 0',
    `turn_id` Nullable(String) COMMENT 'The `id` of the turn',
    `turn_index` Nullable(Int32) COMMENT 'Index of the turn in its thread, from 0',
    `message_id` Nullable(String) COMMENT 'ID of the message, as in `messages.message_id`',
    `message_index` Nullable(Int32) COMMENT 'Index of the message in its turn, from 0',
    `chunk_index` Nullable(Int32) COMMENT 'Index of the chunk, for an annotation of a chunk',
    `level` String COMMENT '`thread`, `turn`, `message`, `chunk`, `rubric_criterion`, `rubric_evaluation` or `criterion_evaluation`',
    `annotation_index` Int32 COMMENT 'Index in its list, from 0',
    `annotation_id` Nullable(String) COMMENT 'The annotation\'s own ID',
    `key` Nullable(String) COMMENT 'Key of the question',
    `type` Nullable(String) COMMENT 'Type of the annotation; the JSON type of the value may differ',
    `title` Nullable(String) COMMENT 'Title of the question',
    `description` Nullable(String) COMMENT 'Description of the question',
    `justification` Nullable(String) COMMENT 'Why the value was chosen',
    `labels` Array(String) COMMENT 'Names of the possible values, in their order ([] also where the export has null)',
    `not_applicable` Nullable(Bool) COMMENT 'Whether the question does not apply',
    `cannot_assess` Nullable(Bool) COMMENT 'Whether the question could not be answered',
    `metadata` Nullable(String) COMMENT '`metadata` as received (JSON text)',
    `criteria` Nullable(String) COMMENT '`metadata.criteria` if it is a string, otherwise its `id`',
    `possible_values` Nullable(String) COMMENT '`possible_values` as received (JSON text)',
    `value_text` Nullable(String) COMMENT 'A string value',
    `value_int` Nullable(Int64) COMMENT 'An integer value',
    `value_number` Nullable(Float64) COMMENT 'The nearest float64 of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`',
    `value_bool` Nullable(Bool) COMMENT 'A boolean value',
    `value_list` Array(String) COMMENT 'A value that is a list of strings ([] also where the export has null)',
    `value_json` Nullable(String) COMMENT 'Every value that no other `value_` column holds exactly (JSON text)',
    `value_label` Nullable(String) COMMENT 'The element of `labels` at the position of the value in `possible_values`',
    `extra` Nullable(String) COMMENT 'Keys without a column and values that do not have their column\'s type, as a JSON object; null if there are none (JSON text)'
)
ENGINE = MergeTree
ORDER BY (`task_id`, `path`)
COMMENT 'One row for each annotation, at every level of a task';
INSERT INTO `annotations` FROM INFILE 'annotations.parquet' FORMAT Parquet;
