"""Registering import rows: each becomes a pending photo with its links, in a batch; a bad row affects no other.

No bytes are fetched here: a run does that, with `pipeline.imports.mirroring`. `pipeline.imports.manifest` parses rows.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit
from uuid import UUID, uuid4

from trr_pipelines.catalogue import imports, takedowns
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.imports import Item, Lane, NewLink
from trr_pipelines.pipeline.imports.folders import Skipped
from trr_pipelines.pipeline.imports.manifest import BadRow, ImportRow, Row
from trr_pipelines.pipeline.imports.naming import Names, name_entities

CHUNK = 500  # rows in one transaction: a killed import keeps all earlier chunks


@dataclass
class ImportSummary:
    """The result of an import: counts, rejected rows, files left out by kind, and the batches of its photos."""

    import_id: UUID
    rows: int = 0
    created: int = 0
    known: int = 0
    fetched_again: int = 0
    links: int = 0
    rejected: list[BadRow] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    batches: list[str] = field(default_factory=list)


def import_rows(
    database: Database,
    rows: Iterable[Row],
    *,
    day: date | None = None,
    lane: Lane = "live",
    progress: Callable[[int], None] = lambda _: None,
) -> ImportSummary:
    """Register rows in the catalogue; `progress` is called with the number of rows processed.

    Importing the same rows again creates nothing, and fetches photos again that had failed. A bad row is recorded and
    stops no other. `day` (UTC, today by default) is part of the batch keys. Photos in the lane `backfill` wait for a
    backfill.
    """
    summary = ImportSummary(uuid4())
    batch_day = day or datetime.now(UTC).date()
    for chunk in _chunks(_counted(rows, summary.skipped)):
        checked = [_checked(row) for row in chunk]
        names = names_of(database, checked)
        registered = database.run(
            lambda conn, rows=checked, names=names: register_rows(  # type: ignore[misc]
                conn, summary.import_id, batch_day, rows, names, lane
            )
        )
        summary.rows += len(chunk)
        summary.created += registered.created
        summary.known += registered.known
        summary.fetched_again += registered.fetched_again
        summary.links += registered.links
        summary.rejected += registered.rejected
        summary.batches = sorted({*summary.batches, *registered.batches})
        progress(summary.rows)
    return summary


def _counted(rows: Iterable[Row], skipped: Counter[str]) -> Iterator[ImportRow | BadRow]:
    """The rows to register; those that are left out are counted in `skipped`."""
    for row in rows:
        if isinstance(row, Skipped):
            skipped[row.kind] += 1
        else:
            yield row


def _chunks(rows: Iterable[ImportRow | BadRow]) -> Iterator[list[ImportRow | BadRow]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _checked(row: ImportRow | BadRow) -> ImportRow | BadRow:
    """Reject a missing or unreadable file now instead of after a run."""
    if isinstance(row, BadRow) or not row.location.startswith("file:"):
        return row
    path = local_path(row.location)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return BadRow(row.line, str(path), f"{path}: {reason}")
    if not stat.S_ISREG(mode):
        return BadRow(row.line, str(path), f"{path}: not a regular file")
    if not os.access(path, os.R_OK):
        return BadRow(row.line, str(path), f"{path}: cannot be read")
    return row


def local_path(location: str) -> Path:
    """The path of a file URL, including names that are not UTF-8."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(location, allow_fragments=False).path)))


@dataclass(frozen=True)
class RegisteredRows:
    """The result of registering rows: `items` has the outcome of each row in order, `rejected` the bad ones.

    `fetched_again` counts known photos that had failed and are fetched again.
    """

    created: int
    known: int
    fetched_again: int
    links: int
    items: list[Item]
    rejected: list[BadRow]
    batches: set[str]


def names_of(database: Database, rows: Sequence[ImportRow | BadRow]) -> Names:
    """What the rows to register name, found or created: none of a row whose URL was taken down."""
    kept = database.read(lambda conn: _without_taken_down(conn, rows))
    return name_entities(database, [row for row in kept if isinstance(row, ImportRow)])


def register_rows(
    conn: Connection,
    import_id: UUID,
    day: date,
    rows: Sequence[ImportRow | BadRow],
    names: Names,
    lane: Lane = "live",
) -> RegisteredRows:
    """Register rows with the names they have, in the caller's transaction. URLs that were taken down are rejected."""
    sources = sorted({row.source for row in rows if isinstance(row, ImportRow)})
    for source in sources:
        imports.lock_source(conn, source)
    rows = _without_taken_down(conn, rows)
    rejected = [row for row in rows if isinstance(row, BadRow)]
    items = [Item(row.line, "", row.location, "rejected", row.problem[:1000], None) for row in rejected]
    good = [row for row in rows if isinstance(row, ImportRow)]
    links: list[NewLink] = []
    created = 0
    for source in sources:
        of_source = [row for row in good if row.source == source]
        added = imports.add_photos(conn, source, day, [row.location for row in of_source], lane)
        fresh = set(added.created)
        created += len(fresh)
        for row in of_source:
            photo = added.ids[row.location]
            outcome = "created" if row.location in fresh else "known"
            fresh.discard(row.location)
            items.append(Item(row.line, source, row.location, outcome, "", photo))
            tags = names.spelled(row)
            links += [
                NewLink(photo, target, row.kind, row.position, row.caption, tags) for target in names.targets(row)
            ]
    items.sort(key=lambda item: item.line)
    new_links = imports.add_links(conn, links)
    imports.add_items(conn, import_id, items)
    known = [item.media_asset_id for item in items if item.outcome == "known" and item.media_asset_id is not None]
    again = imports.fetch_again(conn, known)
    batches = imports.batches_of(conn, [item.media_asset_id for item in items])
    return RegisteredRows(created, len(good) - created, len(again), new_links, items, rejected, batches)


def _without_taken_down(conn: Connection, rows: Sequence[ImportRow | BadRow]) -> list[ImportRow | BadRow]:
    """The rows, with a BadRow in place of each whose URL was taken down."""
    urls = [row.location for row in rows if isinstance(row, ImportRow)]
    gone = takedowns.taken_down_addresses(conn, urls)
    return [
        BadRow(row.line, "", takedowns.TAKEN_DOWN) if isinstance(row, ImportRow) and row.location in gone else row
        for row in rows
    ]
