"""Two independent S3 servers, each a child process on a free loopback port.

moto implements AWS's semantics but checks no credentials; rclone checks signatures, and ignores `If-None-Match`.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trr_pipelines.storage.s3 import S3Store, s3_client
from trr_pipelines_tests.support.ports import free_port

ACCESS_KEY = "testing-access-key"
SECRET_KEY = "testing-secret-key"
BASE_URL = "https://cdn.example/media"
STARTUP_SECONDS = 60.0


@dataclass(frozen=True)
class S3Server:
    """A running server; `client` creates a boto3 client for it or for a proxy in front of it."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, url: str | None = None, *, secret: str = SECRET_KEY, **settings: float) -> Any:
        return s3_client(
            endpoint_url=url or self.url,
            region="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=secret,
            **settings,
        )

    def environment(self) -> dict[str, str]:
        """Environment variables with which boto3 in another process uses this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """An empty moto server."""
    with _server(lambda port: ["moto_server", "-H", "127.0.0.1", "-p", str(port)]) as server:
        yield server


@contextmanager
def rclone_server(directory: Path) -> Iterator[S3Server]:
    """rclone's S3 server on `directory`, whose subfolders are the buckets."""
    with _server(
        lambda port: [
            *("rclone", "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}"),
            *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"),
            str(directory),
        ]
    ) as server:
        yield server


@contextmanager
def bucket_on(server: S3Server, client: Any) -> Iterator[S3Store]:
    """A store in a new bucket on `server`, below a prefix; `client` may connect through a proxy."""
    bucket = f"photos-{uuid.uuid4().hex[:12]}"
    direct = server.client()
    direct.create_bucket(Bucket=bucket)
    direct.close()
    yield S3Store(client, bucket, BASE_URL, prefix="archive/media", backoff_seconds=0.001, page_size=3)
    client.close()


@contextmanager
def _server(command: Callable[[int], list[str]]) -> Iterator[S3Server]:
    port = free_port()
    program, *arguments = command(port)
    process = subprocess.Popen(
        [Path(sys.executable).with_name(program), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield S3Server(port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it listened on {port}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not listen on {port} within {STARTUP_SECONDS:.0f} s")
