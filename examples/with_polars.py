"""Example queries over an export with polars. Argument: the directory of the export."""
import pathlib
import sys

import polars as pl

out = pathlib.Path(sys.argv[1])
pl.Config.set_tbl_rows(50)
messages, annotations = (pl.scan_parquet(out / f"{table}.parquet") for table in ("messages", "annotations"))

print("Scores by model:")
# The key of the question: replace it with a key of your project.
on_messages = annotations.filter(pl.col("level") == "message", pl.col("key") == "integer_check")
joined = messages.join(on_messages, on=["task_id", "message_id"]).filter(pl.col("model").is_not_null())
print(joined.group_by("model").agg(pl.col("value_number").count().alias("count"), pl.col("value_number").mean().alias("mean")).sort("model").collect())

print("Count of each label:")
labels = annotations.filter(pl.col("value_label").is_not_null())
print(labels.group_by("key", "value_label").len().sort("key", "value_label").collect())

print("The first conversation as text:")
with_text = messages.drop_nulls(["role", "text"]).collect()
first = with_text.filter(pl.col("role") == "assistant").row(0, named=True)
thread = with_text.filter((pl.col("task_id") == first["task_id"]) & (pl.col("thread_index") == first["thread_index"]))
print("\n".join(f"{role}: {text}" for role, text in thread.select("role", "text").iter_rows()))
