"""Memory and health of the API and the admin app while one client floods them.

    .venv/bin/python -m benchmarks.floods [--only NAME …] [--seconds 12] [--connections 1500]

Starts both apps as processes on an archive of its own, runs each flood against each, and prints the memory (RSS)
before, at its most during, and 10 s after it, with the slowest and the number of failed answers of `/healthz`, which is
asked ten times a second. Above 1.3x the memory or 1 s, a flood is marked FAILS. A connection that the app closes is
opened again after a second.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

MOST_MEMORY, MOST_SECONDS = 1.3, 1.0
AFTER_SECONDS = 10.0
RECONNECT_SECONDS = 1.0


@dataclass
class Target:
    """A running app and the address of a large answer of it."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    large: str
    log: Path

    def rss(self) -> float:
        """Memory of the process in MB."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def connect(self, *, receive_bytes: int = 0) -> socket.socket:
        """A connection that does not block for longer than 50 ms."""
        connection = socket.socket()
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(0.05)
        connection.connect(("127.0.0.1", self.port))
        return connection


@dataclass
class Flood:
    """What a client sends on each of its connections: `begin` once, then `more` again and again; it reads nothing."""

    begin: Callable[[Target], bytes]
    more: bytes = b""
    pause: float = 0.0
    connections: int | None = None
    receive_bytes: int = 0


def _head(target: Target, method: str = "GET", path: str = "/healthz", *lines: str) -> bytes:
    head = "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{target.port}", *lines))
    return head.encode() + b"\r\n\r\n"


def _form(target: Target, *lines: str) -> bytes:
    path = "/admin/sign-in" if target.name == "admin app" else "/api/v1/admin/imports"
    kind = "Content-Type: application/x-www-form-urlencoded"
    return _head(target, "POST", path, kind, f"Origin: http://127.0.0.1:{target.port}", *lines)


def _unfinished(target: Target, header: bytes) -> bytes:
    return _head(target)[:-2] + header


FLOODS: dict[str, Flood] = {
    "pipelined requests, answers unread": Flood(lambda t: _head(t), b"PIPELINED", connections=8),
    "unfinished heads of 250 KB": Flood(lambda t: _unfinished(t, b"X: " + b"a" * 250_000)),
    "unfinished heads of 50,000 headers": Flood(lambda t: _unfinished(t, b"a:b\r\n" * 50_000)),
    "slow heads": Flood(lambda t: _head(t)[:-2], b"X: a\r\n", pause=1),
    "complete heads of 250 KB": Flood(lambda t: _unfinished(t, b"X: " + b"a" * 250_000) + b"\r\n\r\n"),
    "bodies that never come": Flood(lambda t: _form(t, "Content-Length: 9000")),
    "slow bodies": Flood(lambda t: _form(t, "Content-Length: 9000"), b"a", pause=1),
    "bodies of 15 KB that lack a byte": Flood(lambda t: _form(t, "Content-Length: 15001") + b"a" * 15_000),
    "bodies larger than declared": Flood(lambda t: _form(t, "Content-Length: 1"), b"a" * 65_536),
    "endless bodies that no route reads": Flood(
        lambda t: _head(t, "GET", "/healthz", "Content-Length: 99999999999"), b"a" * 65_536
    ),
    "chunked bodies without an end": Flood(lambda t: _form(t, "Transfer-Encoding: chunked"), b"1\r\na\r\n" * 1_000),
    "endless chunk extensions": Flood(lambda t: _form(t, "Transfer-Encoding: chunked") + b"1;a=", b"a" * 65_536),
    "endless trailers": Flood(
        lambda t: _form(t, "Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n", b"a:b\r\n" * 10_000
    ),
    "large answers unread": Flood(lambda t: _head(t, "GET", t.large), receive_bytes=4_096),
    "idle connections": Flood(lambda _: b""),
    "kept-alive connections": Flood(lambda t: _head(t)),
    "websocket upgrades": Flood(
        lambda t: _head(t, "GET", "/healthz", "Connection: Upgrade", "Upgrade: websocket"), b"a" * 65_536
    ),
}


@dataclass
class Health:
    """Answers of `/healthz` during a flood."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    most_mb: float = 0.0


@contextmanager
def _watching(target: Target) -> Iterator[Health]:
    health, stop = Health(), threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            health.most_mb = max(health.most_mb, target.rss())
            started = time.monotonic()
            try:
                answer = httpx.get(f"http://127.0.0.1:{target.port}/healthz", timeout=30, trust_env=False)
                health.failed += answer.status_code != 200
            except httpx.HTTPError:
                health.failed += 1
            health.seconds.append(time.monotonic() - started)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield health
    finally:
        stop.set()
        thread.join()


