"""Requests that wait for variants: one statement at a time looks for all of them, however many wait.

A waiting request holds neither a thread nor a connection to the catalogue.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

import psycopg
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool

from trr_pipelines.catalogue.database import Database
from trr_pipelines.pipeline.rework.requested_variants import RequestedSet, are_complete

EVERY_SECONDS = 0.5

_log = logging.getLogger("trr.variants")


class VariantWatch:
    """The sets that requests wait for. For one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: defaultdict[RequestedSet, set[asyncio.Future[bool]]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    async def wait(self, requested: RequestedSet, seconds: float) -> bool:
        """Wait until the set is complete; False after `seconds`.

        Raises NotFoundError and ConflictError if it never will be.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[requested].add(future)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return False
        finally:
            futures = self._waiting[requested]
            futures.discard(future)
            if not futures:
                del self._waiting[requested]

    async def _watch(self) -> None:
        while self._waiting:
            try:
                outcomes = await run_in_threadpool(are_complete, self._database, list(self._waiting))
            except (psycopg.Error, PoolTimeout) as error:
                # The requests go on waiting, and report the outage when they read the files.
                _log.warning("variants could not be looked for: %s", type(error).__name__)
                outcomes = {}
            for requested, outcome in outcomes.items():
                if outcome is not False:
                    self._answer(requested, outcome)
            await asyncio.sleep(EVERY_SECONDS)

    def _answer(self, requested: RequestedSet, outcome: bool | Exception) -> None:
        for future in self._waiting.get(requested, ()):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
