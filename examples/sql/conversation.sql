-- The first conversation with a message of a model, as text.
SELECT string_agg(role || ': ' || text, chr(10) ORDER BY turn_index, message_index) AS conversation
FROM messages
WHERE (task_id, thread_index) = (
    SELECT (task_id, thread_index) FROM messages
    WHERE role = 'assistant' AND text IS NOT NULL
    ORDER BY task_id, thread_index LIMIT 1
);
