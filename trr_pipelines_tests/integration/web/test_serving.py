"""The protocol of both web apps with raw bytes: refused requests, and the limits of one connection.

Row "single clients" of SECURITY; floods by many connections are in `test_floods`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from websockets.sync.client import connect

from trr_pipelines.web import serving
from trr_pipelines.web.logs import RequestLog
from trr_pipelines.web.serving import MAX_HEAD_BYTES, PlainProtocol

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
LARGE = 3_000_000


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of an app that responds with the number of bytes it received."""

    async def count(request: Request) -> PlainTextResponse:
        size = len(await request.body())
        return PlainTextResponse(f"{size} bytes with {' '.join(request.headers)}")

    async def large(_: Request) -> PlainTextResponse:
        return PlainTextResponse("x" * LARGE)

    async def slow(_: Request) -> PlainTextResponse:
        await asyncio.sleep(1)
        return PlainTextResponse("slow")

    routes = [
        Route("/", count, methods=["POST"]),
        Route("/left", count, methods=["POST"]),
        Route("/large", large),
        Route("/slow", slow),
    ]
    app = RequestLog(Starlette(routes=routes))
    with serving_app(app) as used:
        yield used


@contextlib.contextmanager
def serving_app(app: ASGIApp, ws: str = "none") -> Iterator[int]:
    """Serve an app with the protocol; yields its port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=PlainProtocol, ws=ws, log_config=None))
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


# One client, one connection ------------------------------------------------------------------------------------------


def statuses(received: bytes) -> list[str]:
    return [line[9:12].decode() for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def test_a_body_that_never_comes_ends_the_connection_with_408(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.2)
    received = answers(port, HEAD + b"Content-Length: 9\r\n\r\n" + b"abc")
    assert statuses(received) == ["408"]
    assert b"3 bytes" in received


@pytest.mark.parametrize("kind", [b"Content-Length: 90000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_that_comes_byte_by_byte_is_ended(port: int, monkeypatch: pytest.MonkeyPatch, kind: bytes) -> None:
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.3)
    piece = b"a" if b"Length" in kind else b"1\r\na\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=0.02) as connection:
        connection.sendall(HEAD + kind)
        started, received = time.monotonic(), b""
        while not received:
            assert time.monotonic() - started < 5
            connection.sendall(piece)
            with contextlib.suppress(TimeoutError):
                received = connection.recv(65_536)
    assert statuses(received) == ["408"]


def test_a_slow_body_that_keeps_the_least_rate_is_taken(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(serving, "BODY_BYTES", 5)
    chunks = [b"abcdefghij"] * 8
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(HEAD + b"Connection: close\r\nContent-Length: 80\r\n\r\n")
        for chunk in chunks:
            connection.sendall(chunk)
            time.sleep(0.08)
        received = connection.recv(65_536)
    assert b"80 bytes" in received


def test_an_answer_that_is_not_read_ends_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "ANSWER_SECONDS", 0.3)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1.5)
        received = 0
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(1_000_000):
                received += len(chunk)
    assert received < LARGE


def test_a_slow_reader_gets_the_whole_answer(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "ANSWER_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = 0
        while chunk := connection.recv(1_000_000):
            received += len(chunk)
            time.sleep(0.05)
    assert received > LARGE


def test_requests_sent_ahead_are_answered_in_order(port: int) -> None:
    ahead = b"".join(HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size for size in range(300))
    received = answers(
        port, ahead + HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    found = [int(number) for number in re.findall(rb"\r\n\r\n(\d+) bytes", received)]
    assert found == [*range(300), 3]


def test_requests_behind_one_under_way_are_not_parsed(port: int) -> None:
    """What waits is bytes: parsed, a request is a hundred times as large."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000)
        time.sleep(0.3)
        gc.collect()
        assert sum(isinstance(thing, RequestResponseCycle) for thing in gc.get_objects()) < 50


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("many headers", HEAD + b"a:b\r\n" * 101 + b"\r\n"),
        ("endless chunk extension", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 20_000),
        ("chunks of a byte", HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 3_000),
        ("endless trailer", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: " + b"a" * 20_000),
        ("many trailers", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + b"a:b\r\n" * 101 + b"\r\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_limit_in_the_parser_has_one_here(port: int, name: str, sent: bytes) -> None:
    assert statuses(answers(port, sent)) == ["400"], name


def test_a_client_that_leaves_is_a_line_of_the_log_and_no_traceback(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    head = HEAD.replace(b"/", b"/left", 1)
    with caplog.at_level("INFO"):
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(head + b"Content-Length: 9\r\n\r\nabc")
                time.sleep(0.1)
        answers(port, head + b"Content-Length: 2\r\nConnection: close\r\n\r\nab")
    # A request of another test may still be answered and logged: only this test's route counts.
    lines = [(record.levelname, record.status) for record in caplog.records if getattr(record, "route", "") == "/left"]
    assert lines == [("INFO", 499)] * 3 + [("INFO", 200)]
    assert all(record.exc_info is None for record in caplog.records)


def test_an_endless_body_that_is_not_wanted_ends_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_DROPPED_BYTES", 1_000_000)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100_000_000:
                sent += connection.send(b"a" * 65_536)
    assert sent < 20_000_000  # the buffers of both ends


@pytest.mark.parametrize("kind", [b"Content-Length: 20000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_client_that_sends_on_reads_why_its_body_is_not_wanted(port: int, kind: bytes) -> None:
    chunk = b"x" * 100_000 if b"Length" in kind else b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + kind)
        for _ in range(200):
            connection.sendall(chunk)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert statuses(received) == ["405"]
    assert b"connection: close" in received


CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED,
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED,
        HEAD + b"Transfer-Encoding: identity\r\n\r\n",
        HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED,
        HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKED,
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + CHUNKED,
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
        HEAD + b"Content-Length: +5\r\n\r\nhello",
        HEAD + b"Content-Length : 5\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        HEAD + b"X: a\r\n b\r\n\r\n",
        b"POST / HTTP/1.1\nHost: x\n\n",
        b"POST / HTTP/1.1\r\n\r\n",
        HEAD + b"Host: y\r\n\r\n",
        b"POST / HTTP/0.9\r\nHost: x\r\n\r\n",
        b"POST / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"POST /#part HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=repr,
)
def test_a_request_that_a_proxy_could_read_otherwise_is_400(port: int, sent: bytes) -> None:
    assert statuses(answers(port, sent)) == ["400"]


def test_an_upgrade_is_answered_as_a_request_and_ends_the_connection(port: int) -> None:
    upgrade = HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert statuses(answers(port, upgrade + HEAD + b"\r\n")) == ["200"]


def test_a_trailer_is_no_header(port: int) -> None:
    sent = (
        HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    )
    received = answers(port, sent)
    assert statuses(received) == ["200"]
    assert b"authorization" not in received


def test_a_websocket_outlives_the_deadlines_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster's UI is served with this protocol too, and has live logs."""
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.2)

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    with (
        serving_app(Starlette(routes=[WebSocketRoute("/", echo)]), ws="websockets-sansio") as port,
        connect(f"ws://127.0.0.1:{port}/", proxy=None) as client,
    ):
        for text in ("first", "second"):
            client.send(text)
            assert client.recv(10) == text
            time.sleep(0.5)
