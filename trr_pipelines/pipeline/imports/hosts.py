"""Turns at the hosts of sources: a few requests at a time, none while a host asked to wait.

The catalogue keeps both, so all threads and runs share them, and a wait outlasts its run. HTTP is in `fetching`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from trr_pipelines.catalogue import hosts
from trr_pipelines.catalogue.database import Database
from trr_pipelines.errors import HostBusyError
from trr_pipelines.pipeline.imports.fetching.http import DEADLINE_SECONDS

REQUESTS_PER_HOST: Final = 4
PATIENCE_SECONDS: Final = 10.0
"""The longest wait that a run sits out, in seconds; with a longer one its photos come back later."""

_LEASE_SECONDS: Final = 2 * DEADLINE_SECONDS
_POLL_SECONDS: Final = 0.2


class SharedTurns:
    """The turns of all runs on one catalogue; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def turn(self, host: str) -> Iterator[None]:
        """A request to the host, begun when it is due. Raises HostBusyError when the host asked for a longer wait."""
        while True:
            got = self._database.run(
                lambda conn: hosts.take(conn, host, most=REQUESTS_PER_HOST, lease_seconds=_LEASE_SECONDS)
            )
            if got.lease is not None:
                break
            if got.wait_seconds > PATIENCE_SECONDS:
                raise HostBusyError(
                    f"{host} asked for a wait of {got.wait_seconds:.0f} s", retry_after=got.wait_seconds
                )
            time.sleep(got.wait_seconds or _POLL_SECONDS)
        lease = got.lease
        try:
            yield
        finally:
            self._database.run(lambda conn: hosts.give_back(conn, host, lease))

    def wait(self, host: str, seconds: float) -> None:
        """Record that a host asked for a wait."""
        self._database.run(lambda conn: hosts.wait(conn, host, seconds))
