-- What annotators think of each model: their answers to one question about its messages. Put the key of
-- your question in the place of the sandbox's.
SELECT m.model, count(a.value_number) AS scores, round(avg(a.value_number), 2) AS mean_score
FROM messages m JOIN annotations a USING (task_id, message_id)
WHERE a.level = 'message' AND a.key = 'integer_check' AND m.model IS NOT NULL
GROUP BY ALL ORDER BY m.model;
