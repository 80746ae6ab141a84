"""The protocol of both web apps with raw bytes: refused request heads."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from trr_pipelines.web import serving
from trr_pipelines.web.serving import MAX_HEAD_BYTES, PlainProtocol

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of an app that responds with the number of bytes it received."""

    async def count(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{len(await request.body())} bytes")

    app = Starlette(routes=[Route("/", count, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=PlainProtocol, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def answers(port: int, *chunks: bytes) -> bytes:
    """All received bytes until the server closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for chunk in chunks:
            connection.sendall(chunk)
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def test_a_body_may_be_larger_than_the_head_limit_and_a_second_request_follows(port: int) -> None:
    body = b"x" * (3 * MAX_HEAD_BYTES)
    request = HEAD + b"Content-Length: %d\r\n" % len(body)
    received = answers(port, request + b"\r\n" + body, request + b"Connection: close\r\n\r\n" + body)
    assert received.count(b"%d bytes" % len(body)) == 2


def test_an_endless_head_is_refused_before_it_fills_the_memory(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(HEAD)
        sent = 0
        try:
            while sent < 100_000_000:
                connection.sendall(b"X: " + b"a" * 1_000_000 + b"\r\n")
                sent += 1_000_000
        except ConnectionError:
            pass
    assert sent < 20_000_000  # the buffers of both ends


def test_a_target_that_is_not_a_path_is_400(port: int) -> None:
    assert b"400 Bad Request" in answers(port, b"POST http://elsewhere.example/ HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize("begun", [b"", HEAD])
def test_an_incomplete_head_ends_the_connection(port: int, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    assert answers(port, begun) == b""
