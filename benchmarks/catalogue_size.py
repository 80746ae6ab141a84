"""Cost by size of the catalogue: sensor ticks, operations, metrics, lists, searches, filters.

    .venv/bin/python -m benchmarks.catalogue_size [--assets 10000 1000000] [--rounds 15] [--home FOLDER]

Two catalogues filled by SQL, with the same open work in each: 1,000 failed photos, 1,000 pending ones, 1,000 crop
edits, 100 changed people. Each use case runs in both, in turns. Printed are the medians of their seconds, the buffers
that PostgreSQL reads for their statements, and the ratios of the second catalogue to the first. Above 1.2x the buffers
or 1.5x the time, a bounded case is marked GROWS. PostgreSQL reads small tables sequentially and large ones by index, so
the buffers of bounded cases are measured without sequential scans and hashes in both catalogues.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from benchmarks.gallery_page import filled
from trr_pipelines.api.metrics import FRESH_SECONDS, read_snapshot
from trr_pipelines.catalogue import schema, status
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.catalogue.galleries import Filters
from trr_pipelines.pipeline import scheduling
from trr_pipelines.pipeline.galleries.entities import list_entities, one_entity
from trr_pipelines.pipeline.galleries.pages import PageRequest, show_gallery
from trr_pipelines.pipeline.reporting.operations import read_operations
from trr_pipelines.pipeline.rework.backfill_feed import feed
from trr_pipelines.pipeline.rework.reprocessing import ReprocessFilter, plan_reprocessing

MORE = (Path(__file__).parent / "catalogue_size.sql").read_text()
SCRIPTS = ("catalogue_size", (Path(__file__).parent / "gallery_page.sql").read_text() + MORE)
MOST_BUFFERS, MOST_TIME = 1.2, 1.5


@dataclass(frozen=True)
class Case:
    """A use case; `is_bounded` if its cost must not grow with the catalogue."""

    name: str
    work: Callable[[Database], object]
    is_bounded: bool = False


@dataclass(frozen=True)
class Catalogue:
    """A filled catalogue."""

    assets: int
    url: str
    database: Database


def cases() -> Iterator[Case]:
    """All use cases, in the order of the report."""
    for name, tick in {
        "new batches": lambda d: scheduling.batches_to_announce(d, lambda _: True),
        "batches with work": lambda d: scheduling.request_batches(d, lambda _: True),
        "changed crops": lambda d: scheduling.request_crops(d, lambda _: True),
        "retries": lambda d: scheduling.request_retries(d, lambda _: True),
        "changed seeds": lambda d: scheduling.request_people(d, lambda _: True),
        "removals": lambda d: scheduling.request_removals(d, lambda _: True),
        "backfills": lambda d: feed(d, lambda _: True, queue=2, hours=None),
    }.items():
        yield Case(f"tick: {name}", tick, is_bounded=True)
    yield Case("readyz", lambda d: d.run(schema.require_current), is_bounded=True)
    yield Case(f"metrics, at most every {FRESH_SECONDS:.0f} s", read_snapshot, is_bounded=True)
    yield Case("operations", read_operations, is_bounded=True)
    yield Case("price: state failed", lambda d: plan_reprocessing(d, ReprocessFilter(state="failed")), is_bounded=True)
    yield Case("price: reason", lambda d: plan_reprocessing(d, ReprocessFilter(reason="corrupt")), is_bounded=True)
    yield Case(
        "price: show of 1,000",
        lambda d: plan_reprocessing(d, ReprocessFilter(show=_show(d, "000001"))),
        is_bounded=True,
    )
    yield Case("price: source (all photos)", lambda d: plan_reprocessing(d, ReprocessFilter(source="bench")))
    yield Case("status", lambda d: d.read(status.archive_status))
    yield from _entity_cases()
    yield from _gallery_cases()


def _entity_cases() -> Iterator[Case]:
    yield Case("shows, a page of 50", lambda d: list_entities(d, "show", q=None, after=None, limit=50), is_bounded=True)
    yield Case("a show with seasons", lambda d: one_entity(d, "show", UUID(_show(d, "000001"))), is_bounded=True)
    for kind, table in (("show", "shows"), ("person", "people")):
        for what, q in (("many matches", "1"), ("no match", "nothing")):
            yield Case(
                f"{table}, q {what}", lambda d, kind=kind, q=q: list_entities(d, kind, q=q, after=None, limit=50)
            )  # type: ignore[misc]
    yield Case("people, a page of 200", lambda d: list_entities(d, "person", q=None, after=None, limit=200), True)


def _gallery_cases() -> Iterator[Case]:
    for name, filters in {
        "no filter": Filters(),
        "kind": Filters(kind="news"),
        "tag, of 1 in 1,000": Filters(tags=["rare"]),
        "tag, no match": Filters(tags=["none"]),
        "q, of 1 in 1,000": Filters(q="behind"),
        "q, no match": Filters(q="nothing like it"),
        "state failed": Filters(state="failed"),
        "state complete": Filters(state="complete"),
        "reason": Filters(reason="corrupt"),
        "source, of all": Filters(source="bench"),
        "source, no match": Filters(source="other"),
        "crop auto": Filters(crop="auto"),
        "crop manual": Filters(crop="manual"),
        "seed": Filters(seed=True),
        "everything at once": Filters("photo", ["rare"], "bench", "mirrored", None, False, "auto", "behind"),
    }.items():
        for sort in ("position", "newest"):
            request = PageRequest(filters, sort, None, 200)  # type: ignore[arg-type]
            yield Case(
                f"gallery by {sort}: {name}", lambda d, r=request: show_gallery(d, UUID(_show(d, "large gallery")), r)
            )  # type: ignore[misc]


_shows: dict[tuple[int, str], str] = {}


def _show(database: Database, title: str) -> str:
    key = (id(database), title)
    if key not in _shows:
        with database.transaction() as conn:
            row = conn.execute("select id from core.shows where title = %s", (title,)).fetchone()
        assert row is not None
        _shows[key] = str(row["id"])
    return _shows[key]


def main() -> None:
    """Measure each case in each catalogue and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--assets", type=int, nargs=2, default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="cases whose name has this text")
    parser.add_argument("--home", type=Path, help="where the databases are kept, for another run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trr-size-") as scratch:
        server = EmbeddedPostgres(arguments.home or Path(scratch) / "home")
        server.start()
        try:
            small, large = (
                Catalogue(assets, url, Database(url).open())
                for assets in arguments.assets
                for url in (filled(server, assets, *SCRIPTS),)
            )
            print(f"{'':40} {small.assets:>11,} {large.assets:>11,} assets    buffers")
            for case in cases():
                if arguments.only in case.name:
                    _report(case, small, large, arguments.rounds)
            small.database.close()
            large.database.close()
        finally:
            server.release()


