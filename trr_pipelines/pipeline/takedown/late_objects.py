"""Objects that arrive too late, after a takedown or an edit of their photo: deleted by the run that stored them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from trr_pipelines.catalogue import photos, retention, takedowns
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.photos import Original
from trr_pipelines.catalogue.retention import Overtaken
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.storage.keys import SIGNATURE_DIGITS, version_of


def discard_late_objects(archive: Archive, photo_id: UUID, keys: Sequence[str]) -> None:
    """Delete objects that a render stored in vain: its photo was taken down, or edited during the render.

    Objects that a row refers to, or that another run may render just now, are left alone.
    """

    def discard(conn: Connection) -> None:
        bucket, needed = archive.store.bucket, retention.lock_overtaken(conn, photo_id)
        vain = list(keys)
        if needed is not None:
            vain = [key for key in retention.without_rows(conn, bucket, keys) if not _may_be_needed(key, needed)]
        archive.store.delete(vain)
        retention.unlist(conn, bucket, vain)

    archive.database.run(discard)


def _may_be_needed(key: str, needed: Overtaken) -> bool:
    """Whether a run may want an object of this crop, or of this version of the original."""
    version = version_of(key)
    if len(version) < SIGNATURE_DIGITS:
        return needed.sha256 is not None and needed.sha256.startswith(version)
    return needed.is_proposing or version in needed.crops


def forbid_late_original(archive: Archive, photo_id: UUID, original: Original) -> None:
    """Block an original that arrived after the takedown of its photo, and delete it unless it is external.

    An original that another photo also has is left alone.
    """

    def forbid(conn: Connection) -> bool:
        photos.hold_bytes(conn, original.sha256)
        if not takedowns.is_taken_down(conn, photo_id) or takedowns.content_is_held(conn, original.sha256):
            return False
        takedowns.forget_contents(conn, [original.sha256])
        return True

    if archive.database.run(forbid) and not original.is_external:
        archive.store.delete([original.hosted_key])
