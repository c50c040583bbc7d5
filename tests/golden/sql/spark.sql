-- Spark tables. Run in the directory of a Parquet export:
--     scale-export schema --format sql --dialect spark > create.sql
--     spark-sql -f create.sql

CREATE TABLE `annotations` (
    `task_id` STRING NOT NULL COMMENT 'The task that the row belongs to',
    `path` STRING NOT NULL COMMENT 'JSON Pointer (RFC 6901) to the row\'s object in the task; with `task_id` the primary key',
    `thread_id` STRING COMMENT 'The `id` of the thread',
    `thread_index` INT COMMENT 'Place of the thread in the task, from 0',
    `turn_id` STRING COMMENT 'The `id` of the turn',
    `turn_index` INT COMMENT 'Place of the turn in its thread, from 0',
    `message_id` STRING COMMENT 'The message, as in `messages.message_id`',
    `message_index` INT COMMENT 'Place of the message in its turn, from 0',
    `chunk_index` INT COMMENT 'Place of the chunk, for an annotation of a chunk',
    `level` STRING NOT NULL COMMENT '`thread`, `turn`, `message`, `chunk`, `rubric_criterion`, `rubric_evaluation` or `criterion_evaluation`',
    `annotation_index` INT NOT NULL COMMENT 'Place in its list, from 0',
    `annotation_id` STRING COMMENT 'The annotation\'s own ID',
    `key` STRING COMMENT 'What is asked, as a key',
    `type` STRING COMMENT 'The kind of annotation; the value\'s own JSON type may disagree',
    `title` STRING COMMENT 'What is asked, as a title',
    `description` STRING COMMENT 'What is asked, at length',
    `justification` STRING COMMENT 'Why the value was chosen',
    `labels` ARRAY<STRING> COMMENT 'Names of the possible values, in their order',
    `not_applicable` BOOLEAN COMMENT 'The question does not apply',
    `cannot_assess` BOOLEAN COMMENT 'The question could not be answered',
    `metadata` STRING COMMENT 'As received (JSON text)',
    `criteria` STRING COMMENT '`metadata.criteria` when it is a string, else its `id`',
    `possible_values` STRING COMMENT 'As received (JSON text)',
    `value_text` STRING COMMENT 'A string value',
    `value_int` BIGINT COMMENT 'An integer value',
    `value_number` DOUBLE COMMENT 'The nearest double of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`',
    `value_bool` BOOLEAN COMMENT 'A boolean value',
    `value_list` ARRAY<STRING> COMMENT 'A value that is a list of strings',
    `value_json` STRING COMMENT 'Every value that no other `value_` column holds exactly (JSON text)',
    `value_label` STRING COMMENT 'The entry of `labels` that stands where the value stands in `possible_values`',
    `extra` STRING COMMENT 'What has no column or does not fit its column: a JSON object, or null (JSON text)'
)
USING PARQUET
COMMENT 'One row for each annotation, at every level of a task (key: task_id, path)';
INSERT INTO `annotations` BY NAME SELECT * FROM parquet.`annotations.parquet`;
