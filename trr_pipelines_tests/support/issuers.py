"""An issuer of sign-in tokens that publishes its keys over HTTP, slowly or not at all when a test says so."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from trr_pipelines_tests.support import backends


@dataclass
class Issuer:
    """Signs tokens with `keys`, by key id, and publishes those in `published`; `requests` counts who asked for them."""

    url: str = ""
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    requests: int = 0
    is_broken: bool = False
    answers: threading.Event = field(default_factory=threading.Event)
    drips: bool = False

    def add_key(self, key_id: str, *, publish: bool = True) -> None:
        self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())
        self.published += [key_id] if publish else []

    def token(self, key_id: str, **headers: str) -> str:
        """A valid token; signed with the first key if there is none with this id."""
        key = self.keys.get(key_id) or next(iter(self.keys.values()))
        claims = {"email": backends.ADMIN_EMAIL, "aud": "authenticated", "exp": int(time.time()) + 600}
        return jwt.encode(claims, key, "ES256", headers={"kid": key_id, **headers})

    def key_set(self) -> dict[str, Any]:
        public = [
            json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.keys[name].public_key())) for name in self.published
        ]
        return {"keys": [{**one, "kid": name, "use": "sig"} for one, name in zip(public, self.published, strict=True)]}


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer with the key `one`."""
    issuer = Issuer()
    issuer.add_key("one")
    issuer.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests += 1
            issuer.answers.wait(60)
            body = json.dumps(issuer.key_set()).encode()
            with suppress(ConnectionError):
                self.send_response(503 if issuer.is_broken else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for number in range(len(body)):
                    if issuer.drips:
                        time.sleep(0.05)
                    self.wfile.write(body[number : number + 1] if issuer.drips else body)
                    if not issuer.drips:
                        break

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}/keys"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield issuer
        finally:
            issuer.drips = False
            issuer.answers.set()
            server.shutdown()
            thread.join()
