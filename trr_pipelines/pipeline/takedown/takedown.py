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
from trr_pipelines.catalogue.takedowns import ExternalObject, TakedownExtent
from trr_pipelines.errors import MediaError, NotFoundError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.takedown.finishing import MAX_DELETE_PASSES as MAX_DELETE_PASSES
from trr_pipelines.pipeline.takedown.finishing import PHOTOS_AT_ONCE, finish, foreign_of, left_of
from trr_pipelines.pipeline.takedown.rows import extent_of, remove_rows
from trr_pipelines.storage.store import public_url

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Takedown:
    """What was removed, or would be: photos, links, objects with their bytes, and the URLs that a CDN must purge.

    `finished_ids` are photos of earlier takedowns that had been cut off, and were finished by this one. `purge_urls`
    has the URLs of earlier takedowns of the same photos as well, for 30 days. `kept_external_urls`, also to be
    purged, are of objects that another program wrote and that stay: the takedown was not to delete them.
    """

    dry_run: bool
    photo_ids: tuple[UUID, ...]
    links: int
    objects: int
    bytes: int
    purge_urls: tuple[str, ...]
    finished_ids: tuple[UUID, ...] = ()
    kept_external_urls: tuple[str, ...] = ()


def take_down(
    archive: Archive, what: str, *, author: Author, dry_run: bool = False, delete_external: bool = False
) -> Takedown:
    """Take down a photo by its id, or every photo of a person by id or slug. Raises NotFoundError if neither exists."""
    try:
        named: UUID | str = UUID(what)
    except ValueError:
        named = what
    try:
        person_id = archive.database.run(lambda conn: require_entity(conn, "person", named))
    except NotFoundError:
        if isinstance(named, UUID):
            return take_down_photo(archive, named, author=author, dry_run=dry_run, delete_external=delete_external)
        raise
    return take_down_person(archive, person_id, author=author, dry_run=dry_run, delete_external=delete_external)


def take_down_photo(
    archive: Archive, photo_id: UUID, *, author: Author, dry_run: bool = False, delete_external: bool = False
) -> Takedown:
    """Take down a photo: every version and variant, links, history, and its URLs in imports.

    Objects of another program, such as an external original, stay unless `delete_external`. A second call finishes the
    first, and deletes objects that were stored late. Raises NotFoundError for an unknown
    photo, and RetryableError when the store failed to delete; the rows are deleted by then, and the rest is deleted by
    the next takedown or the daemon.
    """
    extent = (
        extent_of(archive, [photo_id])
        if dry_run
        else remove_rows(archive, [photo_id], author, deletes_external=delete_external)
    )
    earlier = [] if extent.photos else [photo_id]
    if earlier and not archive.database.run(lambda conn: takedowns.is_taken_down(conn, photo_id)):
        raise NotFoundError(f"no photo {photo_id}")
    return _finish(archive, [extent], earlier, dry_run=dry_run, delete_external=delete_external)


def take_down_person(
    archive: Archive, person_id: UUID, *, author: Author, dry_run: bool = False, delete_external: bool = False
) -> Takedown:
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
        extents.append(remove_rows(archive, chunk, author, deletes_external=delete_external))
    counts = {
        "photos": sum(len(extent.photos) for extent in extents),
        "links": sum(photo.links for extent in extents for photo in extent.photos),
        "objects": sum(len(keys) for extent in extents for keys in extent.objects.values()),
    }
    if counts["photos"] and not dry_run:
        archive.database.run(
            lambda conn: audit.record(conn, author, "takedown", "person", person_id, old=counts, new=None)
        )
    return _finish(archive, extents, earlier, dry_run=dry_run, delete_external=delete_external)


def _finish(
    archive: Archive,
    extents: Sequence[TakedownExtent],
    earlier: Sequence[UUID],
    *,
    dry_run: bool,
    delete_external: bool,
) -> Takedown:
    """Delete what is left of these photos and of all unfinished takedowns; `dry_run` only lists it."""
    ids = [photo.id for extent in extents for photo in extent.photos]
    objects = {key: size for extent in extents for keys in extent.objects.values() for key, size in keys.items()}
    bucket = archive.store.bucket
    unfinished = archive.database.run(lambda conn: takedowns.unfinished(conn, bucket, earlier))
    external: dict[ExternalObject, bool] = {}  # whether it is deleted
    if dry_run:
        batches = {photo.batch for extent in extents for photo in extent.photos}
        objects |= left_of(archive, ids, batches) | _left_of_earlier(archive, unfinished)
        keys = sorted(objects)
        found = _external_of(archive, extents, earlier)
        external = dict.fromkeys(found, delete_external)
        if delete_external:
            objects |= {f"{one.bucket}/{one.key}": size for one, size in found.items()}
        finished: list[UUID] = []
    else:
        if delete_external:
            archive.database.run(lambda conn: takedowns.ask_to_delete_external(conn, earlier))
        for chunk in _chunks([*ids, *earlier]):  # earlier ones that were finished too: objects may have come late
            objects |= finish(archive, chunk)
        finished = [*unfinished, *_finish_others(archive, objects)]
        remains = archive.database.run(lambda conn: takedowns.remains(conn, [*ids, *earlier, *finished]))
        keys = sorted({key for of_photo in remains for key in of_photo.hosted_keys})
        external = {one: of_photo.deletes_external for of_photo in remains for one in of_photo.external}
    urls = {_url(archive, one): is_deleted for one, is_deleted in sorted(external.items())}
    return Takedown(
        dry_run,
        tuple(ids),
        sum(photo.links for extent in extents for photo in extent.photos),
        len(objects),
        sum(objects.values()),
        tuple(dict.fromkeys([*(archive.store.public_url(key) for key in keys), *urls])),
        tuple(finished),
        tuple(url for url, is_deleted in urls.items() if not is_deleted),
    )


def _external_of(
    archive: Archive, extents: Sequence[TakedownExtent], earlier: Sequence[UUID]
) -> dict[ExternalObject, int]:
    """Objects of another program that photos have, or had when they were taken down; with their bytes, if known."""
    external: dict[ExternalObject, int] = {}
    for extent in extents:
        for of_photo in extent.external.values():
            external |= of_photo
        for photo in extent.photos:
            external |= foreign_of(archive, photo.id)
    for one in archive.database.run(lambda conn: takedowns.remains(conn, earlier)):
        external |= dict.fromkeys(one.external, 0)
    return external


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


def _url(archive: Archive, external: ExternalObject) -> str:
    """The URL of an object of another program: the one that it has there, or that of its key."""
    return external.url or public_url(archive.settings.base_url, external.key)


def _chunks(photo_ids: Sequence[UUID]) -> list[Sequence[UUID]]:
    return [photo_ids[start : start + PHOTOS_AT_ONCE] for start in range(0, len(photo_ids), PHOTOS_AT_ONCE)]
