"""An S3-compatible server in a process of its own, for tests of what a team shares."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ACCESS_KEY, SECRET_KEY = "AKIAOFTHETESTS", "s3cret-of-the-bucket"


@dataclass
class Server:
    """moto's server on loopback, which can be away for a while; what it holds is in memory."""

    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """Who we are, and where the server is, as botocore reads it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self) -> None:
        program = Path(sys.executable).with_name("moto_server")
        self.process = subprocess.Popen(
            [program, "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise TimeoutError("moto_server does not listen")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Bucket:
    """A bucket of one test."""

    name: str
    client: Any

    @property
    def url(self) -> str:
        return f"s3://{self.name}/team"

    def all_keys(self) -> list[str]:
        """Return the keys below the address."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        found = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return [key.removeprefix("team/") for key in found]

    def read(self, key: str) -> bytes:
        answer: bytes = self.client.get_object(Bucket=self.name, Key=f"team/{key}")["Body"].read()
        return answer

    def modified(self, key: str) -> Any:
        """Return when an object was written."""
        return self.client.head_object(Bucket=self.name, Key=f"team/{key}")["LastModified"]

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"team/{key}", Body=content)


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """Yield a server that runs until the context ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server(probe.getsockname()[1])
    server.start()
    try:
        yield server
    finally:
        server.stop()


def use_bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return a new bucket, which is the team's from now on."""
    import boto3

    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    client = boto3.client("s3")
    bucket = Bucket(f"bucket-{uuid.uuid4().hex[:12]}", client)
    client.create_bucket(Bucket=bucket.name)
    monkeypatch.setenv("AGIWB_ARTIFACTS", bucket.url)
    return bucket
