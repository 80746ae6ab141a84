"""Fixtures of the admin app's tests: a signed-in client, and a backend that records its requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from trr_pipelines.admin.app import create_app
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.admin_apps import serving_admin, sign_in
from trr_pipelines_tests.support.ports import free_port


@dataclass
class Recorded:
    """A request as the backend received it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name]


@dataclass
class RecordingBackend:
    """A backend with a scripted response that keeps the requests it received."""

    url: str
    response: tuple[int, dict[str, str], bytes] = (200, {"Content-Type": "application/json"}, b'{"ok": true}')
    received: list[Recorded] = field(default_factory=list)
    wait: Callable[[], object] = lambda: None

    def respond(self, status: int, value: object, **headers: str) -> None:
        """Answer all later requests with `value` as JSON."""
        kind = "application/json" if status < 400 else "application/problem+json"
        self.response = (status, {"Content-Type": kind, **headers}, json.dumps(value).encode())


@pytest.fixture
def backend() -> Iterator[RecordingBackend]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("content-length", 0))
            recording.received.append(
                Recorded(self.command, self.path, list(self.headers.items()), self.rfile.read(length))
            )
            recording.wait()
            status, headers, body = recording.response
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            with suppress(BrokenPipeError):  # the client may have timed out
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = _answer  # noqa: N815  the base class' names

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        recording = RecordingBackend(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield recording
        server.shutdown()
        thread.join()


@pytest.fixture
def app_environment(backend: RecordingBackend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """The settings of an app in front of the recording backend; returns its port."""
    port = free_port()
    monkeypatch.setenv("TRR_HOME", str(tmp_path / "admin-home"))
    for name, value in backends.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SCREENALYTICS_SERVICE_TOKEN")  # the admin app must not need it
    monkeypatch.setenv("TRR_API_URL", backend.url)
    monkeypatch.setenv("TRR_ADMIN_PORT", str(port))
    return port


@pytest.fixture
def anonymous(app_environment: int) -> Iterator[httpx.Client]:
    """A client without a session."""
    with serving_admin(create_app(), app_environment) as client:
        yield client


@pytest.fixture
def client(anonymous: httpx.Client) -> httpx.Client:
    """A client with a session that sends the app's Origin, as the browser does for its pages."""
    assert sign_in(anonymous).status_code == 303
    return anonymous
