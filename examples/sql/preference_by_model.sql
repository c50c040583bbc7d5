-- What annotators think of each model: their scores of its messages.
SELECT m.model, count(*) AS annotations, round(avg(a.value_number), 2) AS mean_score
FROM messages m JOIN annotations a USING (task_id, message_id)
WHERE a.level = 'message' AND m.model IS NOT NULL
GROUP BY ALL ORDER BY m.model;
