-- BigQuery tables. Copy the files of a Parquet export to a bucket, and put its address for gs://BUCKET:
--     scale-export schema --format sql --dialect bigquery | sed 's#gs://BUCKET#gs://my-bucket/export#' > create.sql
--     bq query --use_legacy_sql=false --dataset_id=my_dataset < create.sql

CREATE TABLE `annotations` (
    `task_id` STRING NOT NULL OPTIONS (description = 'ID of the task that the row belongs to'),
    `path` STRING NOT NULL OPTIONS (description = 'JSON Pointer (RFC 6901) of the row\'s object in the task; with `task_id`, the primary key'),
    `thread_id` STRING OPTIONS (description = 'The `id` of the thread'),
    `thread_index` INT64 OPTIONS (description = 'Index of the thread in the task, from 0'),
    `turn_id` STRING OPTIONS (description = 'The `id` of the turn'),
    `turn_index` INT64 OPTIONS (description = 'Index of the turn in its thread, from 0'),
    `message_id` STRING OPTIONS (description = 'ID of the message, as in `messages.message_id`'),
    `message_index` INT64 OPTIONS (description = 'Index of the message in its turn, from 0'),
    `chunk_index` INT64 OPTIONS (description = 'Index of the chunk, for an annotation of a chunk'),
    `level` STRING NOT NULL OPTIONS (description = '`thread`, `turn`, `message`, `chunk`, `rubric_criterion`, `rubric_evaluation` or `criterion_evaluation`'),
    `annotation_index` INT64 NOT NULL OPTIONS (description = 'Index in its list, from 0'),
    `annotation_id` STRING OPTIONS (description = 'The annotation\'s own ID'),
    `key` STRING OPTIONS (description = 'Key of the question'),
    `type` STRING OPTIONS (description = 'Type of the annotation; the JSON type of the value may differ'),
    `title` STRING OPTIONS (description = 'Title of the question'),
    `description` STRING OPTIONS (description = 'Description of the question'),
    `justification` STRING OPTIONS (description = 'Why the value was chosen'),
    `labels` ARRAY<STRING> OPTIONS (description = 'Names of the possible values, in their order ([] also where the export has null)'),
    `not_applicable` BOOL OPTIONS (description = 'Whether the question does not apply'),
    `cannot_assess` BOOL OPTIONS (description = 'Whether the question could not be answered'),
    `metadata` STRING OPTIONS (description = '`metadata` as received (JSON text)'),
    `criteria` STRING OPTIONS (description = '`metadata.criteria` if it is a string, otherwise its `id`'),
    `possible_values` STRING OPTIONS (description = '`possible_values` as received (JSON text)'),
    `value_text` STRING OPTIONS (description = 'A string value'),
    `value_int` INT64 OPTIONS (description = 'An integer value'),
    `value_number` FLOAT64 OPTIONS (description = 'The nearest float64 of any numeric value; the `score` of a `rubric_rating`, the `weight` of a `rubric_criteria`'),
    `value_bool` BOOL OPTIONS (description = 'A boolean value'),
    `value_list` ARRAY<STRING> OPTIONS (description = 'A value that is a list of strings ([] also where the export has null)'),
    `value_json` STRING OPTIONS (description = 'Every value that no other `value_` column holds exactly (JSON text)'),
    `value_label` STRING OPTIONS (description = 'The element of `labels` at the position of the value in `possible_values`'),
    `extra` STRING OPTIONS (description = 'Keys without a column and values that do not have their column\'s type, as a JSON object; null if there are none (JSON text)'),
    PRIMARY KEY (`task_id`, `path`) NOT ENFORCED
)
OPTIONS (description = 'One row for each annotation, at every level of a task');
LOAD DATA INTO `annotations` FROM FILES (format = 'PARQUET', enable_list_inference = true, uris = ['gs://BUCKET/annotations.parquet']);
