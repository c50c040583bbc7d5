"""Example queries over an export with pandas. Argument: the directory of the export."""
import pathlib
import sys

import pandas as pd

out = pathlib.Path(sys.argv[1])
# Arrow types keep 64-bit integers exact in columns with missing values.
messages, annotations = (
    pd.read_parquet(out / f"{table}.parquet", dtype_backend="pyarrow")
    for table in ("messages", "annotations")
)

print("Scores by model:")
# The key of the question: replace it with a key of your project.
on_messages = annotations[(annotations.level == "message") & (annotations.key == "integer_check")]
joined = messages.merge(on_messages, on=["task_id", "message_id"], suffixes=("", "_annotation"))
print(joined.groupby("model").value_number.agg(["count", "mean"]).to_string())

print("Count of each label:")
labels = annotations.dropna(subset=["value_label"])
print(labels.groupby(["key", "value_label"]).size().to_string())

print("The first conversation as text:")
with_text = messages.dropna(subset=["role", "text"])
first = with_text[with_text.role == "assistant"].iloc[0]
thread = with_text[(with_text.task_id == first.task_id) & (with_text.thread_index == first.thread_index)]
print("\n".join(thread.role + ": " + thread.text))
