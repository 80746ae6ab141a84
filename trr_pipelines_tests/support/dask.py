"""A Dask cluster of real processes on loopback: a scheduler, and workers that tests start, kill and count."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from distributed import Client

from trr_pipelines_tests.support.ports import free_port

SECONDS = 180
_QUIET = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical", "DASK_DISTRIBUTED__DIAGNOSTICS__NVML": "false"}


@dataclass
class Cluster:
    """A scheduler and the workers started for it."""

    address: str
    scheduler: subprocess.Popen[bytes]
    scratch: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, environment: Mapping[str, str], *, threads: int = 1) -> subprocess.Popen[bytes]:
        """Start a worker without a nanny, which would restart it; `environment` is added to the usual variables."""
        arguments = ("--nthreads", f"{threads}", "--no-nanny", "--no-dashboard")
        worker = _start(self.scratch, "worker", self.address, *arguments, **environment)
        self.workers.append(worker)
        return worker

    def wait_for_workers(self, count: int) -> None:
        """Wait until exactly `count` workers are connected."""
        with Client(self.address, set_as_default=False) as client:
            wait_for(lambda: len(client.nthreads()) == count)

    def stop_workers(self) -> None:
        """Kill all workers and wait until the scheduler has noticed."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()
        if self.scheduler.poll() is None:
            self.wait_for_workers(0)


@contextmanager
def running_scheduler(protocol: str = "tcp", *, allowed_failures: int = 1, **environment: str) -> Iterator[Cluster]:
    """Run a scheduler for the block; afterwards it and its workers are killed.

    A task fails when more than `allowed_failures` workers died while running it: with Dask's default of 3, a photo
    that kills its workers would cost a test four of them.
    """
    address = f"{protocol}://127.0.0.1:{free_port()}"
    allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": f"{allowed_failures}"}
    scratch = tempfile.mkdtemp(prefix="trr-dask-")
    scheduler = _start(scratch, "scheduler", "--host", address, "--no-dashboard", **allowed, **environment)
    cluster = Cluster(address, scheduler, scratch)
    try:
        wait_for(lambda: scheduler.poll() is not None or _listens(address))
        yield cluster
    finally:
        scheduler.kill()
        scheduler.wait()
        cluster.stop_workers()
        shutil.rmtree(scratch, ignore_errors=True)


def _listens(address: str) -> bool:
    host, _, port = address.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds; fail after three minutes."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _start(scratch: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TRR_", "DASK_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        env=inherited | _QUIET | {"DASK_TEMPORARY_DIRECTORY": scratch} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
