"""Retention: list objects that are no longer served, and delete those listed long enough ago.

Only listed objects are deleted, and only if nothing references them at that moment. Rows are deleted before objects: a
crash leaves an orphan object, which the next list finds, never a row without an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from typing import Any

from trr_pipelines.catalogue import retention
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.reconcile import known_batches
from trr_pipelines.catalogue.retention import Chunk, Listed, Total
from trr_pipelines.errors import ConflictError, InputError
from trr_pipelines.pipeline import epochs
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.foreign_objects import is_shared
from trr_pipelines.pipeline.takedown.finishing import finish_unfinished
from trr_pipelines.pipeline.upkeep.reconcile import batch_of_sheet
from trr_pipelines.storage.keys import PREFIXES, SHEETS, may_be_foreign, sheet_version
from trr_pipelines.storage.store import ListedObject

DAY = 86_400.0
# Browsers and the CDN may cache an image for as long as the CDN's longest TTL.
GRACE_DAYS = 30.0
# Time between listing and deleting in which an operator may inspect and clear the list.
UNDO_DAYS = 1.0
OBJECTS_PER_CHUNK = 500
# Among totals of the removal list: objects that are not on it, because they may be another program's.
FOREIGN = "foreign"


@dataclass(frozen=True)
class Removal:
    """What retention deleted, what it kept because something references it, and what is still listed."""

    removed: int
    removed_bytes: int
    refused: tuple[str, ...]
    listed: dict[str, Total]

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        totals = {why: {"objects": total.objects, "bytes": total.bytes} for why, total in self.listed.items()}
        return {
            "removed": self.removed,
            "removed_bytes": self.removed_bytes,
            "refused": list(self.refused),
            "listed": totals,
        }


def list_removable(archive: Archive, *, grace_days: float = GRACE_DAYS) -> dict[str, Total]:
    """Update the removal list: objects not served for the grace period, orphan objects, and earlier contact sheets.

    Orphans are listed when first found, and stay on the list for the grace period. In a bucket that is shared, objects
    that no row names and that may be another program's are not listed: they are counted as `foreign`. Raises
    ConflictError when the catalogue is older than the store.
    """
    epochs.require_not_behind(archive)
    bucket = archive.store.bucket
    archive.database.run(lambda conn: retention.list_unserved(conn, bucket, _seconds(grace_days)))
    is_shared = _spare_foreign(archive)
    foreign = Total(0, 0)
    for objects in _stored(archive):
        if is_shared:
            theirs = {key: size for key, size in objects if may_be_foreign(key)}
            unnamed = archive.database.run(lambda conn, theirs=theirs: retention.without_rows(conn, bucket, [*theirs]))  # type: ignore[misc]
            foreign = Total(foreign.objects + len(unnamed), foreign.bytes + sum(theirs[key] for key in unnamed))
            objects = [(key, size) for key, size in objects if key not in theirs]
        archive.database.run(lambda conn, objects=objects: retention.list_orphans(conn, bucket, objects))  # type: ignore[misc]
    totals = archive.database.run(lambda conn: retention.listed_totals(conn, bucket))
    return totals | ({FOREIGN: foreign} if foreign.objects else {})


def _spare_foreign(archive: Archive) -> bool:
    """Whether the bucket is shared; then what may be foreign is taken off the list, which may be older than that."""
    bucket = archive.store.bucket

    def spare(conn: Connection) -> bool:
        if not is_shared(archive, conn):
            return False
        listed = retention.listed(conn, bucket)
        retention.unlist(conn, bucket, [one.hosted_key for one in listed if _may_be_theirs(one)])
        return True

    return archive.database.run(spare)


def _may_be_theirs(one: Listed) -> bool:
    return one.why == "orphan" and may_be_foreign(one.hosted_key)


def remove_listed(archive: Archive, *, grace_days: float = GRACE_DAYS, undo_days: float = UNDO_DAYS) -> Removal:
    """Delete listed objects: orphans after the grace period, others after the undo window; finish takedowns first.

    Raises ConflictError when the catalogue is older than the store, and for orphans without the whole grace period when
    it was restored within the last 30 days: the orphans may be originals that it has forgotten.
    """
    epochs.require_not_behind(archive)
    _require_patience(archive, grace_days)
    finish_unfinished(archive)
    _spare_foreign(archive)
    bucket = archive.store.bucket

    def drop_rows(conn: Connection, after: str) -> Chunk | None:
        return retention.drop_rows(conn, bucket, undo_seconds=_seconds(undo_days), after=after, limit=OBJECTS_PER_CHUNK)

    def delete_objects(conn: Connection, after: str) -> Chunk | None:
        # Locks are held during the deletion, so that no render relies on one of these objects.
        chunk = retention.lock_removable(
            conn, bucket, orphan_seconds=_seconds(grace_days), after=after, limit=OBJECTS_PER_CHUNK
        )
        if chunk is not None:
            archive.store.delete(chunk.removable)
            retention.unlist(conn, bucket, [*chunk.removable, *chunk.refused])
        return chunk

    dropped, deleted = _chunks(archive, drop_rows), _chunks(archive, delete_objects)
    totals = archive.database.run(lambda conn: retention.listed_totals(conn, bucket))
    return Removal(
        sum(len(chunk.removable) for chunk in deleted),
        sum(sum(chunk.removable.values()) for chunk in deleted),
        tuple(key for chunk in (*dropped, *deleted) for key in chunk.refused),
        totals,
    )


def _require_patience(archive: Archive, grace_days: float) -> None:
    """After a restore the grace period is not shortened: deleting its orphans at once was never what anyone meant."""
    adopted_at = epochs.own_epoch(archive).adopted_at
    if adopted_at is None or grace_days >= GRACE_DAYS:
        return
    ends = adopted_at + timedelta(days=GRACE_DAYS)
    if datetime.now(UTC) < ends:
        raise ConflictError(
            f"the catalogue was restored on {adopted_at:%Y-%m-%d}: until {ends:%Y-%m-%d} orphans wait "
            f"{GRACE_DAYS:g} days, not {grace_days:g}; see docs/restore.md"
        )


def _chunks(archive: Archive, step: Callable[[Connection, str], Chunk | None]) -> list[Chunk]:
    """Process the list in chunks, each in its own transaction."""
    chunks: list[Chunk] = []
    while True:
        after = chunks[-1].last_key if chunks else ""
        chunk = archive.database.run(lambda conn, after=after: step(conn, after))  # type: ignore[misc]
        if chunk is None:
            return chunks
        chunks.append(chunk)


def removal_list(archive: Archive) -> list[Listed]:
    """The listed objects, oldest first."""
    return archive.database.run(lambda conn: retention.listed(conn, archive.store.bucket))


def referenced(archive: Archive) -> list[str]:
    """Listed objects that are still referenced; there should be none."""
    return archive.database.run(lambda conn: retention.referenced(conn, archive.store.bucket))


def adopt_store(archive: Archive) -> int:
    """Declare a restored catalogue the one of its store; returns its epoch.

    Deletions are allowed again. Orphans are listed again, so that each waits for the whole grace period.
    """
    own = epochs.adopt(archive)
    archive.database.run(lambda conn: retention.unlist_all(conn, archive.store.bucket))
    return own.epoch


def empty_list(archive: Archive) -> int:
    """Clear the removal list; returns how many objects were on it."""
    return archive.database.run(lambda conn: retention.unlist_all(conn, archive.store.bucket))


def _stored(archive: Archive) -> Iterator[list[tuple[str, int]]]:
    """Every object that may be an orphan, in chunks of key and bytes."""
    for prefix in PREFIXES:
        listed = archive.store.list(prefix) if prefix != SHEETS else _earlier_sheets(archive)
        objects = ((item.key, item.bytes) for item in listed)
        while chunk := list(islice(objects, OBJECTS_PER_CHUNK)):
            yield chunk


def _earlier_sheets(archive: Archive) -> Iterator[ListedObject]:
    """Contact sheets of unknown batches, and those that a newer one of the same batch and name has replaced."""
    for batch, group in groupby(archive.store.list(SHEETS), key=lambda item: batch_of_sheet(item.key)):
        sheets = list(group)
        is_known = archive.database.run(lambda conn, batch=batch: known_batches(conn, [batch]))  # type: ignore[misc]
        newest: dict[str, ListedObject] = {}
        for item in sheets:
            name, _ = sheet_version(item.key)
            newest[name] = max(newest.get(name, item), item, key=lambda one: one.last_modified)
        for item in sheets:
            name, version = sheet_version(item.key)
            if not is_known or version != sheet_version(newest[name].key)[1]:
                yield item


def _seconds(days: float) -> float:
    if not 0 <= days <= 3650:
        raise InputError(f"a retention period is 0 to 3650 days, not {days}")
    return days * DAY
