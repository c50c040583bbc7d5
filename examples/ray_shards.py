"""Exports a long list in shards with Ray, combines them, and verifies the result.

    python ray_shards.py    # on a node of the cluster, or with `ray job submit`

Each shard is one Ray task. Ray runs a task again, on any node, if its program or its node ended early, and the new program
continues with the directory of the shard. The job ends with the exit code of `combine`: 3 if IDs failed.

DATA is on a volume that all nodes mount at the same path. Keep it from run to run.
"""

import subprocess
import sys
import time

import ray

PROGRAM = "/usr/local/bin/scale-export"
DATA = "/srv/scale"
SHARDS = 4
# A list with more IDs moves some to other shards, so a shard can lose tasks. `combine` compares the whole export.
OPTIONS = ["--ids", f"{DATA}/ids.txt", "--api-key-file", f"{DATA}/key", "--threads", "2", "--max-shrink", "100%"]
TRIES = 6
# The API can be unavailable for half an hour: each try waits five minutes for it, too.
RETRY_SECONDS = 60
# After the loss of a node's Ray processes, the programs on it end within 2 seconds.
GRACE_SECONDS = 5

OUT = f"{DATA}/export"
SHARD_DIRECTORIES = [f"{DATA}/shards/{index}" for index in range(SHARDS)]
PUBLISHED = (0, 3)  # 3: some IDs failed
# The API was unavailable, this node cannot write to the volume, or the run was stopped. The same command resumes.
RETRIED = (5, 6, 129, 130, 143)


def run(*arguments):
    """Runs the program, with its log in that of this process. Returns its exit code; -9 after SIGKILL."""
    # Ray kills Python processes, and their programs stay. They would hold the locks of the shards.
    command = ["setpriv", "--pdeathsig", "TERM", PROGRAM, *arguments, "--progress", "never"]
    return subprocess.run(command, check=False).returncode


def export_shard(index):
    """Exports a shard. Returns its exit code."""
    time.sleep(GRACE_SECONDS)
    code = run(*OPTIONS, "--shard", f"{index}/{SHARDS}", "--out", SHARD_DIRECTORIES[index])
    if code in RETRIED or code < 0:
        time.sleep(RETRY_SECONDS)
        raise RuntimeError(f"shard {index} ended with exit code {code}")  # Ray retries the task
    return code


def main():
    ray.init(address="auto")
    options = {"max_retries": TRIES - 1, "retry_exceptions": True, "scheduling_strategy": "SPREAD"}
    task = ray.remote(num_cpus=1, **options)(export_shard)
    codes = ray.get([task.remote(index) for index in range(SHARDS)])
    for index, code in enumerate(codes):
        print(f"shard {index}: exit code {code}")
    if any(code not in PUBLISHED for code in codes):
        sys.exit("not combined: read the logs of the other shards")

    combined = run("combine", *SHARD_DIRECTORIES, "--out", OUT)
    if combined not in PUBLISHED:
        sys.exit(combined)
    verified = run("verify", OUT, *SHARD_DIRECTORIES)
    sys.exit(verified or combined)


if __name__ == "__main__":
    main()
