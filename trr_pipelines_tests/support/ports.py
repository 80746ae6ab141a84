"""Loopback ports for servers that cannot choose one themselves, and ports on which surely nobody listens."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager


def free_port() -> int:
    """A port on which nobody listened a moment ago.

    It lies below the range from which systems hand out ports (32768 and up on Linux), so that no test that binds to
    port 0 meanwhile can be given the same one.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections: it is bound, so nobody else can take it, and nobody listens on it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
