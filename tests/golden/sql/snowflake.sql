-- Snowflake tables. Put the absolute path of a Parquet export for /path/to/export:
--     scale-export schema --format sql --dialect snowflake | sed "s#/path/to/export#$PWD#" > create.sql
--     snow sql -f create.sql

CREATE TABLE annotations (
    task_id VARCHAR NOT NULL COMMENT 'ID of the task that the row belongs to',
    path VARCHAR NOT NULL COMMENT 'JSON Pointer (RFC 6901) of the row\'s object in the task; with `task_id`, the primary key',
    thread_id VARCHAR COMMENT 'The `id` of the thread',
    thread_index INTEGER COMMENT 'Index of the thread in the task, from 0',
    turn_id VARCHAR COMMENT 'The `id` of the turn',
    turn_index INTEGER COMMENT 'Index of the turn in its thread, from 0',
    message_id VARCHAR COMMENT 'ID of the message, as in `messages.message_id`',
    message_index INTEGER COMMENT 'Index of the message in its turn, from 0',
    chunk_index INTEGER COMMENT 'Index of the chunk, for an annotation of a chunk',
    level VARCHAR NOT NULL COMMENT '`thread`, `turn`, `message`, `chunk`, `rubric_criterion`, `rubric_evaluation` or `criterion_evaluation`',
    annotation_index INTEGER NOT NULL COMMENT 'Index in its list, from 0',
    annotation_id VARCHAR COMMENT 'The annotation\'s own ID',
    key VARCHAR COMMENT 'Key of the question',
    type VARCHAR COMMENT 'Type of the annotation; the JSON type of the value may differ',
    title VARCHAR COMMENT 'Title of the question',
    description VARCHAR COMMENT 'Description of the question',
    justification VARCHAR COMMENT 'Why the value was chosen',
    labels ARRAY COMMENT 'Names of the possible values, in their order',
    not_applicable BOOLEAN COMMENT 'Whether the question does not apply',
    cannot_assess BOOLEAN COMMENT 'Whether the question could not be answered',
    metadata VARCHAR COMMENT '`metadata` as received (JSON text)',
    criteria VARCHAR COMMENT '`metadata.criteria` if it is a string, otherwise its `id`',
    possible_values VARCHAR COMMENT '`possible_values` as received (JSON text)',
    value_text VARCHAR COMMENT 'A string value',
    value_int BIGINT COMMENT 'An integer value',
    value_number DOUBLE COMMENT 'The nearest float64 of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`',
    value_bool BOOLEAN COMMENT 'A boolean value',
    value_list ARRAY COMMENT 'A value that is a list of strings',
    value_json VARCHAR COMMENT 'Every value that no other `value_` column holds exactly (JSON text)',
    value_label VARCHAR COMMENT 'The element of `labels` at the position of the value in `possible_values`',
    extra VARCHAR COMMENT 'Keys without a column and values that do not have their column\'s type, as a JSON object; null if there are none (JSON text)',
    PRIMARY KEY (task_id, path) NOT ENFORCED
)
COMMENT 'One row for each annotation, at every level of a task';
PUT 'file:///path/to/export/annotations.parquet' @%annotations AUTO_COMPRESS = FALSE;
COPY INTO annotations FROM @%annotations FILES = ('annotations.parquet') MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE
    FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE);
