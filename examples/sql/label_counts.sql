-- How often each label was given, by the question that was asked.
SELECT key, value_label, count(*) AS times
FROM annotations WHERE value_label IS NOT NULL
GROUP BY ALL ORDER BY ALL;
