"""Replacing a photo's original with a better file that an editor gives."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue import audit, crops, ledger, photos, takedowns
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.crops import PhotoState
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.photos import Original
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import ConflictError, NotFoundError, TakenDownError
from trr_pipelines.imaging.render import RenderRequest
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.mirroring import store_original
from trr_pipelines.pipeline.imports.versions import put_original
from trr_pipelines.pipeline.takedown.late_objects import forbid_late_original


@dataclass(frozen=True)
class Replacement:
    """The result of a replacement: the current version, and whether it changed."""

    photo_id: UUID
    sha256: str
    changed: bool


def replace_original(
    archive: Archive, photo_id: UUID, data: bytes, *, author: Author, pool: RenderPool | None = None
) -> Replacement:
    """Make `data` the photo's original; the pipeline then renders its derivatives.

    `data` is decoded once in a render process before anything is written, so a bad file never replaces a good one.
    Raises MediaError when decoding fails, NotFoundError for an unknown photo, and ConflictError for bytes that another
    photo has or that were taken down.
    """
    if _state(archive, photo_id) is None:
        raise NotFoundError(f"no photo {photo_id}")
    if pool is None:
        with RenderPool(1) as own:
            return replace_original(archive, photo_id, data, author=author, pool=own)
    pool.render(data, RenderRequest(base=None, crop_recipe=None), name=f"replacement of {photo_id}")
    original, _ = store_original(archive, data)
    try:
        changed = archive.database.run(lambda conn: _record(conn, photo_id, original, author))
    except NotFoundError:
        forbid_late_original(archive, photo_id, original)
        raise
    return Replacement(photo_id, original.sha256, changed)


def _state(archive: Archive, photo_id: UUID) -> PhotoState | None:
    return archive.database.run(lambda conn: crops.lock_photo(conn, photo_id))


def _record(conn: Connection, photo_id: UUID, original: Original, author: Author) -> bool:
    holder = photos.photo_with_bytes(conn, original.sha256)
    if takedowns.content_is_taken_down(conn, original.sha256):
        raise TakenDownError(takedowns.TAKEN_DOWN)
    if holder not in (None, photo_id):
        raise ConflictError(f"photo {holder} already has these bytes; nothing was changed")
    photo = crops.lock_photo(conn, photo_id)
    if photo is None:
        raise NotFoundError(f"no photo {photo_id}")
    if photo.sha256 == original.sha256 and photo.state == "mirrored":
        return False
    put_original(conn, photo_id, original, author=author.actor)
    ledger.settle(conn, photo_id, "original")
    old, new = {"sha256": photo.sha256, "state": photo.state}, {"sha256": original.sha256, "state": "mirrored"}
    audit.record(conn, author, "original", "media_asset", photo_id, old=old, new=new)
    return True
