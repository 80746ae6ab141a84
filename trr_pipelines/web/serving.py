"""Serving a web app: uvicorn on httptools, hardened against ambiguous, oversized, slow and unread messages.

The caller passes the app and the checks before it starts.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.flow_control import CLOSE_HEADER, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from trr_pipelines.errors import TrrError
from trr_pipelines.settings import Settings, load_settings
from trr_pipelines.web.connections import Connections
from trr_pipelines.web.logs import log_as_json

GRACE_SECONDS = 10  # for open requests when the server stops
# httptools has no limit: it accepted 200 MB of headers. A token of 100 KB still gets our 401 that names its limit.
MAX_HEAD_BYTES = 256 * 1024
MAX_HEADERS = 100  # 50,000 headers of 5 bytes took 26 times their size
HEAD_SECONDS = 20.0
# A body must bring this much in each such period: less than the slowest uplink, and more than a client that only waits.
BODY_SECONDS, BODY_BYTES = 20.0, 40_000
# Of an answer some bytes must be read in this time.
ANSWER_SECONDS = 20.0
# Where an answer that is not read waits: first in the kernel, then in memory, to which nothing is added above this.
KERNEL_BYTES = 128 * 1024  # by itself the kernel takes 2.5 MB for each connection
UNREAD_BYTES = 16 * 1024
# Chunk sizes, extensions and trailers of a chunked body: at most this, and a byte for each byte of the body. Parsing a
# chunk of one byte costs as much as one of 64 KB.
MAX_CHUNK_OVERHEAD = 4 * 1024
# The rest of a body that is not wanted, such as that of a refused request, is parsed up to this size. Of a larger one,
# and of a chunked one, this much is dropped unparsed for as long as a client may need to read the answer.
MAX_DISCARDED_BYTES, MAX_DROPPED_BYTES, DROP_SECONDS = 64 * 1024, 64 * 1024 * 1024, 5.0
# A chunked body can end anywhere in a piece of this size; the requests behind it are parsed with it.
CHUNKED_PIECE, MAX_PIPELINED = 1024, 8


class PlainProtocol(HttpToolsProtocol):
    """uvicorn's protocol that bounds what a client can make the server hold, and refuses ambiguous requests.

    One request is parsed at a time: what was sent behind it waits unparsed, at most one read, until it is answered.
    Heads, bodies and the reading of answers have deadlines. `Connections` bounds all connections of the server
    together.

    Ambiguous requests are 400: absolute-form targets, whose host uvicorn drops before the app could check it; another
    number of Host headers than one; versions other than 1.0 and 1.1; transfer codings other than `chunked`, and that
    with HTTP/1.0; a body with an upgrade. Upgrades are ignored, except to WebSocket where the app serves it. Trailers
    are dropped.
    """

    held_bytes = 0
    flow: _Flow
    _connections: Connections
    _received = b""  # what is not parsed yet, from `_parsed` on
    _parsed = 0
    _is_head = True  # the next byte belongs to a head
    _head_bytes = 0
    _headers = 0
    _body_left: int | None = 0  # by Content-Length; None for a chunked body
    _body_bytes = 0
    _sent_bytes = 0  # of the body, with the sizes, extensions and trailers of its chunks
    _is_upgrade = False
    _is_last = False  # no request follows
    _dropped_bytes: int | None = None  # once nothing is parsed any more
    _unread_bytes = 0
    _deadline: asyncio.TimerHandle | None = None  # of the head or body
    _answer_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNREAD_BYTES)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        self.flow = _Flow(transport)
        self._connections = Connections.of(self.server_state)
        if not self._connections.add(self):
            self.drop()
            return
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close the connection now, without what its client has not read."""
        self._forget()
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()  # a client whose connection was idle sees an orderly end

    def data_received(self, data: bytes) -> None:
        if self._dropped_bytes is not None:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > MAX_DROPPED_BYTES:
                self.drop()
            return
        self._unset_keepalive_if_required()
        self._received = self._received[self._parsed :] + data if self._received else data
        self._parsed = 0
        self._parse()

    def _parse(self) -> None:
        """Parse what was received up to the end of the next request; the rest waits until that is answered."""
        while self._parsed < len(self._received) and not self._is_busy() and not self.transport.is_closing():
            end = self._next_piece()
            piece = self._received[self._parsed : end]
            self._parsed = end
            if self._is_head and not self._has_head_room(len(piece)):
                break
            if not self._is_head and not self._has_body_room(len(piece)):
                break
            super().data_received(piece)
        if not self._is_head:
            self._connections.wait(self)
        is_done = self._parsed >= len(self._received) or self.transport.is_closing()
        if is_done:
            self._received, self._parsed = b"", 0
        self.flow.hold(not is_done)
        self._measure()

    def _is_busy(self) -> bool:
        """Whether a whole request waits for its answer, or nothing may follow the last one."""
        if self._is_upgrade:
            self._parsed = len(self._received)
            return True
        return self._is_head and self.cycle is not None and not self.cycle.response_complete

    def _next_piece(self) -> int:
        """The end of the part of `_received` to parse next: it completes no second request."""
        if self._is_head:
            end = self._received.find(b"\n\r\n", self._parsed)
            return end + 3 if end >= 0 else len(self._received)
        if self._body_left is None:
            return min(len(self._received), self._parsed + CHUNKED_PIECE)
        return min(len(self._received), self._parsed + self._body_left)

    def _has_head_room(self, piece_bytes: int) -> bool:
        if self._deadline is None:
            self._start_head()
        self._head_bytes += piece_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("The head of the request is too large.")
        return self._head_bytes <= MAX_HEAD_BYTES

    def _has_body_room(self, piece_bytes: int) -> bool:
        if self._sent_bytes > MAX_CHUNK_OVERHEAD + 2 * self._body_bytes:
            self.send_400_response("The chunks of the body are too small, or their extensions or trailers too large.")
        self._sent_bytes += piece_bytes
        return not self.transport.is_closing()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._headers = 0
        self._is_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        if self._headers > MAX_HEADERS:
            raise ValueError(f"more than {MAX_HEADERS} headers")  # a parse error to httptools: 400, then it closes
        if self._is_head:  # else a trailer, which would pass for a header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if refusal := self._refusal():
            raise ValueError(refusal)
        self._end_deadline()
        self._end_answer()
        self._start_body()
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self._is_upgrade = True
            if not self._should_upgrade():
                self.cycle.keep_alive = False
        if len(self.pipeline) > MAX_PIPELINED:
            raise ValueError(f"more than {MAX_PIPELINED} requests sent ahead")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_left is not None:
            self._body_left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_head = True
        self._end_deadline()
        if self.cycle is not None and not self.cycle.response_complete:
            self._connections.work(self)
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            async def send_on(message: ASGISendEvent) -> None:
                if message["type"] != "http.response.start" or not self._leaves_a_body(cycle):
                    await send(message)
                    return
                self._is_last = True
                await send({**message, "headers": [*message.get("headers", ()), CLOSE_HEADER]})
                cycle.keep_alive = True  # not closed by uvicorn, while its client still sends

            await app(scope, receive, send_on)

        super()._start_asgi_task(cycle, run)

    def _leaves_a_body(self, cycle: RequestResponseCycle) -> bool:
        """Whether an answer that begins now comes before the end of a body that is not worth parsing."""
        return cycle.more_body and (self._body_left is None or self._body_left > MAX_DISCARDED_BYTES)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._connections.wait(self)
        if self._is_last and self._is_head:
            self._close()
        elif self._is_last:
            self._drop_the_rest()
        self._await_reader()
        self._parse()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connections.wait(self)
        self._await_reader()
        self._measure()

    def resume_writing(self) -> None:
        self._end_answer()
        if self._is_head and self.cycle is not None and not self.cycle.response_complete:
            self._connections.work(self)
        self._measure()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def handle_websocket_upgrade(self) -> None:
        self._forget()  # the connection has another protocol from now on
        super().handle_websocket_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """The request is answered as one without an upgrade, so there is nothing to warn of."""

    def _refusal(self) -> str:
        """Why this head could mean another request to a proxy in front of us; empty if it cannot."""
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            return f"HTTP {version}"
        if not self.url.startswith(b"/") or b"#" in self.url:
            return "the target is not a path"
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            return f"{hosts} Host headers"
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        lengths = [value for name, value in self.headers if name == b"content-length"]
        if codings and (codings != [b"chunked"] or version == "1.0" or lengths):
            return "a transfer coding that is not chunked alone, or not in HTTP/1.1"
        self._body_left = None if codings else int(lengths[0]) if lengths else 0
        if self.parser.should_upgrade() and self._body_left != 0:
            return "an upgrade with a body"
        return ""

    def _refuse(self, status: int, text: str) -> None:
        """Answer what is no request, and close; nothing more is parsed."""
        content = text.encode()
        head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(
            content
        )
        headers = b"".join(b"%s: %s\r\n" % header for header in self.server_state.default_headers)
        self.transport.write(STATUS_LINE[status] + headers + head + content)
        self._close()

    def _close(self) -> None:
        self.transport.close()
        self._await_reader()

    def _drop_the_rest(self) -> None:
        """End the answer and read on for a while: closing at once could take the answer from a client that sends."""
        if not self.transport.is_closing():
            self.transport.write_eof()
            self._dropped_bytes = len(self._received) - self._parsed
            self._received, self._parsed = b"", 0
            self._end_deadline()
            self._deadline = self.loop.call_later(DROP_SECONDS, self._close)

    def _start_head(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._close)

    def _start_body(self) -> None:
        self._is_head = False
        self._body_bytes = self._sent_bytes = 0
        self._deadline = self.loop.call_later(BODY_SECONDS, self._check_body, 0)

    def _check_body(self, before: int) -> None:
        """Close the connection if its client sends the body too slowly; not if the app does not read it."""
        if self._body_bytes - before >= BODY_BYTES or self.flow.read_paused:
            self._deadline = self.loop.call_later(BODY_SECONDS, self._check_body, self._body_bytes)
        elif self.cycle.response_started:
            self._close()
        else:
            self._refuse(408, f"The body had {self._body_bytes - before:,} bytes in {BODY_SECONDS:g} s.")

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _await_reader(self) -> None:
        """Give the client its time to read what is written."""
        self._end_answer()
        self._unread_bytes = self.transport.get_write_buffer_size()
        if self._unread_bytes:
            self._answer_deadline = self.loop.call_later(ANSWER_SECONDS, self._check_reader, self._unread_bytes)

    def _check_reader(self, before: int) -> None:
        if self.transport.get_write_buffer_size() >= before:
            self.drop()
        else:
            self._await_reader()

    def _end_answer(self) -> None:
        self._unread_bytes = 0
        if self._answer_deadline is not None:
            self._answer_deadline.cancel()
            self._answer_deadline = None

    def _measure(self) -> None:
        body = len(self.cycle.body) if self.cycle is not None else 0
        waiting = len(self._received) - self._parsed
        self._connections.hold(self, waiting + self._head_bytes + body + self._unread_bytes)

    def _forget(self) -> None:
        self._end_deadline()
        self._end_answer()
        self._received, self._parsed = b"", 0
        self._connections.remove(self)


class _Flow(FlowControl):
    """uvicorn's flow control that reads nothing while a received request waits for the answer to the one before."""

    _is_held = False

    def hold(self, is_held: bool) -> None:
        """Stop reading, or go on."""
        if is_held:
            self._is_held = True
            self.pause_reading()
        elif self._is_held:
            self._is_held = False
            self.resume_reading()

    def resume_reading(self) -> None:
        if not self._is_held:
            super().resume_reading()


def serve(
    name: str,
    what: str,
    create_app: Callable[[], ASGIApp],
    port_of: Callable[[Settings], int],
    check: Callable[[Settings], object] = lambda _: None,
) -> None:
    """Serve until stopped; exit 2 with one line for invalid settings or a failed `check`."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=what)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        app = create_app()
        check(settings)
    except TrrError as error:
        sys.stderr.write(f"trr: {error}\n")
        sys.exit(2)
    log_as_json()
    uvicorn.run(
        app,
        host=arguments.host,
        port=arguments.port or port_of(settings),
        http=PlainProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
