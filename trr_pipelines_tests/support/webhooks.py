"""A webhook as operators have one: takes JSON over real HTTP, or answers what a test wants it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """`answers` are the next statuses, then 200; `taken` what was answered with 2xx, `keys` their keys."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    requests: int = 0

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.taken]


@contextmanager
def webhook(path: str = "/hook") -> Iterator[Webhook]:
    """A webhook on loopback; what is asked for at any other address than `path` is answered with 404."""
    told = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 404 if self.path != path else told.answers.pop(0) if told.answers else 200
            told.requests += 1
            if status < 300:
                assert self.headers["Content-Type"] == "application/json"
                told.taken.append(json.loads(body))
                told.keys.append(self.headers["Idempotency-Key"])
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}{path}"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
