"""A cluster of two workers on loopback, with Spark and with Ray."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

import processes

PYTHON = Path(sys.executable)
SCRIPTS = PYTHON.parent
# Two tasks of a job fit on each worker.
CORES = 2
START_SECONDS = 120


class Cluster(ABC):
    """The processes of a cluster. They end with a `with`."""

    name: str

    def __init__(self, directory: Path, variables: dict[str, str]) -> None:
        self.directory = directory
        self.log = directory / f"{self.name}.log"
        self.environment = {**os.environ, **variables}
        self.started: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def start_workers(self) -> None:
        """Starts the cluster. Its last process is the second worker."""

    @abstractmethod
    def command(self, job: Path) -> list[str]:
        """The command that runs a job."""

    def start(self, *command: object) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(list(map(str, command)), env=self.environment, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def wait_for(self, text: str, count: int) -> None:
        """Waits until the log has a text so often."""
        limit = time.monotonic() + START_SECONDS
        while self.log.read_text(errors="replace").count(text) < count:
            if time.monotonic() > limit or any(process.poll() is not None for process in self.started):
                sys.exit(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)

    def second_worker(self) -> list[int]:
        worker = self.started[-1].pid
        return [worker, *processes.descendants(worker)]

    def __enter__(self) -> Cluster:
        with contextlib.ExitStack() as stack:
            stack.callback(self.__exit__)
            self.start_workers()
            stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        ours = [process.pid for process in self.started]
        below = [descendant for process in ours for descendant in processes.descendants(process)]
        processes.end_all([*ours, *below])
        for process in self.started:
            process.wait()


class Spark(Cluster):
    name = "spark"
    address = "spark://127.0.0.1:7077"

    def start_workers(self) -> None:
        self.environment |= {
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "PYSPARK_PYTHON": str(PYTHON),
        }
        deploy = "org.apache.spark.deploy"
        self.start(SCRIPTS / "spark-class", f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", 7077)
        self.wait_for("I have been elected leader", 1)
        for number in range(2):
            options = ["--host", "127.0.0.1", "--cores", CORES, "--memory", "1g", "--work-dir", self.directory / f"w{number}"]
            self.start(SCRIPTS / "spark-class", f"{deploy}.worker.Worker", *options, self.address)
        self.wait_for("Successfully registered with master", 2)

    def command(self, job: Path) -> list[str]:
        settings = {
            "spark.driver.host": "127.0.0.1",
            "spark.executor.memory": "512m",
            "spark.driver.memory": "512m",
            "spark.executor.cores": CORES,
            # Otherwise the first executor gets all tasks that fit.
            "spark.scheduler.minRegisteredResourcesRatio": 1,
            "spark.ui.enabled": "false",
        }
        options = [f"--conf={name}={value}" for name, value in settings.items()]
        return [str(SCRIPTS / "spark-submit"), "--master", self.address, *options, str(job)]


class Ray(Cluster):
    name = "ray"
    address = "127.0.0.1:6379"

    def start_workers(self) -> None:
        # Without a token, as only this network namespace reaches the ports.
        self.environment |= {"RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": self.address, "RAY_USAGE_STATS_ENABLED": "0"}
        options = ["--block", "--num-cpus", CORES, "--object-store-memory", 80 * 1024 * 1024]
        head = ["--head", "--node-ip-address", "127.0.0.1", "--port", 6379, "--include-dashboard", "false"]
        # Below the root of temporary files, as the path of a socket has at most 107 bytes.
        self.start(SCRIPTS / "ray", "start", *head, *options, "--temp-dir", self.directory / "r")
        self.wait_for("Ray runtime started", 1)
        self.start(SCRIPTS / "ray", "start", "--address", self.address, "--node-ip-address", "127.0.0.1", *options)
        self.wait_for("Ray runtime started", 2)

    def command(self, job: Path) -> list[str]:
        return [str(PYTHON), str(job)]
