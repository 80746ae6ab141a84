"""Takedown: remove a photo, or every photo of a person, everywhere, and keep it from coming back.

Rows are deleted first; the same transaction notes everything that is left to delete. `finishing` works that off until
the store has nothing more: here, in the next takedown, in retention, and in the daemon, whichever comes first. URLs
that a CDN may still hold are returned for purging, again by each later takedown of the same photo.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue import audit, entities, takedowns
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.entities import require_entity
from trr_pipelines.catalogue.takedowns import TakedownExtent
from trr_pipelines.errors import MediaError, NotFoundError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.takedown.finishing import MAX_DELETE_PASSES as MAX_DELETE_PASSES
from trr_pipelines.pipeline.takedown.finishing import PHOTOS_AT_ONCE, finish, left_of
from trr_pipelines.pipeline.takedown.rows import extent_of, remove_rows

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Takedown:
    """What was removed, or would be: photos, links, objects with their bytes, and the URLs that a CDN must purge.

    `finished_ids` are photos of earlier takedowns that had been cut off, and were finished by this one. `purge_urls`
    has the URLs of earlier takedowns of the same photos as well, for 30 days.
    """

    dry_run: bool
    photo_ids: tuple[UUID, ...]
    links: int
    objects: int
    bytes: int
    purge_urls: tuple[str, ...]
    finished_ids: tuple[UUID, ...] = ()


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

    A second call finishes the first, and deletes objects that were stored late. Raises NotFoundError for an unknown
    photo, and RetryableError when the store failed to delete; the rows are deleted by then, and the rest is deleted by
    the next takedown or the daemon.
    """
    extent = extent_of(archive, [photo_id]) if dry_run else remove_rows(archive, [photo_id], author)
    earlier = [] if extent.photos else [photo_id]
    if earlier and not archive.database.run(lambda conn: takedowns.is_taken_down(conn, photo_id)):
        raise NotFoundError(f"no photo {photo_id}")
    return _finish(archive, [extent], earlier, dry_run=dry_run)


def take_down_person(archive: Archive, person_id: UUID, *, author: Author, dry_run: bool = False) -> Takedown:
    """Take down every photo linked to a person, including group photos and photos of shows. The person's row stays.

    Raises NotFoundError for an unknown person, and RetryableError as `take_down_photo`.
    """
    if not archive.database.run(lambda conn: entities.exists(conn, "person", person_id)):
        raise NotFoundError(f"no person {person_id}")
    earlier = archive.database.run(lambda conn: takedowns.taken_down_of_person(conn, person_id))
    limit = None if dry_run else PHOTOS_AT_ONCE
    extents: list[TakedownExtent] = []
    while chunk := archive.database.run(lambda conn: takedowns.photos_of_person(conn, person_id, limit)):
        if dry_run:
            extents.append(extent_of(archive, chunk))
            break
        extents.append(remove_rows(archive, chunk, author))
    counts = {
        "photos": sum(len(extent.photos) for extent in extents),
        "links": sum(photo.links for extent in extents for photo in extent.photos),
        "objects": sum(len(keys) for extent in extents for keys in extent.objects.values()),
    }
    if counts["photos"] and not dry_run:
        archive.database.run(
            lambda conn: audit.record(conn, author, "takedown", "person", person_id, old=counts, new=None)
        )
    return _finish(archive, extents, earlier, dry_run=dry_run)


def _finish(archive: Archive, extents: Sequence[TakedownExtent], earlier: Sequence[UUID], *, dry_run: bool) -> Takedown:
    """Delete what is left of these photos and of all unfinished takedowns; `dry_run` only lists it."""
    photos = [photo for extent in extents for photo in extent.photos]
    ids = [photo.id for photo in photos]
    objects = {key: size for extent in extents for keys in extent.objects.values() for key, size in keys.items()}
    bucket = archive.store.bucket
    unfinished = archive.database.run(lambda conn: takedowns.unfinished(conn, bucket, earlier))
    if dry_run:
        batches = {photo.batch for photo in photos}
        objects |= left_of(archive, ids, batches) | _left_of_earlier(archive, unfinished)
        urls = [archive.store.public_url(key) for key in sorted(objects)]
        return Takedown(True, tuple(ids), _links(extents), len(objects), sum(objects.values()), tuple(urls))
    for chunk in _chunks([*ids, *earlier]):  # earlier ones too that were finished: objects may have been stored late
        objects |= finish(archive, chunk)
    finished = [*unfinished, *_finish_others(archive, objects)]
    return Takedown(
        False,
        tuple(ids),
        _links(extents),
        len(objects),
        sum(objects.values()),
        tuple(archive.store.public_url(key) for key in _keys_of(archive, [*ids, *earlier, *finished])),
        tuple(finished),
    )


def _finish_others(archive: Archive, objects: dict[str, int]) -> list[UUID]:
    """Finish takedowns of other photos that were cut off; those that fail are left to the daemon, which retries."""
    others = archive.database.run(lambda conn: takedowns.unfinished(conn, archive.store.bucket))
    finished: list[UUID] = []
    try:
        for chunk in _chunks(others):
            objects |= finish(archive, chunk)
            finished += chunk
    except MediaError as error:
        logger.warning("earlier takedowns of %s photos are not finished: %s", len(others) - len(finished), error)
    return finished


def _left_of_earlier(archive: Archive, photo_ids: Sequence[UUID]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in archive.database.run(lambda conn: takedowns.remains(conn, photo_ids)):
        batches = {one.batch_key} if one.batch_key is not None else set()
        found |= left_of(archive, [one.media_asset_id], batches, one.hosted_keys)
    return found


def _keys_of(archive: Archive, photo_ids: Sequence[UUID]) -> list[str]:
    remains = archive.database.run(lambda conn: takedowns.remains(conn, photo_ids))
    return sorted({key for one in remains for key in one.hosted_keys})


def _links(extents: Sequence[TakedownExtent]) -> int:
    return sum(photo.links for extent in extents for photo in extent.photos)


def _chunks(photo_ids: Sequence[UUID]) -> list[Sequence[UUID]]:
    return [photo_ids[start : start + PHOTOS_AT_ONCE] for start in range(0, len(photo_ids), PHOTOS_AT_ONCE)]
