"""Exports into real stores: moto and SeaweedFS (S3), Azurite (Azure), and a small fake of Google Cloud Storage.

Each store gets the same steps: publish, verify, publish again, two publishers at once, kills while a reader loops.
Usage: run.py PROGRAM DIRECTORY_OF_AZURITE
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import fake_gcs

PROGRAM, AZURITE = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
BUCKET = "exports"
TASKS = 3_000
# Long enough for the slowest start, of SeaweedFS on a busy machine.
START_SECONDS = 120
KILLS = 12
AZURITE_ACCOUNT = "devstoreaccount1"


def free_port() -> int:
    """A free port. SeaweedFS adds 10,000 to each for another one, which must be free too."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


@contextmanager
def server(port: int, *command: str) -> Iterator[None]:
    """Runs a server until the end of the block, and ends it by its process ID."""
    log = tempfile.TemporaryFile()
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                break
            time.sleep(0.2)
        else:
            raise SystemExit(f"{command[0]} did not start")
        if process.poll() is not None:
            log.seek(0)
            raise SystemExit(f"{command[0]} ended: {log.read().decode()[-2000:]}")
        yield
    finally:
        process.terminate()
        process.wait()
        log.close()


def bin_of(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def s3_variables(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_REGION": "us-east-1",
    }


def make_bucket(variables: dict[str, str]) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    )
    for _ in range(START_SECONDS):
        try:
            client.create_bucket(Bucket=BUCKET)
            return
        except Exception as error:  # noqa: BLE001
            last = error
            time.sleep(1)
    raise SystemExit(f"could not create a bucket: {last}")


@contextmanager
def moto() -> Iterator[tuple[str, dict[str, str]]]:
    port = free_port()
    with server(port, bin_of("moto_server"), "-H", "127.0.0.1", "-p", str(port)):
        make_bucket(s3_variables(port))
        yield f"s3://{BUCKET}", s3_variables(port)


@contextmanager
def seaweedfs() -> Iterator[tuple[str, dict[str, str]]]:
    ports = [free_port() for _ in range(4)]
    with tempfile.TemporaryDirectory() as directory:
        options = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={directory}", "-s3", "-master.telemetry=false"]
        names = ["-master.port", "-volume.port", "-filer.port", "-s3.port"]
        options += [f"{name}={port}" for name, port in zip(names, ports)]
        with server(ports[-1], bin_of("weed"), "server", *options):
            make_bucket(s3_variables(ports[-1]))
            yield f"s3://{BUCKET}", s3_variables(ports[-1])


