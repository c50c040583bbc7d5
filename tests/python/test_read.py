"""Tables of an export in pyarrow, pandas, polars and DuckDB."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

import pandas as pd
import scale_export
from support import sandbox_export


class Tables(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        base = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.x, cls.csv = (
            sandbox_export(Path(base, name), format=name, expand=["project", "batch"]).read() for name in ("parquet", "csv")
        )

    @classmethod
    def enterClassContext(cls, manager):
        # Python 3.9 and 3.10 do not have it.
        value = manager.__enter__()
        cls.addClassCleanup(manager.__exit__, None, None, None)
        return value

    def test_both_formats_give_the_same_tables(self):
        for table in self.x.tables:
            arrow, csv = self.x.arrow(table), self.csv.arrow(table)
            self.assertEqual(arrow.schema.names, csv.schema.names)
            self.assertEqual(csv.cast(arrow.schema).to_pylist(), arrow.to_pylist(), table)
            self.assertTrue(self.x.polars(table).equals(self.csv.polars(table)), table)
            pd.testing.assert_frame_equal(self.x.pandas(table), self.csv.pandas(table))
            self.assertEqual(self.x.tables[table], arrow.num_rows)

    def test_frames_have_the_types_of_their_columns(self):
        messages = self.x.pandas("messages")
        types = {name: str(kind) for name, kind in messages.dtypes.items()}
        self.assertEqual(types["top_k"], "Int64")
        self.assertEqual(types["message_index"], "Int32")
        self.assertEqual(types["temperature"], "float64")
        self.assertEqual(types["text"], "string")
        self.assertTrue(messages["top_k"].isna().any())
        tasks = self.x.pandas("tasks")
        self.assertEqual(str(tasks["created_at"].dtype), "datetime64[us, UTC]")
        annotations = self.x.pandas("annotations")
        self.assertEqual(str(annotations["value_bool"].dtype), "boolean")
        labels = annotations["labels"].dropna()
        self.assertTrue(all(isinstance(value, list) for value in labels))

    def test_json_columns_are_text_or_decoded(self):
        text = self.x.pandas("tasks", columns=["task_id", "metadata", "project"])
        self.assertEqual(list(text.columns), ["task_id", "metadata", "project"])
        decoded = self.x.pandas("tasks", json=True)
        for column in ("metadata", "project"):
            for before, after in zip(text[column], decoded[column]):
                self.assertEqual(None if before is pd.NA else json.loads(before), after)
        self.assertIsInstance(decoded["project"][0], dict)

    def test_duckdb_has_a_view_for_each_table(self):
        for x in (self.x, self.csv):
            database = x.duckdb()
            for table, rows in x.tables.items():
                found = database.sql(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608
                self.assertEqual(found, [(rows,)], table)
        # The connection stays open as long as a result of it.
        self.assertEqual(self.x.duckdb().sql("SELECT count(*) FROM tasks").fetchall(), [(200,)])

    def test_columns_that_a_table_does_not_have_are_errors(self):
        for read in (self.x.arrow, self.x.pandas, self.csv.pandas, self.csv.polars):
            with self.assertRaises(scale_export.ScaleExportError) as caught:
                read("tasks", columns=["status", "statsu"])
            self.assertIn("could not find column `statsu`", caught.exception.message)
            self.assertIn("the columns are task_id, ", caught.exception.hint)
            with self.assertRaises(TypeError):
                read("tasks", columns="status")

    def test_columns_are_selected(self):
        for x in (self.x, self.csv):
            self.assertEqual(x.arrow("tasks", columns=["status"]).schema.names, ["status"])
            self.assertEqual(x.polars("tasks", columns=["status"]).columns, ["status"])
