"""Exports a long list in shards with Spark, combines them, and verifies the result.

    spark-submit --master spark://host:7077 spark_shards.py

Each shard is one Spark task. Spark runs a task again, on any executor, if its program or its machine ended early, and the new
program continues with the directory of the shard. The job ends with the exit code of `combine`: 3 if IDs failed.

DATA is on a volume that the driver and all workers mount at the same path. Keep it from run to run.
"""

import subprocess
import sys
import time

from pyspark import TaskContext
from pyspark.sql import SparkSession

PROGRAM = "/usr/local/bin/scale-export"
DATA = "/srv/scale"
SHARDS = 4
# A list with more IDs moves some to other shards, so a shard can lose tasks. `combine` compares the whole export.
OPTIONS = ["--ids", f"{DATA}/ids.txt", "--api-key-file", f"{DATA}/key", "--threads", "2", "--max-shrink", "100%"]
TRIES = 6
# The API can be unavailable for half an hour: each try waits five minutes for it, too. After the loss of an executor, its
# program ends meanwhile. It ends within 2 seconds.
RETRY_SECONDS = 60

OUT = f"{DATA}/export"
SHARD_DIRECTORIES = [f"{DATA}/shards/{index}" for index in range(SHARDS)]
PUBLISHED = (0, 3)  # 3: some IDs failed
# The API was unavailable, this worker cannot write to the volume, or the run was stopped. The same command resumes.
RETRIED = (5, 6, 129, 130, 143)


def run(*arguments):
    """Runs the program, with its log in that of this process. Returns its exit code; -9 after SIGKILL."""
    # Spark kills Python processes, and their programs stay. They would hold the locks of the shards.
    command = ["setpriv", "--pdeathsig", "TERM", PROGRAM, *arguments, "--progress", "never"]
    return subprocess.run(command, check=False).returncode


def export_shard(index, _):
    """Exports a shard. Yields its number, its exit code, and how often it was retried."""
    attempt = TaskContext.get().attemptNumber()
    if attempt:
        time.sleep(RETRY_SECONDS)
    code = run(*OPTIONS, "--shard", f"{index}/{SHARDS}", "--out", SHARD_DIRECTORIES[index])
    if code in RETRIED or code < 0:
        raise RuntimeError(f"shard {index} ended with exit code {code}")  # Spark retries the task
    yield index, code, attempt


def main():
    # A second attempt at the same time would find the directory locked.
    settings = {"spark.task.maxFailures": TRIES, "spark.speculation": "false"}
    spark = SparkSession.builder.appName("scale-export").config(map=settings).getOrCreate()
    tasks = spark.sparkContext.parallelize(range(SHARDS), SHARDS)
    ended = tasks.mapPartitionsWithIndex(export_shard).collect()
    for index, code, attempt in ended:
        print(f"shard {index}: exit code {code} after {attempt} retries")
    if any(code not in PUBLISHED for _, code, _ in ended):
        sys.exit("not combined: read the logs of the other shards on their executors")

    combined = run("combine", *SHARD_DIRECTORIES, "--out", OUT)
    if combined not in PUBLISHED:
        sys.exit(combined)
    verified = run("verify", OUT, *SHARD_DIRECTORIES)
    sys.exit(verified or combined)


if __name__ == "__main__":
    main()
