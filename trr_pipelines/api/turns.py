"""How much large work one account may have under way: each piece holds a connection to the catalogue, of 16 for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from trr_pipelines.api.problems import Refusal

AT_ONCE = 4
WAIT_SECONDS = 0.5  # a waiting request holds one of 40 threads


class Turns:
    """Turns of one kind of work, `what` in the plural. Safe to share between threads."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._by_account: defaultdict[str, BoundedSemaphore] = defaultdict(lambda: BoundedSemaphore(AT_ONCE))

    @contextmanager
    def of(self, account: str) -> Iterator[None]:
        """Hold a turn of this account in the block. Raises Refusal with 503 when all are held for half a second."""
        turns = self._by_account[account]
        if not turns.acquire(timeout=WAIT_SECONDS):
            raise Refusal(503, f"{account} has {AT_ONCE} {self._what} under way, as many as at once; try again")
        try:
            yield
        finally:
            turns.release()
