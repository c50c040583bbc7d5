-- How often each label was chosen, by question.
SELECT key, value_label, count(*) AS times
FROM annotations WHERE value_label IS NOT NULL
GROUP BY ALL ORDER BY ALL;
