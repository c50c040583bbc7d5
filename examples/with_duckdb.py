"""Questions to an export, in SQL. Argument: the export's directory."""
import sys

import duckdb

out = sys.argv[1]
sql = duckdb.connect()
for table in ("messages", "annotations"):
    sql.execute(f"CREATE VIEW {table} AS FROM read_parquet('{out}/{table}.parquet')")

print("Annotated messages by model:")
print(sql.sql("""
    SELECT m.model, count(*) AS annotations, round(avg(a.value_number), 2) AS mean_score
    FROM messages m JOIN annotations a USING (task_id, message_id)
    WHERE a.level = 'message' AND m.model IS NOT NULL
    GROUP BY ALL ORDER BY m.model
"""))

print("Labels that were given:")
print(sql.sql("""
    SELECT key, value_label, count(*) AS times
    FROM annotations WHERE value_label IS NOT NULL
    GROUP BY ALL ORDER BY ALL
"""))

print("A conversation as one text:")
print(sql.execute("""
    SELECT string_agg(role || ': ' || text, chr(10) ORDER BY turn_index, message_index)
    FROM messages
    WHERE (task_id, thread_index) = (SELECT (task_id, thread_index) FROM messages WHERE role = 'assistant' AND text IS NOT NULL ORDER BY task_id LIMIT 1)
""").fetchone()[0])
