-- DuckDB views over this export, one for each table. Start DuckDB in this directory:
--     duckdb -init load.sql
-- Or set the directory first, in any other directory:
--     SET file_search_path = '/path/to/export';
--     .read /path/to/export/load.sql
-- To get views with absolute paths, for a database file in another directory:
--     scale-export schema --format sql --dialect duckdb --dir /path/to/export
--
-- JSON columns are text. To read a key:
--     SELECT TRY_CAST(metadata AS JSON) ->> 'key' FROM tasks;
-- Without TRY_CAST, a single value that DuckDB's JSON rejects (half a surrogate pair) fails the whole query.
--
-- Times are in UTC. DuckDB shows them in the session's time zone, so set it:
SET TimeZone = 'UTC';

CREATE OR REPLACE VIEW "tasks" AS SELECT
    "task_id",
    "project_id",
    "project_name",
    "batch_id",
    "batch_name",
    "project",
    "batch",
    "status",
    CAST("created_at" AS TIMESTAMP WITH TIME ZONE) AS "created_at",
    CAST("completed_at" AS TIMESTAMP WITH TIME ZONE) AS "completed_at",
    "metadata",
    CAST("thread_count" AS INTEGER) AS "thread_count",
    CAST("error_count" AS INTEGER) AS "error_count",
    CAST("sensitive_content_report_count" AS INTEGER) AS "sensitive_content_report_count",
    CAST("turn_count" AS INTEGER) AS "turn_count",
    CAST("message_count" AS INTEGER) AS "message_count",
    CAST("annotation_count" AS INTEGER) AS "annotation_count",
    CAST("attachment_count" AS INTEGER) AS "attachment_count",
    "extra"
