"""How our web apps are served: uvicorn on httptools, with what it leaves open to strangers closed.

Which app, and what must be right before it starts, is the caller's.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trr_pipelines.errors import TrrError
from trr_pipelines.settings import Settings, load_settings
from trr_pipelines.web.logs import log_as_json

GRACE_SECONDS = 10  # what is being answered when the server is told to stop
# httptools counts nothing: it took 200 MB of headers. A token of 100 KB is still told that it is too long.
MAX_HEAD_BYTES = 256 * 1024
HEAD_SECONDS = 20.0


class PlainProtocol(HttpToolsProtocol):
    """uvicorn's protocol, without what can be read in two ways, and with an end to a request's head.

    Absolute-form targets (`GET http://…`) are 400: uvicorn drops their host before we could look. So are heads above
    MAX_HEAD_BYTES; a head that has not come within HEAD_SECONDS ends the connection.
    """

    _head_bytes = 0
    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_deadline is not None:
            self._head_bytes += len(data)
            # What comes in one piece may hold a body after the head; asyncio reads 256 KB at most.
            if self._head_bytes > len(data) + MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head_has_come()
        if not self.url.startswith(b"/"):
            raise ValueError("the target is not a path")  # httptools makes it a parse error: 400, and the end
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_has_come(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


def serve(
    name: str,
    what: str,
    create_app: Callable[[], ASGIApp],
    port_of: Callable[[Settings], int],
    check: Callable[[Settings], object] = lambda _: None,
) -> None:
    """Serve until told to stop; exit 2, with one line, where the settings or `check` do not allow it."""
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
