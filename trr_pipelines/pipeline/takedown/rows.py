"""The first step of a takedown: rows are deleted, and everything that is left to delete is noted with them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from trr_pipelines.catalogue import audit, takedowns
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.takedowns import TakedownExtent
from trr_pipelines.pipeline.archive import Archive


def extent_of(archive: Archive, photo_ids: Sequence[UUID]) -> TakedownExtent:
    """What a takedown of these photos would delete; unknown photos are left out."""
    return archive.database.run(lambda conn: takedowns.lock_extent(conn, archive.store.bucket, photo_ids))


def remove_rows(
    archive: Archive, photo_ids: Sequence[UUID], author: Author, *, deletes_external: bool = False
) -> TakedownExtent:
    """Delete the rows of these photos in one transaction; returns what they had. Unknown photos are left out."""

    def remove(conn: Connection) -> TakedownExtent:
        extent = takedowns.lock_extent(conn, archive.store.bucket, photo_ids)
        takedowns.remove(conn, archive.store.bucket, extent, deletes_external=deletes_external)
        for photo in extent.photos:
            old = {"state": photo.state, "links": photo.links, "person_ids": photo.person_ids}
            audit.record(conn, author, "takedown", "media_asset", photo.id, old=old, new=None)
        return extent

    return archive.database.run(remove)