FROM read_csv('tasks.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'project_id': 'VARCHAR', 'project_name': 'VARCHAR', 'batch_id': 'VARCHAR', 'batch_name': 'VARCHAR', 'project': 'VARCHAR', 'batch': 'VARCHAR', 'status': 'VARCHAR', 'created_at': 'VARCHAR', 'completed_at': 'VARCHAR', 'metadata': 'VARCHAR', 'thread_count': 'VARCHAR', 'error_count': 'VARCHAR', 'sensitive_content_report_count': 'VARCHAR', 'turn_count': 'VARCHAR', 'message_count': 'VARCHAR', 'annotation_count': 'VARCHAR', 'attachment_count': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "tasks" IS 'One row for each exported task';
COMMENT ON COLUMN "tasks"."task_id" IS 'The task''s ID';
COMMENT ON COLUMN "tasks"."project_id" IS 'The project''s ID, from `project` or `project.id`';
COMMENT ON COLUMN "tasks"."project_name" IS 'The project''s name, when `project` is expanded';
COMMENT ON COLUMN "tasks"."batch_id" IS 'The batch''s ID, from `batch` or `batch.id`';
COMMENT ON COLUMN "tasks"."batch_name" IS 'The batch''s name, when `batch` is expanded';
COMMENT ON COLUMN "tasks"."project" IS 'The expanded project as received; null if the response has only its ID (JSON text)';
COMMENT ON COLUMN "tasks"."batch" IS 'The expanded batch as received; null if the response has only its ID (JSON text)';
COMMENT ON COLUMN "tasks"."status" IS '`pending`, `completed`, `canceled`, `error`, `deleted`, or a value that is not documented';
COMMENT ON COLUMN "tasks"."created_at" IS 'When the task was created';
COMMENT ON COLUMN "tasks"."completed_at" IS 'When the task was completed';
COMMENT ON COLUMN "tasks"."metadata" IS 'Custom data of the customer (JSON text)';
COMMENT ON COLUMN "tasks"."thread_count" IS 'Length of `threads`; null when absent';
COMMENT ON COLUMN "tasks"."error_count" IS 'Length of `errors`; null when absent';
COMMENT ON COLUMN "tasks"."sensitive_content_report_count" IS 'Length of `sensitive_content_reports`; null when absent';
COMMENT ON COLUMN "tasks"."turn_count" IS 'Number of rows of this task in `turns`';
COMMENT ON COLUMN "tasks"."message_count" IS 'Number of rows of this task in `messages`';
COMMENT ON COLUMN "tasks"."annotation_count" IS 'Number of rows of this task in `annotations`';
COMMENT ON COLUMN "tasks"."attachment_count" IS 'Number of rows of this task in `attachments`';
COMMENT ON COLUMN "tasks"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "threads" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    CAST("turn_count" AS INTEGER) AS "turn_count",
    CAST("submission_count" AS INTEGER) AS "submission_count",
    CAST("annotation_count" AS INTEGER) AS "annotation_count",
    "extra"
FROM read_csv('threads.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_count': 'VARCHAR', 'submission_count': 'VARCHAR', 'annotation_count': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "threads" IS 'One row for each thread: a conversation, or one path through a branching one';
COMMENT ON COLUMN "threads"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "threads"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "threads"."thread_id" IS 'The thread''s own ID';
COMMENT ON COLUMN "threads"."thread_index" IS 'Index in `threads`, from 0';
COMMENT ON COLUMN "threads"."turn_count" IS 'Length of `turns`; null when absent';
COMMENT ON COLUMN "threads"."submission_count" IS 'Length of `submissions`; null when absent';
COMMENT ON COLUMN "threads"."annotation_count" IS 'Length of `annotations`; null when absent';
COMMENT ON COLUMN "threads"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "submissions" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    CAST("submission_index" AS INTEGER) AS "submission_index",
    CAST("submitted_at" AS TIMESTAMP WITH TIME ZONE) AS "submitted_at",
    "contributor_id",
    "extra"
FROM read_csv('submissions.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'submission_index': 'VARCHAR', 'submitted_at': 'VARCHAR', 'contributor_id': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "submissions" IS 'One row for each submission of a thread by a contributor';
COMMENT ON COLUMN "submissions"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "submissions"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "submissions"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "submissions"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "submissions"."submission_index" IS 'Index in `submissions`, from 0';
COMMENT ON COLUMN "submissions"."submitted_at" IS 'When the thread was submitted';
COMMENT ON COLUMN "submissions"."contributor_id" IS 'ID of the contributor';
COMMENT ON COLUMN "submissions"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "turns" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    CAST("message_count" AS INTEGER) AS "message_count",
    CAST("annotation_count" AS INTEGER) AS "annotation_count",
    CAST("rubric_count" AS INTEGER) AS "rubric_count",
    "extra"
FROM read_csv('turns.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'message_count': 'VARCHAR', 'annotation_count': 'VARCHAR', 'rubric_count': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "turns" IS 'One row for each turn of a thread';
COMMENT ON COLUMN "turns"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "turns"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "turns"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "turns"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "turns"."turn_id" IS 'The turn''s own ID';
COMMENT ON COLUMN "turns"."turn_index" IS 'Index in `turns`, from 0';
COMMENT ON COLUMN "turns"."message_count" IS 'Length of `messages`; null when absent';
COMMENT ON COLUMN "turns"."annotation_count" IS 'Length of `annotations`; null when absent';
COMMENT ON COLUMN "turns"."rubric_count" IS 'Length of `rubrics`; null when absent';
COMMENT ON COLUMN "turns"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "messages" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    "message_id",
    CAST("message_index" AS INTEGER) AS "message_index",
    "role",
    "source_id",
    "text",
    "model",
    CAST("temperature" AS DOUBLE) AS "temperature",
    CAST("top_p" AS DOUBLE) AS "top_p",
    CAST("max_completion_tokens" AS BIGINT) AS "max_completion_tokens",
    CAST("top_k" AS BIGINT) AS "top_k",
    CAST("reference_text_count" AS INTEGER) AS "reference_text_count",
    CAST("attachment_count" AS INTEGER) AS "attachment_count",
    CAST("chunk_count" AS INTEGER) AS "chunk_count",
    CAST("reasoning_count" AS INTEGER) AS "reasoning_count",
    CAST("annotation_count" AS INTEGER) AS "annotation_count",
    CAST("rubric_evaluation_count" AS INTEGER) AS "rubric_evaluation_count",
    "extra"
FROM read_csv('messages.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'message_id': 'VARCHAR', 'message_index': 'VARCHAR', 'role': 'VARCHAR', 'source_id': 'VARCHAR', 'text': 'VARCHAR', 'model': 'VARCHAR', 'temperature': 'VARCHAR', 'top_p': 'VARCHAR', 'max_completion_tokens': 'VARCHAR', 'top_k': 'VARCHAR', 'reference_text_count': 'VARCHAR', 'attachment_count': 'VARCHAR', 'chunk_count': 'VARCHAR', 'reasoning_count': 'VARCHAR', 'annotation_count': 'VARCHAR', 'rubric_evaluation_count': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "messages" IS 'One row for each message of a turn';
COMMENT ON COLUMN "messages"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "messages"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "messages"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "messages"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "messages"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "messages"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "messages"."message_id" IS 'Generated by scale-export: `{task_id}:{thread_index}.{turn_index}.{message_index}`';
COMMENT ON COLUMN "messages"."message_index" IS 'Index in `messages`, from 0';
COMMENT ON COLUMN "messages"."role" IS '`system`, `user`, `assistant`, `function`, or a value that is not documented';
COMMENT ON COLUMN "messages"."source_id" IS 'ID of the source of the message, which ranked annotations refer to';
COMMENT ON COLUMN "messages"."text" IS '`content.text`';
COMMENT ON COLUMN "messages"."model" IS '`model_parameters.model`';
COMMENT ON COLUMN "messages"."temperature" IS '`model_parameters.temperature`';
COMMENT ON COLUMN "messages"."top_p" IS '`model_parameters.top_p`';
COMMENT ON COLUMN "messages"."max_completion_tokens" IS '`model_parameters.max_completion_tokens`';
COMMENT ON COLUMN "messages"."top_k" IS '`model_parameters.top_k`';
COMMENT ON COLUMN "messages"."reference_text_count" IS 'Length of `content.reference_texts`; null when absent';
COMMENT ON COLUMN "messages"."attachment_count" IS 'Length of `content.attachments`; null when absent';
COMMENT ON COLUMN "messages"."chunk_count" IS 'Length of `content.chunks`; null when absent';
COMMENT ON COLUMN "messages"."reasoning_count" IS 'Length of `content.reasoning`; null when absent';
COMMENT ON COLUMN "messages"."annotation_count" IS 'Length of `annotations`; null when absent';
COMMENT ON COLUMN "messages"."rubric_evaluation_count" IS 'Length of `rubric_evaluations`; null when absent';
COMMENT ON COLUMN "messages"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "chunks" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    "message_id",
    CAST("message_index" AS INTEGER) AS "message_index",
    CAST("chunk_index" AS INTEGER) AS "chunk_index",
    "type",
    "text",
    CAST("annotation_count" AS INTEGER) AS "annotation_count",
    "extra"
FROM read_csv('chunks.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'message_id': 'VARCHAR', 'message_index': 'VARCHAR', 'chunk_index': 'VARCHAR', 'type': 'VARCHAR', 'text': 'VARCHAR', 'annotation_count': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "chunks" IS 'One row for each chunk of a message, from `content.chunks`';
COMMENT ON COLUMN "chunks"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "chunks"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "chunks"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "chunks"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "chunks"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "chunks"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "chunks"."message_id" IS 'ID of the message, as in `messages.message_id`';
COMMENT ON COLUMN "chunks"."message_index" IS 'Index of the message in its turn, from 0';
COMMENT ON COLUMN "chunks"."chunk_index" IS 'Index in `chunks`, from 0';
COMMENT ON COLUMN "chunks"."type" IS 'Type of the chunk';
COMMENT ON COLUMN "chunks"."text" IS 'Text of the chunk';
COMMENT ON COLUMN "chunks"."annotation_count" IS 'Length of `annotations`; null when absent';
COMMENT ON COLUMN "chunks"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "reference_texts" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    "message_id",
    CAST("message_index" AS INTEGER) AS "message_index",
    CAST("reference_text_index" AS INTEGER) AS "reference_text_index",
    "content",
    "category",
    "url",
    "extra"
FROM read_csv('reference_texts.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'message_id': 'VARCHAR', 'message_index': 'VARCHAR', 'reference_text_index': 'VARCHAR', 'content': 'VARCHAR', 'category': 'VARCHAR', 'url': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "reference_texts" IS 'One row for each reference text of a message, from `content.reference_texts`';
COMMENT ON COLUMN "reference_texts"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "reference_texts"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "reference_texts"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "reference_texts"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "reference_texts"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "reference_texts"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "reference_texts"."message_id" IS 'ID of the message, as in `messages.message_id`';
COMMENT ON COLUMN "reference_texts"."message_index" IS 'Index of the message in its turn, from 0';
COMMENT ON COLUMN "reference_texts"."reference_text_index" IS 'Index in `reference_texts`, from 0';
COMMENT ON COLUMN "reference_texts"."content" IS 'Reference text';
COMMENT ON COLUMN "reference_texts"."category" IS 'Kind of reference';
COMMENT ON COLUMN "reference_texts"."url" IS 'URL of the source';
COMMENT ON COLUMN "reference_texts"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "reasoning" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    "message_id",
    CAST("message_index" AS INTEGER) AS "message_index",
    CAST("reasoning_index" AS INTEGER) AS "reasoning_index",
    "content",
    "extra"
FROM read_csv('reasoning.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'message_id': 'VARCHAR', 'message_index': 'VARCHAR', 'reasoning_index': 'VARCHAR', 'content': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "reasoning" IS 'One row for each reasoning block of a message, from `content.reasoning`';
COMMENT ON COLUMN "reasoning"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "reasoning"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "reasoning"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "reasoning"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "reasoning"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "reasoning"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "reasoning"."message_id" IS 'ID of the message, as in `messages.message_id`';
COMMENT ON COLUMN "reasoning"."message_index" IS 'Index of the message in its turn, from 0';
COMMENT ON COLUMN "reasoning"."reasoning_index" IS 'Index in `reasoning`, from 0';
COMMENT ON COLUMN "reasoning"."content" IS 'Text of the reasoning block';
COMMENT ON COLUMN "reasoning"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "attachments" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    "message_id",
    CAST("message_index" AS INTEGER) AS "message_index",
    "annotation_id",
    "source",
    CAST("attachment_index" AS INTEGER) AS "attachment_index",
    "name",
    "mime_type",
    "url",
    "scale_url",
    from_base64("content") AS "content",
    CAST("content_size" AS BIGINT) AS "content_size",
    "content_sha256",
    CAST("file_size_in_bytes" AS BIGINT) AS "file_size_in_bytes",
    CAST("duration" AS DOUBLE) AS "duration",
    CAST("transcript_start" AS DOUBLE) AS "transcript_start",
    CAST("transcript_end" AS DOUBLE) AS "transcript_end",
    "transcript",
    "transcript_url",
    "extra"
FROM read_csv('attachments.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'message_id': 'VARCHAR', 'message_index': 'VARCHAR', 'annotation_id': 'VARCHAR', 'source': 'VARCHAR', 'attachment_index': 'VARCHAR', 'name': 'VARCHAR', 'mime_type': 'VARCHAR', 'url': 'VARCHAR', 'scale_url': 'VARCHAR', 'content': 'VARCHAR', 'content_size': 'VARCHAR', 'content_sha256': 'VARCHAR', 'file_size_in_bytes': 'VARCHAR', 'duration': 'VARCHAR', 'transcript_start': 'VARCHAR', 'transcript_end': 'VARCHAR', 'transcript': 'VARCHAR', 'transcript_url': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "attachments" IS 'One row for each file: of a message, of an annotation''s value, or of a workspace';
COMMENT ON COLUMN "attachments"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "attachments"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "attachments"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "attachments"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "attachments"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "attachments"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "attachments"."message_id" IS 'ID of the message, as in `messages.message_id`';
COMMENT ON COLUMN "attachments"."message_index" IS 'Index of the message in its turn, from 0';
COMMENT ON COLUMN "attachments"."annotation_id" IS 'ID of the annotation whose value has the file; null for a file of a message';
COMMENT ON COLUMN "attachments"."source" IS '`message`, `annotation` or `workspace`';
COMMENT ON COLUMN "attachments"."attachment_index" IS 'Index in its list, from 0; 0 for a single file';
COMMENT ON COLUMN "attachments"."name" IS 'File name; for an output stream of a workspace, its key';
COMMENT ON COLUMN "attachments"."mime_type" IS 'Media type';
COMMENT ON COLUMN "attachments"."url" IS 'URL of the file';
COMMENT ON COLUMN "attachments"."scale_url" IS 'URL of the file at Scale';
COMMENT ON COLUMN "attachments"."content" IS 'Content of the file, decoded, if the response has it';
COMMENT ON COLUMN "attachments"."content_size" IS 'Size of `content` in bytes';
COMMENT ON COLUMN "attachments"."content_sha256" IS 'SHA-256 of `content`, lower-case hexadecimal';
COMMENT ON COLUMN "attachments"."file_size_in_bytes" IS 'Size in bytes as reported by the API, for images';
COMMENT ON COLUMN "attachments"."duration" IS 'Duration in seconds, for audio files';
COMMENT ON COLUMN "attachments"."transcript_start" IS 'Start of the transcript, in seconds from the start of the audio file';
COMMENT ON COLUMN "attachments"."transcript_end" IS 'End of the transcript, in seconds from the start of the audio file';
COMMENT ON COLUMN "attachments"."transcript" IS 'Transcript of the audio file';
COMMENT ON COLUMN "attachments"."transcript_url" IS 'URL of the transcript';
COMMENT ON COLUMN "attachments"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "annotations" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    "message_id",
    CAST("message_index" AS INTEGER) AS "message_index",
    CAST("chunk_index" AS INTEGER) AS "chunk_index",
    "level",
    CAST("annotation_index" AS INTEGER) AS "annotation_index",
    "annotation_id",
    "key",
    "type",
    "title",
    "description",
    "justification",
    from_json("labels", '["VARCHAR"]') AS "labels",
    CAST("not_applicable" AS BOOLEAN) AS "not_applicable",
    CAST("cannot_assess" AS BOOLEAN) AS "cannot_assess",
    "metadata",
    "criteria",
    "possible_values",
    "value_text",
    CAST("value_int" AS BIGINT) AS "value_int",
    CAST("value_number" AS DOUBLE) AS "value_number",
    CAST("value_bool" AS BOOLEAN) AS "value_bool",
    from_json("value_list", '["VARCHAR"]') AS "value_list",
    "value_json",
    "value_label",
    "extra"
FROM read_csv('annotations.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'message_id': 'VARCHAR', 'message_index': 'VARCHAR', 'chunk_index': 'VARCHAR', 'level': 'VARCHAR', 'annotation_index': 'VARCHAR', 'annotation_id': 'VARCHAR', 'key': 'VARCHAR', 'type': 'VARCHAR', 'title': 'VARCHAR', 'description': 'VARCHAR', 'justification': 'VARCHAR', 'labels': 'VARCHAR', 'not_applicable': 'VARCHAR', 'cannot_assess': 'VARCHAR', 'metadata': 'VARCHAR', 'criteria': 'VARCHAR', 'possible_values': 'VARCHAR', 'value_text': 'VARCHAR', 'value_int': 'VARCHAR', 'value_number': 'VARCHAR', 'value_bool': 'VARCHAR', 'value_list': 'VARCHAR', 'value_json': 'VARCHAR', 'value_label': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "annotations" IS 'One row for each annotation, at every level of a task';
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

CREATE OR REPLACE VIEW "rubrics" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    CAST("rubric_index" AS INTEGER) AS "rubric_index",
    CAST("max_total_score" AS DOUBLE) AS "max_total_score",
    CAST("criterion_count" AS INTEGER) AS "criterion_count",
    "extra"
FROM read_csv('rubrics.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'rubric_index': 'VARCHAR', 'max_total_score': 'VARCHAR', 'criterion_count': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "rubrics" IS 'One row for each rubric of a turn';
COMMENT ON COLUMN "rubrics"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "rubrics"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "rubrics"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "rubrics"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "rubrics"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "rubrics"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "rubrics"."rubric_index" IS 'Index in `rubrics`, from 0';
COMMENT ON COLUMN "rubrics"."max_total_score" IS 'The highest score that the rubric can give';
COMMENT ON COLUMN "rubrics"."criterion_count" IS 'Length of `criteria_definitions`; null when absent';
COMMENT ON COLUMN "rubrics"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "rubric_criteria" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    CAST("rubric_index" AS INTEGER) AS "rubric_index",
    CAST("criterion_index" AS INTEGER) AS "criterion_index",
    "criterion_id",
    "criterion",
    CAST("weight" AS DOUBLE) AS "weight",
    CAST("annotation_count" AS INTEGER) AS "annotation_count",
    "extra"
FROM read_csv('rubric_criteria.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'rubric_index': 'VARCHAR', 'criterion_index': 'VARCHAR', 'criterion_id': 'VARCHAR', 'criterion': 'VARCHAR', 'weight': 'VARCHAR', 'annotation_count': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "rubric_criteria" IS 'One row for each criterion of a rubric, from `criteria_definitions`';
COMMENT ON COLUMN "rubric_criteria"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "rubric_criteria"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "rubric_criteria"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "rubric_criteria"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "rubric_criteria"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "rubric_criteria"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "rubric_criteria"."rubric_index" IS 'Index of the rubric in `rubrics`, from 0';
COMMENT ON COLUMN "rubric_criteria"."criterion_index" IS 'Index in `criteria_definitions`, from 0';
COMMENT ON COLUMN "rubric_criteria"."criterion_id" IS 'The criterion''s own ID';
COMMENT ON COLUMN "rubric_criteria"."criterion" IS 'Text of the criterion';
COMMENT ON COLUMN "rubric_criteria"."weight" IS 'Weight of the criterion';
COMMENT ON COLUMN "rubric_criteria"."annotation_count" IS 'Length of `annotations`; null when absent';
COMMENT ON COLUMN "rubric_criteria"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "rubric_evaluations" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    "message_id",
    CAST("message_index" AS INTEGER) AS "message_index",
    CAST("rubric_evaluation_index" AS INTEGER) AS "rubric_evaluation_index",
    CAST("total_score" AS DOUBLE) AS "total_score",
    CAST("percentage" AS DOUBLE) AS "percentage",
    CAST("criterion_evaluation_count" AS INTEGER) AS "criterion_evaluation_count",
    CAST("annotation_count" AS INTEGER) AS "annotation_count",
    "extra"
FROM read_csv('rubric_evaluations.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'message_id': 'VARCHAR', 'message_index': 'VARCHAR', 'rubric_evaluation_index': 'VARCHAR', 'total_score': 'VARCHAR', 'percentage': 'VARCHAR', 'criterion_evaluation_count': 'VARCHAR', 'annotation_count': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "rubric_evaluations" IS 'One row for each evaluation of a message by a rubric';
COMMENT ON COLUMN "rubric_evaluations"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "rubric_evaluations"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "rubric_evaluations"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "rubric_evaluations"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "rubric_evaluations"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "rubric_evaluations"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "rubric_evaluations"."message_id" IS 'ID of the message, as in `messages.message_id`';
COMMENT ON COLUMN "rubric_evaluations"."message_index" IS 'Index of the message in its turn, from 0';
COMMENT ON COLUMN "rubric_evaluations"."rubric_evaluation_index" IS 'Index in `rubric_evaluations`, from 0';
COMMENT ON COLUMN "rubric_evaluations"."total_score" IS 'The score';
COMMENT ON COLUMN "rubric_evaluations"."percentage" IS 'The score as a percentage';
COMMENT ON COLUMN "rubric_evaluations"."criterion_evaluation_count" IS 'Length of `criteria_evaluations`; null when absent';
COMMENT ON COLUMN "rubric_evaluations"."annotation_count" IS 'Length of `annotations`; null when absent';
COMMENT ON COLUMN "rubric_evaluations"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "criterion_evaluations" AS SELECT
    "task_id",
    "path",
    "thread_id",
    CAST("thread_index" AS INTEGER) AS "thread_index",
    "turn_id",
    CAST("turn_index" AS INTEGER) AS "turn_index",
    "message_id",
    CAST("message_index" AS INTEGER) AS "message_index",
    CAST("rubric_evaluation_index" AS INTEGER) AS "rubric_evaluation_index",
    CAST("criterion_evaluation_index" AS INTEGER) AS "criterion_evaluation_index",
    "criterion_definition_id",
    CAST("score" AS DOUBLE) AS "score",
    CAST("annotation_count" AS INTEGER) AS "annotation_count",
    "extra"
FROM read_csv('criterion_evaluations.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'thread_id': 'VARCHAR', 'thread_index': 'VARCHAR', 'turn_id': 'VARCHAR', 'turn_index': 'VARCHAR', 'message_id': 'VARCHAR', 'message_index': 'VARCHAR', 'rubric_evaluation_index': 'VARCHAR', 'criterion_evaluation_index': 'VARCHAR', 'criterion_definition_id': 'VARCHAR', 'score': 'VARCHAR', 'annotation_count': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "criterion_evaluations" IS 'One row for each criterion of a rubric evaluation, from `criteria_evaluations`';
COMMENT ON COLUMN "criterion_evaluations"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "criterion_evaluations"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "criterion_evaluations"."thread_id" IS 'The `id` of the thread';
COMMENT ON COLUMN "criterion_evaluations"."thread_index" IS 'Index of the thread in the task, from 0';
COMMENT ON COLUMN "criterion_evaluations"."turn_id" IS 'The `id` of the turn';
COMMENT ON COLUMN "criterion_evaluations"."turn_index" IS 'Index of the turn in its thread, from 0';
COMMENT ON COLUMN "criterion_evaluations"."message_id" IS 'ID of the message, as in `messages.message_id`';
COMMENT ON COLUMN "criterion_evaluations"."message_index" IS 'Index of the message in its turn, from 0';
COMMENT ON COLUMN "criterion_evaluations"."rubric_evaluation_index" IS 'Index of the evaluation in `rubric_evaluations`, from 0';
COMMENT ON COLUMN "criterion_evaluations"."criterion_evaluation_index" IS 'Index in `criteria_evaluations`, from 0';
COMMENT ON COLUMN "criterion_evaluations"."criterion_definition_id" IS 'ID of the criterion, as in `rubric_criteria.criterion_id`';
COMMENT ON COLUMN "criterion_evaluations"."score" IS 'The score';
COMMENT ON COLUMN "criterion_evaluations"."annotation_count" IS 'Length of `annotations`; null when absent';
COMMENT ON COLUMN "criterion_evaluations"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "errors" AS SELECT
    "task_id",
    "path",
    CAST("error_index" AS INTEGER) AS "error_index",
    "type",
    "message",
    "extra"
FROM read_csv('errors.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'error_index': 'VARCHAR', 'type': 'VARCHAR', 'message': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "errors" IS 'One row for each error of a task';
COMMENT ON COLUMN "errors"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "errors"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "errors"."error_index" IS 'Index in `errors`, from 0';
COMMENT ON COLUMN "errors"."type" IS 'Type of the error';
COMMENT ON COLUMN "errors"."message" IS 'Error message';
COMMENT ON COLUMN "errors"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "sensitive_content_reports" AS SELECT
    "task_id",
    "path",
    CAST("report_index" AS INTEGER) AS "report_index",
    "type",
    "message",
    "extra"
FROM read_csv('sensitive_content_reports.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'task_id': 'VARCHAR', 'path': 'VARCHAR', 'report_index': 'VARCHAR', 'type': 'VARCHAR', 'message': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "sensitive_content_reports" IS 'One row for each report of sensitive content in a task';
COMMENT ON COLUMN "sensitive_content_reports"."task_id" IS 'ID of the task that the row belongs to';
COMMENT ON COLUMN "sensitive_content_reports"."path" IS 'JSON Pointer (RFC 6901) of the row''s object in the task; with `task_id`, the primary key';
COMMENT ON COLUMN "sensitive_content_reports"."report_index" IS 'Index in `sensitive_content_reports`, from 0';
COMMENT ON COLUMN "sensitive_content_reports"."type" IS 'Type of the content';
COMMENT ON COLUMN "sensitive_content_reports"."message" IS 'What was found';
COMMENT ON COLUMN "sensitive_content_reports"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "projects" AS SELECT
    "project_id",
    "name",
    CAST("created_at" AS TIMESTAMP WITH TIME ZONE) AS "created_at",
    from_json("types", '["VARCHAR"]') AS "types",
    from_json("models", '["VARCHAR"]') AS "models",
    "extra"
FROM read_csv('projects.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'project_id': 'VARCHAR', 'name': 'VARCHAR', 'created_at': 'VARCHAR', 'types': 'VARCHAR', 'models': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "projects" IS 'One row for each distinct version of an expanded project, in order of first appearance';
COMMENT ON COLUMN "projects"."project_id" IS 'The project''s ID';
COMMENT ON COLUMN "projects"."name" IS 'Its name';
COMMENT ON COLUMN "projects"."created_at" IS 'When it was created';
COMMENT ON COLUMN "projects"."types" IS 'Kinds of work in the project';
COMMENT ON COLUMN "projects"."models" IS 'Models of the project';
COMMENT ON COLUMN "projects"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "batches" AS SELECT
    "batch_id",
    "name",
    "project_id",
    "status",
    CAST("created_at" AS TIMESTAMP WITH TIME ZONE) AS "created_at",
    CAST("completed_at" AS TIMESTAMP WITH TIME ZONE) AS "completed_at",
    "callback",
    "metadata",
    "extra"
FROM read_csv('batches.csv', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\n', nullstr = '', allow_quoted_nulls = false, max_line_size = 2097152, columns = {'batch_id': 'VARCHAR', 'name': 'VARCHAR', 'project_id': 'VARCHAR', 'status': 'VARCHAR', 'created_at': 'VARCHAR', 'completed_at': 'VARCHAR', 'callback': 'VARCHAR', 'metadata': 'VARCHAR', 'extra': 'VARCHAR'});
COMMENT ON VIEW "batches" IS 'One row for each distinct version of an expanded batch, in order of first appearance';
COMMENT ON COLUMN "batches"."batch_id" IS 'The batch''s ID';
COMMENT ON COLUMN "batches"."name" IS 'Its name';
COMMENT ON COLUMN "batches"."project_id" IS 'The project''s ID, from `project` or `project.id`';
COMMENT ON COLUMN "batches"."status" IS '`staging`, `in_progress`, `completed`, `paused`, `cancelled`, or a value that is not documented';
COMMENT ON COLUMN "batches"."created_at" IS 'When the batch was created';
COMMENT ON COLUMN "batches"."completed_at" IS 'When the batch was completed';
COMMENT ON COLUMN "batches"."callback" IS 'URL to which the API reports completed tasks';
COMMENT ON COLUMN "batches"."metadata" IS 'Custom data of the customer (JSON text)';
COMMENT ON COLUMN "batches"."extra" IS 'Keys without a column and values that do not have their column''s type, as a JSON object; null if there are none (JSON text)';

CREATE OR REPLACE VIEW "annotated_messages" AS SELECT
    a.task_id,
    m.model,
    m.role,
    m.text,
    a.level,
    a.key,
    a.type,
    coalesce(
        a.value_text,
        CAST(a.value_bool AS VARCHAR),
        CAST(a.value_int AS VARCHAR),
        a.value_json,
        CAST(a.value_number AS VARCHAR),
        CAST(to_json(a.value_list) AS VARCHAR)
    ) AS "value",
    a.value_label,
    a.message_id,
    a.path
FROM annotations a LEFT JOIN messages m ON m.task_id = a.task_id AND m.message_id = a.message_id
WHERE a.message_id IS NOT NULL;
COMMENT ON VIEW "annotated_messages" IS 'One row for each annotation with a message_id: on a message, its chunks, or its evaluations';
COMMENT ON COLUMN "annotated_messages"."value" IS 'The value of the annotation as text, for every type; lists and objects are JSON text';

-- Annotation values by model:
--     SELECT model, key, coalesce(value_label, value) AS answer, count(*) AS answers
--     FROM annotated_messages
--     GROUP BY ALL ORDER BY answers DESC, model, key, answer;

-- Each conversation as one text:
--     SELECT task_id, thread_index, string_agg(role || ': ' || text, chr(10) ORDER BY turn_index, message_index) AS conversation
--     FROM messages
--     GROUP BY ALL;

-- Mean scores by model and criterion:
--     SELECT m.model, c.criterion, avg(e.score) AS mean_score
--     FROM criterion_evaluations e
--     JOIN messages m USING (task_id, message_id)
--     JOIN rubric_criteria c ON c.criterion_id = e.criterion_definition_id
--         AND (c.task_id, c.thread_index, c.turn_index) = (e.task_id, e.thread_index, e.turn_index)
--     GROUP BY ALL;
