"""Takedown: remove a photo, or every photo of a person, everywhere, and keep it from coming back.

Rows are deleted first; the same transaction puts their objects on the removal list, so that retention deletes them if
this process dies. Then the objects are deleted, and listed again to confirm it. URLs that a CDN may still hold are
returned for purging.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue import audit, entities, retention, takedowns
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.entities import require_entity
from trr_pipelines.catalogue.takedowns import TakedownExtent
from trr_pipelines.errors import NotFoundError, Reason, RetryableError
from trr_pipelines.pipeline.archive import Archive

# A photo has a dozen objects: locks are held for about a second.
PHOTOS_AT_ONCE = 100
# A photo has a folder under each of these prefixes; a stale render may have left objects there.
PHOTO_PREFIXES = ("crops", "variants")
# A render that finishes during the takedown stores objects after the first pass has deleted the others.
MAX_DELETE_PASSES = 3


@dataclass(frozen=True)
class Takedown:
    """What was removed, or would be: photos, links, objects with their bytes, and the URLs that a CDN must purge."""

    dry_run: bool
    photo_ids: tuple[UUID, ...]
    links: int
    objects: int
    bytes: int
    purge_urls: tuple[str, ...]


def take_down(archive: Archive, what: str, *, author: Author, dry_run: bool = False) -> Takedown:
    """Take down a photo by its id, or every photo of a person by id or slug. Raises NotFoundError if neither exists."""
    try:
        named: UUID | str = UUID(what)
    except ValueError:
        named = what
    try:
        person_id = archive.database.run(lambda conn: require_entity(conn, "person", named))
    except NotFoundError:
        if isinstance(named, UUID):
            return take_down_photo(archive, named, author=author, dry_run=dry_run)
        raise
    return take_down_person(archive, person_id, author=author, dry_run=dry_run)


def take_down_photo(archive: Archive, photo_id: UUID, *, author: Author, dry_run: bool = False) -> Takedown:
    """Take down a photo: every version and variant, links, history, and its URLs in imports.

    A second call deletes objects that were stored late. Raises NotFoundError for an unknown photo, and RetryableError
    when the store failed to delete; the rows are deleted by then, and retention deletes the objects.
    """
    taken = _take_down(archive, [photo_id], author, dry_run)
    if not taken.photo_ids and not archive.database.run(lambda conn: takedowns.is_taken_down(conn, photo_id)):
        raise NotFoundError(f"no photo {photo_id}")
    return taken


def take_down_person(archive: Archive, person_id: UUID, *, author: Author, dry_run: bool = False) -> Takedown:
    """Take down every photo linked to a person, including group photos and photos of shows. The person's row stays.

    Raises NotFoundError for an unknown person, and RetryableError as `take_down_photo`.
    """
    if not archive.database.run(lambda conn: entities.exists(conn, "person", person_id)):
        raise NotFoundError(f"no person {person_id}")
    limit = None if dry_run else PHOTOS_AT_ONCE
    parts: list[Takedown] = []
    while chunk := archive.database.run(lambda conn: takedowns.photos_of_person(conn, person_id, limit)):
        parts.append(_take_down(archive, chunk, author, dry_run))
        if dry_run:
            break
    taken = _sum(parts, dry_run)
    if taken.photo_ids and not dry_run:
        counts = {"photos": len(taken.photo_ids), "links": taken.links, "objects": taken.objects}
        archive.database.run(
            lambda conn: audit.record(conn, author, "takedown", "person", person_id, old=counts, new=None)
        )
    return taken


def _take_down(archive: Archive, photo_ids: Sequence[UUID], author: Author, dry_run: bool) -> Takedown:
    bucket = archive.store.bucket

    def read_extent(conn: Connection) -> TakedownExtent:
        return takedowns.lock_extent(conn, bucket, photo_ids)

    def remove(conn: Connection) -> TakedownExtent:
        extent = read_extent(conn)
        takedowns.remove(conn, bucket, extent)
        for photo in extent.photos:
            old = {"state": photo.state, "links": photo.links, "person_ids": photo.person_ids}
            audit.record(conn, author, "takedown", "media_asset", photo.id, old=old, new=None)
        return extent

    extent = archive.database.run(read_extent if dry_run else remove)
    prefixes = [f"{folder}/{photo_id}/" for photo_id in photo_ids for folder in PHOTO_PREFIXES]
    prefixes += [f"contact_sheets/{batch}/" for batch in sorted({photo.batch for photo in extent.photos})]
    objects = extent.objects | _stored(archive, prefixes)
    if not dry_run:
        _delete(archive, objects, prefixes)
    return Takedown(
        dry_run,
        tuple(photo.id for photo in extent.photos),
        sum(photo.links for photo in extent.photos),
        len(objects),
        sum(objects.values()),
        tuple(archive.store.public_url(key) for key in sorted(objects)),
    )


def _stored(archive: Archive, prefixes: Iterable[str]) -> dict[str, int]:
    return {item.key: item.bytes for prefix in prefixes for item in archive.store.list(prefix)}


def _delete(archive: Archive, objects: dict[str, int], prefixes: Sequence[str]) -> None:
    """Delete until the store lists nothing more, then take the objects off the removal list."""
    left = list(objects)
    for _ in range(MAX_DELETE_PASSES):
        archive.store.delete(left)
        left = [key for key in objects if key.startswith("originals/") and archive.store.head(key) is not None]
        left += _stored(archive, prefixes)
        if not left:
            archive.database.run(lambda conn: retention.unlist(conn, archive.store.bucket, list(objects)))
            return
    objects_left = f"{len(left)} object{'' if len(left) == 1 else 's'}"
    raise RetryableError(
        Reason.STORAGE_UNAVAILABLE, f"{objects_left} could not be deleted, such as {left[0]}; run the takedown again"
    )


def _sum(parts: Sequence[Takedown], dry_run: bool) -> Takedown:
    return Takedown(
        dry_run,
        tuple(photo_id for part in parts for photo_id in part.photo_ids),
        sum(part.links for part in parts),
        sum(part.objects for part in parts),
        sum(part.bytes for part in parts),
        tuple(dict.fromkeys(url for part in parts for url in part.purge_urls)),
    )
