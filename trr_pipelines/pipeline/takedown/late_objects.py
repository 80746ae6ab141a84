"""Objects that arrive after the takedown of their photo: deleted by the run that stored them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from trr_pipelines.catalogue import photos, takedowns
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.pipeline.archive import Archive


def discard_late_objects(archive: Archive, photo_id: UUID, keys: Sequence[str]) -> None:
    """Delete objects that a render stored for a photo that was taken down during the render."""
    if archive.database.run(lambda conn: takedowns.is_taken_down(conn, photo_id)):
        archive.store.delete(keys)


def forbid_late_original(archive: Archive, photo_id: UUID, sha256: str, key: str) -> None:
    """Block and delete an original that arrived after the takedown of its photo.

    An original that another photo also has is left alone.
    """

    def forbid(conn: Connection) -> bool:
        photos.hold_bytes(conn, sha256)
        if not takedowns.is_taken_down(conn, photo_id) or takedowns.content_is_held(conn, sha256):
            return False
        takedowns.forget_contents(conn, [sha256])
        return True

    if archive.database.run(forbid):
        archive.store.delete([key])
