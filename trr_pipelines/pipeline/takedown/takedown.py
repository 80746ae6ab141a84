"""Takedown: a photo, or every photo of a person, removed everywhere and kept from coming back.

Rows go first, and with them their objects onto the removal list, so that retention deletes what we do not live to
delete. Then the objects go, and are looked for once more. What a CDN may still hold is returned as URLs to purge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue import audit, entities, photos, retention, takedowns
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.takedowns import TakedownExtent
from trr_pipelines.errors import NotFoundError, Reason, RetryableError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.galleries.entities import require_entity

# A photo has a dozen objects: locks are held for about a second.
PHOTOS_AT_ONCE = 100
# Of each of these a photo has its own folder, where a render that was overtaken may have left something.
PHOTO_PREFIXES = ("crops", "variants")
LOOKS = 3


@dataclass(frozen=True)
class Takedown:
    """What is, or would be, gone: photos, links, objects with their bytes, and the URLs that a CDN must purge."""

    dry_run: bool
    photo_ids: tuple[UUID, ...]
    links: int
    objects: int
    bytes: int
    purge_urls: tuple[str, ...]


def take_down(archive: Archive, what: str, *, author: Author, dry_run: bool = False) -> Takedown:
    """Take down a photo by its id, or every photo of a person by id or slug. Raises NotFoundError for neither."""
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
    """Take a photo down: every version and variant, links, history, and its addresses in imports.

    Doing it again looks for objects that came late. Raises NotFoundError for a photo that never was, and
    RetryableError when the store could not delete; the rows are gone then, and retention deletes the objects.
    """
    taken = _take_down(archive, [photo_id], author, dry_run)
    if not taken.photo_ids and not archive.database.run(lambda conn: takedowns.is_taken_down(conn, photo_id)):
        raise NotFoundError(f"no photo {photo_id}")
    return taken


def take_down_person(archive: Archive, person_id: UUID, *, author: Author, dry_run: bool = False) -> Takedown:
    """Take down every photo of a person, also where others are in it or it is a show's. The person's row stays.

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


def discard_late_objects(archive: Archive, photo_id: UUID, keys: Sequence[str]) -> None:
    """Delete what a render stored of a photo that was taken down meanwhile; nothing of any other photo."""
    if archive.database.run(lambda conn: takedowns.is_taken_down(conn, photo_id)):
        archive.store.delete(keys)


def forbid_late_bytes(archive: Archive, photo_id: UUID, sha256: str, key: str) -> None:
    """The original of a photo that was taken down before it arrived: its bytes are forbidden too, its object goes.

    Bytes that another photo has are that photo's, and stay.
    """

    def forbid(conn: Connection) -> bool:
        photos.hold_bytes(conn, sha256)
        if not takedowns.is_taken_down(conn, photo_id) or takedowns.content_is_held(conn, sha256):
            return False
        takedowns.forget_contents(conn, [sha256])
        return True

    if archive.database.run(forbid):
        archive.store.delete([key])


def _take_down(archive: Archive, photo_ids: Sequence[UUID], author: Author, dry_run: bool) -> Takedown:
    bucket = archive.store.bucket

    def look(conn: Connection) -> TakedownExtent:
        return takedowns.lock_extent(conn, bucket, photo_ids)

    def remove(conn: Connection) -> TakedownExtent:
        extent = look(conn)
        takedowns.remove(conn, bucket, extent)
        for photo in extent.photos:
            old = {"state": photo.state, "links": photo.links, "person_ids": photo.person_ids}
            audit.record(conn, author, "takedown", "media_asset", photo.id, old=old, new=None)
        return extent

    extent = archive.database.run(look if dry_run else remove)
    prefixes = [f"{folder}/{photo_id}/" for photo_id in photo_ids for folder in PHOTO_PREFIXES]
    prefixes += [f"contact_sheets/{batch}/" for batch in sorted({photo.batch for photo in extent.photos})]
    objects = extent.objects | _standing(archive, prefixes)
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


def _standing(archive: Archive, prefixes: Iterable[str]) -> dict[str, int]:
    return {item.key: item.bytes for prefix in prefixes for item in archive.store.list(prefix)}


def _delete(archive: Archive, objects: dict[str, int], prefixes: Sequence[str]) -> None:
    """Delete until nothing is found any more, and only then take the objects off the removal list."""
    left = list(objects)
    for _ in range(LOOKS):
        archive.store.delete(left)
        left = [key for key in objects if key.startswith("originals/") and archive.store.head(key) is not None]
        left += _standing(archive, prefixes)
        if not left:
            archive.database.run(lambda conn: retention.unlist(conn, archive.store.bucket, list(objects)))
            return
    raise RetryableError(
        Reason.STORAGE_UNAVAILABLE, f"{len(left)} objects are still there, {left[0]} among them; take down once more"
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