def run_flood(target: Target, flood: Flood, connections: int, seconds: float) -> Health:
    """Flood `target` for `seconds`, with new connections in place of those that it closes."""
    count = flood.connections or connections
    begin = flood.begin(target)
    more = begin * 2_000 if flood.more == b"PIPELINED" else flood.more
    deadline = time.monotonic() + seconds
    with _watching(target) as health, ExitStack() as stack:
        open_ones: dict[int, socket.socket] = {}
        may_open = dict.fromkeys(range(count), 0.0)
        stack.callback(lambda: [one.close() for one in open_ones.values()])
        while time.monotonic() < deadline:
            for number in range(count):
                if time.monotonic() > deadline:
                    break
                try:
                    if number in open_ones:
                        _send_more(open_ones[number], more)
                    elif may_open[number] < time.monotonic():
                        may_open[number] = time.monotonic() + RECONNECT_SECONDS
                        open_ones[number] = target.connect(receive_bytes=flood.receive_bytes)
                        open_ones[number].sendall(begin)
                except TimeoutError:
                    pass
                except OSError:
                    if number in open_ones:
                        open_ones.pop(number).close()
            time.sleep(flood.pause or 0.001)
    return health


def _send_more(connection: socket.socket, more: bytes) -> None:
    """Raises OSError for a connection that the app has closed."""
    if more:
        connection.settimeout(0.001)
        connection.send(more)
        return
    with suppress(BlockingIOError):
        if connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b"":
            raise ConnectionAbortedError


@contextmanager
def running_apps(home: Path) -> Iterator[list[Target]]:
    """Both apps as processes on an archive of their own."""
    with ExitStack() as stack:
        api_port, admin_port = (_free_port() for _ in range(2))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TRR_")},
            **{"TRR_HOME": str(home), "TRR_API_PORT": str(api_port), "TRR_ADMIN_PORT": str(admin_port)},
        }
        key = "media/" + "0" * 2 + "/" + "0" * 64 + ".jpg"
        large = home / "media" / key
        large.parent.mkdir(parents=True)
        large.write_bytes(os.urandom(20_000_000))
        targets = []
        for name, port, path in (
            ("API", api_port, f"/media/{key}"),
            ("admin app", admin_port, "/admin/static/vendor/htmx.min.js"),
        ):
            module = "trr_pipelines.api" if name == "API" else "trr_pipelines.admin"
            log = home / f"{module}.log"
            output = stack.enter_context(log.open("wb"))
            process = subprocess.Popen([sys.executable, "-m", module], env=environment, stdout=output, stderr=output)
            stack.callback(stop, process)
            targets.append(Target(name, port, process, path, log))
            wait_until_ready(targets[-1])
        yield targets


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that this one started."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    process.kill()
    process.wait()


def wait_until_ready(target: Target) -> None:
    """Exit when the app ends, or does not answer within 90 s."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and target.process.poll() is None:
        with suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{target.port}/healthz", timeout=2, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    sys.exit(f"the {target.name} is not ready")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def warm_up(target: Target) -> None:
    """Ordinary requests, whose memory belongs to the app and not to a flood."""
    with httpx.Client(base_url=f"http://127.0.0.1:{target.port}", trust_env=False, timeout=30) as client:
        for _ in range(300):
            client.get("/healthz")
            client.get(target.large, headers={"Range": "bytes=0-99999"})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the floods and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(FLOODS), help="names of floods")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--connections", type=int, default=1_500)
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        running_apps(Path(folder) / "home") as targets,
    ):
        print("| app | flood | MB before | during | after | slowest /healthz | failed | |\n" + "|---" * 8 + "|")
        for name in given.only:
            for target in targets:
                warm_up(target)
                before = target.rss()
                health = run_flood(target, FLOODS[name], given.connections, given.seconds)
                time.sleep(AFTER_SECONDS)
                slowest = max(health.seconds)
                fails = health.most_mb > MOST_MEMORY * before or slowest > MOST_SECONDS or health.failed
                print(
                    f"| {target.name} | {name} | {before:.0f} | {health.most_mb:.0f} ({health.most_mb / before:.2f}x) |"
                    f" {target.rss():.0f} | {slowest:.2f} s of {len(health.seconds)} | {health.failed} |"
                    f" {'FAILS' if fails else ''} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
