"""An HTTP proxy in front of a real server that injects a planned fault into each request.

It relays one request per connection, so that a fault affects only that request. For plain HTTP/1.1 on loopback.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Request:
    """A received request; `number` counts from 0."""

    number: int
    method: str
    target: str


@dataclass(frozen=True)
class Answer:
    """Respond with this status without forwarding the request."""

    status: int
    body: bytes = b""


@dataclass(frozen=True)
class Silence:
    """Accept the request and never respond; it is not forwarded."""


@dataclass(frozen=True)
class CutRequest:
    """Forward this many bytes of the request's body, then close both connections."""

    after: int


@dataclass(frozen=True)
class LoseAnswer:
    """Forward the request, then close the client's connection instead of responding."""


@dataclass(frozen=True)
class CutAnswer:
    """Close the client's connection after this many bytes of the response, head included."""

    after: int


@dataclass(frozen=True)
class SlowAnswer:
    """Forward the response at this many bytes per second."""

    bytes_per_second: int


Fault = Answer | Silence | CutRequest | LoseAnswer | CutAnswer | SlowAnswer


def no_fault(_: Request) -> Fault | None:
    return None


@dataclass
class FaultyProxy:
    """Relays to `127.0.0.1:upstream_port` inside its `with` block; `plan` returns the fault for each request.

    `plan` may be replaced at any time. `requests` lists the received requests.
    """

    upstream_port: int
    plan: Callable[[Request], Fault | None] = no_fault
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("the proxy did not start within 10 s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._relay(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await _read_request(reader, writer)
        method, target, _ = head.partition(b"\r\n")[0].decode().split(" ", 2)
        request = Request(len(self.requests), method, target)
        self.requests.append(request)
        fault = self.plan(request)
        if isinstance(fault, Answer):
            response_head = (
                f"HTTP/1.1 {fault.status} Fault\r\nContent-Length: {len(fault.body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(response_head.encode() + fault.body)
            await writer.drain()
            return
        if isinstance(fault, Silence):
            await reader.read()  # ends when the client closes the connection
            return
        response = await self._forward(head, body[: fault.after] if isinstance(fault, CutRequest) else body, fault)
        if not isinstance(fault, CutRequest | LoseAnswer):
            await _write(writer, response, fault)

    async def _forward(self, head: bytes, body: bytes, fault: Fault | None) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        try:
            writer.write(head + body)
            with suppress(ConnectionError):  # a server may refuse before it has read everything
                await writer.drain()
            return b"" if isinstance(fault, CutRequest) else await reader.read()
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, bytes]:
    """The head, changed so that the server closes the connection after its response, and the body."""
    lines = (await reader.readuntil(b"\r\n\r\n")).rstrip(b"\r\n").split(b"\r\n")
    headers = [line for line in lines[1:] if not line.lower().startswith((b"connection:", b"expect:"))]
    if any(line.lower().startswith(b"expect:") for line in lines):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in headers if line.lower().startswith(b"content-length:")), 0)
    return b"\r\n".join([lines[0], *headers, b"Connection: close", b"", b""]), await reader.readexactly(length)


async def _write(writer: asyncio.StreamWriter, response: bytes, fault: Fault | None) -> None:
    if isinstance(fault, SlowAnswer):
        step = max(1, fault.bytes_per_second // 20)
        for start in range(0, len(response), step):
            writer.write(response[start : start + step])
            await writer.drain()
            await asyncio.sleep(0.05)
    else:
        writer.write(response[: fault.after] if isinstance(fault, CutAnswer) else response)
        await writer.drain()
