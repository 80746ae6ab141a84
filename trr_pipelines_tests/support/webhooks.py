"""An operator's webhook for tests: accepts JSON over HTTP, or responds with the statuses a test sets."""

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
    """`answers` are the next response statuses, then 200; `taken` are messages accepted with 2xx, `keys` their keys."""

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
    """Run a webhook on loopback; requests to any path other than `path` get 404."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 404 if self.path != path else hook.answers.pop(0) if hook.answers else 200
            hook.requests += 1
            if status < 300:
                assert self.headers["Content-Type"] == "application/json"
                hook.taken.append(json.loads(body))
                hook.keys.append(self.headers["Idempotency-Key"])
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}{path}"
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
