-- How annotators rate each model: their values for one question about its messages. Replace the sandbox's key
-- 'integer_check' with a key of your project.
SELECT m.model, count(a.value_number) AS scores, round(avg(a.value_number), 2) AS mean_score
FROM messages m JOIN annotations a USING (task_id, message_id)
WHERE a.level = 'message' AND a.key = 'integer_check' AND m.model IS NOT NULL
GROUP BY ALL ORDER BY m.model;
