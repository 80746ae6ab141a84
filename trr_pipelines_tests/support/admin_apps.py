"""The admin app on the production server, in front of a real or scripted backend."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.types import ASGIApp

from trr_pipelines.web.serving import PlainProtocol
from trr_pipelines_tests.support.backends import token


@contextmanager
def running(app: ASGIApp, port: int) -> Iterator[str]:
    """Run an app on the production server; yields its URL."""
    config = uvicorn.Config(app, port=port, http=PlainProtocol, ws="none", log_config=None, proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def serving_admin(app: ASGIApp, port: int) -> Iterator[httpx.Client]:
    """A browser-like client of the app: it keeps cookies, follows no redirects, and sends its origin."""
    with (
        running(app, port) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=30, headers={"Origin": url}) as client,
    ):
        yield client


def sign_in(client: httpx.Client, value: str | None = None, target: str = "") -> httpx.Response:
    """Post the form of the sign-in page and return the response."""
    return client.post("/admin/sign-in", data={"token": value or token(), "next": target})
