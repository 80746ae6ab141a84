"""Working off takedowns: delete the objects of photos whose rows are gone, until the store lists nothing of them.

Objects of another program stay, unless the takedown is to delete them: external originals, and in a shared bucket what
lies among the photo's variants without being one of ours. They are noted either way, so that they can be purged.

Every step may be repeated, and each begins with what the catalogue has noted: a process that dies leaves the rest to
the next. Called by takedowns, by retention and by the daemon.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from uuid import UUID

from trr_pipelines.catalogue import retention, takedowns
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.takedowns import ExternalObject, Remains
from trr_pipelines.errors import PermanentError, Reason, RetryableError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.foreign_objects import is_shared
from trr_pipelines.pipeline.takedown.records import record_takedowns
from trr_pipelines.storage.keys import SHEETS, may_be_foreign, photo_prefixes

# A photo has a dozen objects: a transaction holds its locks for about a second.
PHOTOS_AT_ONCE = 100
# A render that finishes during the takedown stores objects after the first pass has deleted the others.
MAX_DELETE_PASSES = 3
# A CDN may have an object for this long.
PURGE_DAYS = 30


def finish(archive: Archive, photo_ids: Sequence[UUID]) -> dict[str, int]:
    """Delete everything that is left of photos that were taken down; returns the bytes of the objects found, by key.

    Raises RetryableError when the store fails, or lists objects that it does not delete; then the takedowns stay
    unfinished.
    """
    record_takedowns(archive)  # before anything is deleted: this outlives a catalogue that is restored
    remains = archive.database.run(lambda conn: takedowns.remains(conn, photo_ids))
    found: dict[str, int] = {}
    left = _note_what_is_left(archive, remains)
    for _ in range(MAX_DELETE_PASSES):
        if left:
            found |= left
            archive.store.delete(left)
            left = _note_what_is_left(archive, remains)
    if not left:
        found |= _delete_external(archive, photo_ids)
        archive.database.run(lambda conn: _settle(conn, archive.store.bucket, remains, found))
        return found
    objects_left = f"{len(left)} object{'' if len(left) == 1 else 's'}"
    raise RetryableError(
        Reason.STORAGE_UNAVAILABLE, f"{objects_left} could not be deleted, such as {min(left)}; run the takedown again"
    )


def finish_unfinished(archive: Archive, *, seconds: float | None = None) -> int:
    """Finish every takedown that has something left, for about `seconds`; returns the number of photos.

    Looks once more at those that ended before the last render of their photo had certainly ended. Raises RetryableError
    when the store fails.
    """
    bucket, began, photos = archive.store.bucket, time.monotonic(), 0
    record_takedowns(archive)
    while ids := archive.database.run(lambda conn: takedowns.due(conn, bucket, PHOTOS_AT_ONCE)):
        finish(archive, ids)
        photos += len(ids)
        if seconds is not None and time.monotonic() - began > seconds:
            break
    archive.database.run(lambda conn: takedowns.forget_keys(conn, PURGE_DAYS))
    return photos


def foreign_of(archive: Archive, photo_id: UUID) -> dict[ExternalObject, int]:
    """Objects of another program among the variants of a photo, with their bytes. Only a shared bucket has any."""
    if not archive.database.run(lambda conn: is_shared(archive, conn)):
        return {}
    store = archive.store
    return {
        ExternalObject(store.bucket, store.whole_key(item.key), store.public_url(item.key)): item.bytes
        for prefix in photo_prefixes(photo_id)
        for item in store.list(prefix)
        if may_be_foreign(item.key)
    }


def _delete_external(archive: Archive, photo_ids: Sequence[UUID]) -> dict[str, int]:
    """Delete what takedowns are to delete of another program's objects; bytes of those that existed, by bucket and key.

    Raises RetryableError when the store refuses.
    """
    found: dict[str, int] = {}
    for one in archive.database.run(lambda conn: takedowns.remains(conn, photo_ids)):
        for external in one.external if one.deletes_external else ():
            try:
                existing = archive.store.head_external(external.bucket, external.key)
            except PermanentError:  # no bucket can have it
                continue
            if existing is None:
                continue
            archive.store.delete_external(external.bucket, external.key)
            if archive.store.head_external(external.bucket, external.key) is not None:
                raise RetryableError(
                    Reason.STORAGE_UNAVAILABLE,
                    f"{external.key} in {external.bucket} could not be deleted; run the takedown again",
                )
            found[f"{external.bucket}/{external.key}"] = existing.bytes
    return found


def left_of(
    archive: Archive, photo_ids: Iterable[UUID], batches: Iterable[str], keys: Iterable[str] = ()
) -> dict[str, int]:
    """Bytes of our objects that the store has of these photos, and of contact sheets of these batches, by key."""
    has_foreign = archive.database.run(lambda conn: is_shared(archive, conn))
    prefixes = [prefix for photo_id in photo_ids for prefix in photo_prefixes(photo_id)]
    prefixes += [f"{SHEETS}{batch}/" for batch in batches]
    found = {
        item.key: item.bytes
        for prefix in prefixes
        for item in archive.store.list(prefix)
        if not (has_foreign and may_be_foreign(item.key))
    }
    elsewhere = [key for key in keys if not key.startswith(tuple(prefixes))]
    return found | {item.key: item.bytes for key in elsewhere for item in archive.store.list(key) if item.key == key}


def _note_what_is_left(archive: Archive, remains: Sequence[Remains]) -> dict[str, int]:
    """What the store has of these photos; its keys are noted before they are deleted, for purging."""
    left: dict[str, int] = {}
    foreign = {one.media_asset_id: [*foreign_of(archive, one.media_asset_id)] for one in remains}
    notes: list[tuple[list[UUID], list[str], str | None]] = []
    for one in remains:
        of_photo = left_of(archive, [one.media_asset_id], (), one.hosted_keys)
        left |= of_photo
        notes.append(([one.media_asset_id], sorted(of_photo), None))
    ids = [one.media_asset_id for one in remains]
    for batch in sorted({one.batch_key for one in remains if one.batch_key is not None}):
        sheets = left_of(archive, (), [batch])
        left |= sheets
        notes.append((ids, sorted(sheets), batch))
    unknown = [one for one in remains if one.batch_key is None]
    if unknown:
        last = max(one.taken_down_at for one in unknown)
        sheets = {item.key: item.bytes for item in archive.store.list(SHEETS) if item.last_modified < last}
        left |= sheets
        notes.append(([one.media_asset_id for one in unknown], sorted(sheets), None))

    def note(conn: Connection) -> None:
        for photo_ids, keys, batch in notes:
            takedowns.add_keys(conn, photo_ids, keys, batch)
        for photo_id, objects in foreign.items():
            takedowns.add_external(conn, photo_id, objects)

    if left or any(foreign.values()):
        archive.database.run(note)
    return left


def _settle(conn: Connection, bucket: str, remains: Sequence[Remains], found: Iterable[str]) -> None:
    takedowns.objects_are_gone(conn, [one.media_asset_id for one in remains])
    retention.unlist(conn, bucket, [*found, *(key for one in remains for key in one.hosted_keys)])