@contextmanager
def azurite() -> Iterator[tuple[str, dict[str, str]]]:
    port = free_port()
    # The key that Azurite documents for its only account.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    endpoint = f"http://127.0.0.1:{port}/{AZURITE_ACCOUNT}"
    with tempfile.TemporaryDirectory() as directory:
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", directory]
        command = ["node", str(AZURITE), *options, "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        with server(port, *command):
            from azure.storage.blob import BlobServiceClient

            client = BlobServiceClient(endpoint, credential=key)
            client.create_container(BUCKET)
            yield (
                f"az://{BUCKET}",
                {
                    "AZURE_STORAGE_ACCOUNT": AZURITE_ACCOUNT,
                    "AZURE_STORAGE_KEY": key,
                    "AZURE_STORAGE_ENDPOINT": endpoint,
                },
            )


@contextmanager
def gcs() -> Iterator[tuple[str, dict[str, str]]]:
    port = fake_gcs.start().server_address[1]
    yield (
        f"gs://{BUCKET}",
        {"GOOGLE_BASE_URL": f"http://127.0.0.1:{port}", "GOOGLE_BEARER_TOKEN": "very-secret"},
    )


class Bucket:
    """A store, and the program with its credentials."""

    def __init__(self, url: str, variables: dict[str, str], directory: Path) -> None:
        self.url = f"{url}/nightly/a"
        self.directory = directory
        home = {"HOME": str(directory), "PATH": os.environ["PATH"]}
        self.environment = {**home, "SCALE_EXPORT_PLAN": "ids", **variables}

    def command(self, state: str, tasks: int, *options: str) -> list[str]:
        ids = self.directory / f"ids-{tasks}"
        ids.write_text("\n".join(f"task_{number}" for number in range(1, tasks + 1)))
        arguments = ["--ids", str(ids), "--out", self.url, "--state", str(self.directory / state)]
        return [str(PROGRAM), *arguments, "--sandbox", "--max-shrink", "100%", "-q", *options]

    def run(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == code, (command, done.returncode, done.stderr)
        assert "very-secret" not in done.stderr, done.stderr
        return done.stdout

    def export(self, state: str, tasks: int, *options: str, code: int = 0) -> None:
        self.run(*self.command(state, tasks, *options), code=code)

    def verify(self) -> None:
        self.run(str(PROGRAM), "verify", self.url)

    def exported(self) -> int:
        status = json.loads(self.run(str(PROGRAM), "status", self.url, "--json"))
        return int(status["publication"]["exported"])


def steps(bucket: Bucket) -> None:
    bucket.export("a", TASKS)
    bucket.verify()
    # Nothing is fetched, and nothing is published.
    bucket.export("a", TASKS, "--refresh", "none")
    bucket.export("a", TASKS + 1, "--format", "csv")
    assert bucket.exported() == TASKS + 1
    bucket.export("a", 100, "--grace", "1ms")
    bucket.export("a", 101, "--grace", "1ms")
    bucket.verify()


def race(bucket: Bucket) -> None:
    """Of runs that start together, those that overlap end with 0 or 2, and one at least with 0."""
    for name in ["b", "c"]:
        bucket.export(name, 100)
    commands = [bucket.command(name, 110 + number) for number, name in enumerate("abc")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(it, env=bucket.environment, **quiet) for it in commands]
    codes = sorted(process.wait() for process in running)
    assert codes[0] == 0 and set(codes) <= {0, 2}, codes
    bucket.verify()
    print(f"  three publishers at once: exit codes {codes}")


def kills(bucket: Bucket) -> None:
    """Kills a run at growing times. A reader meanwhile never sees a mixture."""
    bucket.export("a", 100)
    reads, failures = [0], []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            try:
                bucket.verify()
                reads[0] += 1
            except AssertionError as error:
                failures.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    killed = 0
    try:
        started = time.monotonic()
        bucket.export("a", 120)
        whole = time.monotonic() - started
        for number in range(KILLS):
            tasks = 130 + number
            command = bucket.command("a", tasks)
            process = subprocess.Popen(command, env=bucket.environment, stderr=subprocess.DEVNULL)
            time.sleep(whole * (number + 1) / KILLS)
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
            bucket.export("a", tasks)
            assert bucket.exported() == tasks
    finally:
        is_over.set()
        reader.join()
    assert not failures, failures
    bucket.verify()
    print(f"  {killed} kills, {reads[0]} complete reads meanwhile")


STORES: dict[str, Callable[[], object]] = {
    "moto": moto,
    "SeaweedFS": seaweedfs,
    "Azurite": azurite,
    "a fake of Google Cloud Storage": gcs,
}


def main() -> None:
    chosen = os.environ.get("STORES", "").split(",")
    for name, start in STORES.items():
        if chosen != [""] and not any(it and it.lower() in name.lower() for it in chosen):
            print(f"{name}: skipped, STORES does not name it")
            continue
        with ExitStack() as stack:
            url, variables = stack.enter_context(start())
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            bucket = Bucket(url, variables, directory)
            print(f"{name}: {url}")
            for part in [steps, race, kills]:
                started = time.monotonic()
                part(bucket)
                print(f"  {part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"passed; the largest process had {peak} MiB")


if __name__ == "__main__":
    main()