def _report(case: Case, small: Catalogue, large: Catalogue, rounds: int) -> None:
    seconds: dict[int, list[float]] = {small.assets: [], large.assets: []}
    buffers = {catalogue.assets: _buffers(case, catalogue) for catalogue in (small, large)}  # also warms the caches
    began = time.monotonic()
    while len(seconds[large.assets]) < rounds and (not seconds[large.assets] or time.monotonic() - began < 20):
        for catalogue in (small, large):
            start = time.perf_counter()
            case.work(catalogue.database)
            seconds[catalogue.assets].append(time.perf_counter() - start)
    least, most = (statistics.median(seconds[catalogue.assets]) for catalogue in (small, large))
    counted = [buffers[catalogue.assets] for catalogue in (small, large)]
    grew = counted[1] / max(1, counted[0]), most / least
    verdict = ""
    if case.is_bounded:
        verdict = "  ok" if grew[0] <= MOST_BUFFERS and grew[1] <= MOST_TIME else "  GROWS"
    print(
        f"{case.name:40} {least * 1000:8.1f} ms {most * 1000:8.1f} ms {grew[1]:7.2f}x"
        f" {counted[0]:9,} {counted[1]:9,} {grew[0]:7.2f}x{verdict}",
        flush=True,
    )


def _buffers(case: Case, catalogue: Catalogue) -> int:
    """Buffers that the statements of a case read, with warm caches."""
    with _recorded() as statements:
        case.work(catalogue.database)
    buffers = 0
    with psycopg.connect(catalogue.url, row_factory=dict_row, prepare_threshold=None) as conn:
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
            conn.execute("select set_config(%s, %s, false)", (setting, "off" if case.is_bounded else "on"))
        for sql, parameters in statements:
            if not sql.lstrip().lower().startswith(("set ", "begin", "commit")):
                for _ in range(2):
                    row = conn.execute("explain (analyze, buffers, format json) " + sql, parameters).fetchone()  # type: ignore[arg-type]
                assert row is not None
                plan = row["QUERY PLAN"][0]["Plan"]
                buffers += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        conn.rollback()
    return buffers


@contextmanager
def _recorded() -> Iterator[list[tuple[str, Any]]]:
    """Record every statement sent in the block, with its parameters."""
    execute = psycopg.Cursor.execute
    sent: list[tuple[str, Any]] = []

    def recording(cursor: Any, sql: Any, parameters: Any = None, **options: Any) -> Any:
        text = sql if isinstance(sql, str) else sql.as_string(cursor) if hasattr(sql, "as_string") else sql.decode()
        if text.strip():
            sent.append((text, parameters))
        return execute(cursor, sql, parameters, **options)

    psycopg.Cursor.execute = recording  # type: ignore[assignment, method-assign]
    try:
        yield sent
    finally:
        psycopg.Cursor.execute = execute  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
