"""A new original for a photo that has one: from its source, or given by an editor.

The earlier original and its sets are kept and served until the new base and crop sets are complete.
"""

from __future__ import annotations

from typing import cast
from uuid import UUID

from trr_pipelines.catalogue import crops, ledger, photos
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.photos import CropRow, Original
from trr_pipelines.imaging.geometry import Crop, CropMode
from trr_pipelines.imaging.signature import crop_signature


def put_original(conn: Connection, photo_id: UUID, original: Original, *, author: str) -> None:
    """Make `original` the photo's current one, and reopen its derivatives; the caller has locked the photo."""
    photos.set_original(conn, photo_id, original, author=author)
    ledger.reopen(conn, photo_id, "base")
    ledger.reopen(conn, photo_id, "crop")
    _renew_crop(conn, photo_id, original.sha256)


def _renew_crop(conn: Connection, photo_id: UUID, source_version: str) -> None:
    """Sign a manual crop for the new original; request a new proposal in place of an old one."""
    active = crops.active(conn, photo_id)
    if active is None:
        return
    if active.mode != "manual":
        crops.want_proposal(conn, photo_id)
        return
    crop = Crop(cast(CropMode, active.mode), active.x, active.y, active.zoom)
    row = CropRow(crop.mode, crop.x, crop.y, crop.zoom, crop_signature(crop, source_version))
    crops.replace_active(
        conn,
        photo_id,
        row,
        source_version=source_version,
        reason="stale: the original was replaced",
        author="replacement",
    )
    crops.want(conn, photo_id, row.signature)
