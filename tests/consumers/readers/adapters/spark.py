"""Spark, in this process."""
import os

# Spark gives Python local times.
os.environ["TZ"] = "UTC"

from pyspark.sql import SparkSession, functions  # noqa: E402

from cells import Microseconds, parsed  # noqa: E402


def names():
    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
             .config("spark.sql.shuffle.partitions", "1").config("spark.driver.bindAddress", "127.0.0.1")
             .config("spark.driver.host", "127.0.0.1").config("spark.sql.session.timeZone", "UTC").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    return {"spark": spark}


def columns(frame, kinds, call):
    # Python's local times end where the machine's zone rules do; microseconds do not.
    wanted = [functions.expr(f"unix_micros({name})").alias(name) if kinds[name] == "ts" and call["format"] == "parquet"
              else functions.col(name) for name in frame.columns]
    rows = frame.select(wanted).collect()
    for place, name in enumerate(frame.columns):
        values = [row[place] for row in rows]
        if call["format"] == "csv":
            values = [parsed(kinds[name], value) for value in values]
        elif kinds[name] == "ts":
            values = [None if value is None else Microseconds(value) for value in values]
        yield name, values
