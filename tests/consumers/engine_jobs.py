"""Runs the jobs for Spark and Ray without these, one shard after the other. `make distributed` runs them with both.

Arguments: the file of the job, the program, and exit codes. Runs the job with the program, then one shard with a mock program
for each code, and prints what the job does: `5 retried` or `2 returned`.
"""
import pathlib
import runpy
import sys
import time
import types
from unittest import mock

path, program = map(pathlib.Path, sys.argv[1:3])


class MockRdd(list):
    def mapPartitionsWithIndex(self, function):
        return MockRdd(value for index in range(len(self)) for value in function(index, iter([index])))

    def collect(self):
        return list(self)


def mock_spark():
    """The names of Spark that the job uses."""
    spark = mock.MagicMock()
    spark.TaskContext.get().attemptNumber.return_value = 0
    session = spark.sql.SparkSession.builder.appName().config().getOrCreate()
    session.sparkContext.parallelize.side_effect = lambda values, count: MockRdd(values)
    return {"pyspark": spark, "pyspark.sql": spark.sql}


def mock_ray():
    """The names of Ray that the job uses."""
    ray = mock.MagicMock()
    ray.remote = lambda **options: lambda function: types.SimpleNamespace(remote=function)
    ray.get = list
    return {"ray": ray}


def ending(names, *arguments):
    """What a shard with these names does: it returns its code, or raises for the engine to retry."""
    try:
        code = names["export_shard"](*arguments)
        if isinstance(code, types.GeneratorType):
            _, code, _ = next(code)
    except RuntimeError:
        return "retried"
    return f"returned {code}"


sys.modules.update(mock_spark() | mock_ray())
time.sleep = lambda seconds: None
names = runpy.run_path(str(path))
ids = path.with_name("ids.txt")
count = len(ids.read_text().splitlines())
# More IDs move tasks from most shards to others.
for more in [], range(count + 1, 2 * count + 1):
    ids.write_text(ids.read_text() + "".join(f"task_{number}\n" for number in more))
    try:
        names["main"]()
    except SystemExit as end:
        assert end.code == 0, end.code

stub = path.with_name("stub")
names["export_shard"].__globals__["PROGRAM"] = str(stub)
arguments = (0, None) if "spark" in path.name else (0,)
for code in map(int, sys.argv[3:]):
    stub.write_text(f"#!/bin/sh\nkill -{-code} $$\n" if code < 0 else f"#!/bin/sh\nexit {code}\n")
    stub.chmod(0o755)
    print(f"= {code}", ending(names, *arguments))
