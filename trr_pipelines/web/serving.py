"""Serving a web app: uvicorn on httptools, hardened against ambiguous, oversized and slow request heads.

The caller passes the app and the checks before it starts.
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

GRACE_SECONDS = 10  # for open requests when the server stops
# httptools has no limit: it accepted 200 MB of headers. A token of 100 KB still gets our 401 that names its limit.
MAX_HEAD_BYTES = 256 * 1024
HEAD_SECONDS = 20.0


class PlainProtocol(HttpToolsProtocol):
    """uvicorn's protocol that refuses absolute-form targets and limits the head of a request.

    Absolute-form targets (`GET http://…`) are 400, because uvicorn drops their host before the app could check it. So
    are heads above MAX_HEAD_BYTES. A head that is incomplete after HEAD_SECONDS closes the connection.
    """

    _head_bytes = 0
    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_deadline is not None:
            self._head_bytes += len(data)
            # One read may have body bytes after the head; asyncio reads at most 256 KB at once.
            if self._head_bytes > len(data) + MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_deadline is None:
            self._start_head()

    def on_headers_complete(self) -> None:
        self._end_head()
        if not self.url.startswith(b"/"):
            raise ValueError("the target is not a path")  # a parse error to httptools: 400, then it closes
        super().on_headers_complete()

    def _start_head(self) -> None:
        self._head_bytes = 0
        self._head_deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _end_head(self) -> None:
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
