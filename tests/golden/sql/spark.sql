-- Spark tables. Run in the directory of a Parquet export:
--     scale-export schema --format sql --dialect spark > create.sql
--     spark-sql -f create.sql

CREATE TABLE `annotations` (
    `task_id` STRING NOT NULL COMMENT 'ID of the task that the row belongs to',
    `path` STRING NOT NULL COMMENT 'JSON Pointer (RFC 6901) of the row\'s object in the task; with `task_id`, the primary key',
    `thread_id` STRING COMMENT 'The `id` of the thread',
    `thread_index` INT COMMENT 'Index of the thread in the task, from 0',
    `turn_id` STRING COMMENT 'The `id` of the turn',
    `turn_index` INT COMMENT 'Index of the turn in its thread, from 0',
    `message_id` STRING COMMENT 'ID of the message, as in `messages.message_id`',
    `message_index` INT COMMENT 'Index of the message in its turn, from 0',
    `chunk_index` INT COMMENT 'Index of the chunk, for an annotation of a chunk',
    `level` STRING NOT NULL COMMENT '`thread`, `turn`, `message`, `chunk`, `rubric_criterion`, `rubric_evaluation` or `criterion_evaluation`',
    `annotation_index` INT NOT NULL COMMENT 'Index in its list, from 0',
    `annotation_id` STRING COMMENT 'The annotation\'s own ID',
    `key` STRING COMMENT 'Key of the question',
    `type` STRING COMMENT 'Type of the annotation; the JSON type of the value may differ',
    `title` STRING COMMENT 'Title of the question',
    `description` STRING COMMENT 'Description of the question',
    `justification` STRING COMMENT 'Why the value was chosen',
    `labels` ARRAY<STRING> COMMENT 'Names of the possible values, in their order',
    `not_applicable` BOOLEAN COMMENT 'Whether the question does not apply',
    `cannot_assess` BOOLEAN COMMENT 'Whether the question could not be answered',
    `metadata` STRING COMMENT '`metadata` as received (JSON text)',
    `criteria` STRING COMMENT '`metadata.criteria` if it is a string, otherwise its `id`',
    `possible_values` STRING COMMENT '`possible_values` as received (JSON text)',
    `value_text` STRING COMMENT 'A string value',
    `value_int` BIGINT COMMENT 'An integer value',
    `value_number` DOUBLE COMMENT 'The nearest float64 of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`',
    `value_bool` BOOLEAN COMMENT 'A boolean value',
    `value_list` ARRAY<STRING> COMMENT 'A value that is a list of strings',
    `value_json` STRING COMMENT 'Every value that no other `value_` column holds exactly (JSON text)',
    `value_label` STRING COMMENT 'The element of `labels` at the position of the value in `possible_values`',
    `extra` STRING COMMENT 'Keys without a column and values that do not have their column\'s type, as a JSON object; null if there are none (JSON text)'
)
USING PARQUET
COMMENT 'One row for each annotation, at every level of a task (key: task_id, path)';
INSERT INTO `annotations` BY NAME SELECT * FROM parquet.`annotations.parquet`;
