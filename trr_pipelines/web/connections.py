"""What the connections of one server may hold in memory, all together, and which of them is dropped above that.

The limits of one connection are in `serving`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, Protocol
from weakref import WeakKeyDictionary

# An answer that is not read costs 64 KB in memory. Twice as many are taken while none waits: with their files, that is
# below the 1,024 descriptors of a process.
MAX_CONNECTIONS = 192
# Unfinished heads, unread bodies, requests sent ahead and unread answers. The apps have 80 MB and more without them.
MAX_BYTES = 8 * 1024 * 1024


class Client(Protocol):
    """A connection, as far as dropping it is concerned; `held_bytes` is what it has in memory."""

    held_bytes: int

    def drop(self) -> None:
        """Close it without waiting for its client."""


class Connections:
    """The open connections of one server. Used by its event loop only.

    A connection *waits* while its client has to send or to read. Above a limit, the one that has waited longest is
    dropped; one whose request is being answered never is.
    """

    _of_servers: ClassVar[WeakKeyDictionary[Hashable, Connections]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._open: set[Client] = set()
        self._waiting: dict[Client, None] = {}  # in the order in which they began to wait
        self._bytes = 0

    @classmethod
    def of(cls, server: Hashable) -> Connections:
        """The connections of this server (uvicorn's state of it)."""
        return cls._of_servers.setdefault(server, cls())

    def add(self, client: Client) -> bool:
        """Add a waiting connection; False if there are twice too many and none of them waits."""
        while len(self._open) >= MAX_CONNECTIONS and self._waiting:
            next(iter(self._waiting)).drop()
        if len(self._open) >= 2 * MAX_CONNECTIONS:
            return False
        self._open.add(client)
        self._waiting[client] = None
        return True

    def remove(self, client: Client) -> None:
        """Forget a connection; idempotent."""
        self.hold(client, 0)
        self._open.discard(client)
        self._waiting.pop(client, None)

    def wait(self, client: Client) -> None:
        """The client has to act, from now on."""
        if client in self._open:
            self._waiting.pop(client, None)
            self._waiting[client] = None

    def work(self, client: Client) -> None:
        """The server has to act."""
        self._waiting.pop(client, None)

    def hold(self, client: Client, held_bytes: int) -> None:
        """Record what a connection has in memory, and drop waiting ones that have something until it is enough."""
        if client not in self._open:
            return
        self._bytes += held_bytes - client.held_bytes
        client.held_bytes = held_bytes
        while self._bytes > MAX_BYTES:
            largest = next((one for one in self._waiting if one.held_bytes), None)
            if largest is None:
                return
            largest.drop()
