"""An HTTP server whose responses are scripted byte by byte: correct, broken or hostile."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Received:
    """A request's path and headers, names in lower case; `connection` counts the connections from 0."""

    path: str
    headers: dict[str, str]
    connection: int


Script = Callable[[Received, socket.socket], None]
"""Responds to one request on its connection. When it raises `HangUpError` or `OSError`, the connection is closed."""


class HangUpError(Exception):
    """Raised by a script to close the connection."""


def answer(status: int = 200, body: bytes = b"", *headers: str, length: int | None = None) -> Script:
    """A script that responds immediately; `length` overrides Content-Length with a wrong value."""
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(body) if length is None else length}", *headers]
    whole = "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body

    def send(_: Received, connection: socket.socket) -> None:
        connection.sendall(whole)
        if length is not None:
            raise HangUpError

    return send


@dataclass
class ScriptedServer:
    """Listens on loopback inside its `with` block; `scripts` maps paths (without query) to scripts.

    Every connection has its own thread and is kept open after a response, as in HTTP/1.1; one that does not begin with
    a GET is closed. `received` lists the requests. With `tls`, the server speaks HTTPS.
    """

    scripts: dict[str, Script]
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(5)
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(5)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self._open)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection, len(self._open) - 1), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError, HangUpError), connection:
            stream = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            with stream, stream.makefile("rb") as lines:
                while (request := lines.readline()).startswith(b"GET "):
                    path = request.decode("latin-1").split(" ")[1]
                    headers = {}
                    while (line := lines.readline()) not in (b"\r\n", b""):
                        name, _, value = line.decode("latin-1").partition(":")
                        headers[name.lower()] = value.strip()
                    received = Received(path, headers, number)
                    self.received.append(received)
                    self.scripts[path.partition("?")[0]](received, stream)
