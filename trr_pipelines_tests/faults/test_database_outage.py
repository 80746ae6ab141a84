"""Reads of checks, contact sheets and reports survive a database outage longer than one connection timeout."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks import guardrails, invariants
from trr_pipelines.pipeline.rendering.contact_sheets import make_contact_sheet, make_least_saved_sheet
from trr_pipelines.pipeline.rework.rerender import touched_sets

OUTAGE_SECONDS = 6  # one attempt times out after 5 s

READS: tuple[Callable[[Archive], object], ...] = (
    lambda archive: invariants.originals_are_intact(archive, "none"),
    lambda archive: invariants.variant_objects_are_intact(archive, None),
    lambda archive: invariants.variant_sets_are_complete(archive, None),
    lambda archive: invariants.active_crops_are_rendered(archive, None),
    lambda archive: invariants.nothing_was_upscaled(archive, None),
    lambda archive: invariants.grid_bytes_fell(archive, None),
    lambda archive: invariants.grid_bytes_fell(archive, "none"),
    lambda archive: guardrails.originals_within_guardrails(archive, None),
    lambda archive: guardrails.failure_rate_by_source(archive, None),
    lambda archive: guardrails.live_work_waits_less_than_an_hour(archive),
    lambda archive: guardrails.archive_figures(archive),
    lambda archive: make_contact_sheet(archive, "none", "card-webp"),
    lambda archive: make_least_saved_sheet(archive, "none"),
    lambda archive: list(touched_sets(archive, Scope(photo_ids=()))),
)


def test_reads_of_a_run_survive_one_connection_timeout(archive: Archive, database_url: str) -> None:
    """The only connection of the pool is held, which has the effect of a restarting server."""
    database = Database(database_url, max_size=1).open()
    held, done = Event(), Event()

    def hold() -> None:
        with database.transaction():
            held.set()
            done.wait(OUTAGE_SECONDS)

    with ThreadPoolExecutor(1 + len(READS)) as threads:
        holding = threads.submit(hold)
        assert held.wait(5)
        one_connection = replace(archive, database=database)
        results = [threads.submit(read, one_connection) for read in READS]
        errors = [result.exception(60) for result in results]
        holding.result()
    database.close()
    assert errors == [None] * len(READS)
