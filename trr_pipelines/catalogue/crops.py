"""The crop history: an append-only list per photo, at most one entry active.

Geometry and signatures are in `imaging.geometry` and `imaging.signature`; edits, and when they need a render, in
`pipeline.edits.crops`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import DictRow

from trr_pipelines.catalogue import photos
from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.catalogue.photos import CropRow, crop_of

_queries = load_queries("crops.sql")


@dataclass(frozen=True)
class PhotoState:
    """The state of a photo before an edit; `sha256` is None when no original was ever mirrored."""

    id: UUID
    state: str
    reason: str | None
    sha256: str | None


@dataclass(frozen=True)
class HistoryEntry:
    """One crop of a photo's history: the crop, its original, author, time and reason."""

    crop: CropRow
    source_version: str
    reason: str
    author: str
    is_active: bool
    created_at: datetime


@dataclass(frozen=True)
class Churn:
    """Crop edits within some days, all signatures and photos; of `proposed` photos, `corrected` were edited later."""

    edits: int
    signatures: int
    photos: int
    proposed: int
    corrected: int


def lock_photo(conn: Connection, photo_id: UUID) -> PhotoState | None:
    """The photo, locked to the end of the transaction; None for an unknown id."""
    row = _queries.lock_photo(conn, photo_id=photo_id)
    return row and PhotoState(row["id"], row["state"], row["reason"], row["sha256"])


def active(conn: Connection, photo_id: UUID) -> CropRow | None:
    """The active crop."""
    return _crop_or_none(_queries.active(conn, photo_id=photo_id))


def newest_with_signature(conn: Connection, photo_id: UUID, signature: str) -> CropRow | None:
    """The newest crop of this photo with this signature."""
    return _crop_or_none(_queries.newest_with_signature(conn, photo_id=photo_id, crop_signature=signature))


def newest_proposal(conn: Connection, photo_id: UUID, source_version: str) -> CropRow | None:
    """The newest proposal for this version of the original."""
    return _crop_or_none(_queries.newest_proposal(conn, photo_id=photo_id, source_version=source_version))


def photo_exists(conn: Connection, photo_id: UUID) -> bool:
    """Whether a photo has this id."""
    return bool(_queries.photo_exists(conn, photo_id=photo_id))


def history(conn: Connection, photo_id: UUID, limit: int | None = None) -> list[HistoryEntry]:
    """The crop history of a photo, newest first; all of it without a limit."""
    return [
        HistoryEntry(
            crop_of(row), row["source_version"], row["reason"], row["author"], row["is_active"], row["created_at"]
        )
        for row in _queries.history(conn, photo_id=photo_id, limit=limit)
    ]


def replace_active(
    conn: Connection, photo_id: UUID, crop: CropRow, *, source_version: str, reason: str, author: str
) -> None:
    """Append a crop to the history and make it the active one."""
    _queries.deactivate(conn, photo_id=photo_id)
    photos.add_crop(conn, photo_id, crop, source_version=source_version, reason=reason, author=author)


def want_proposal(conn: Connection, photo_id: UUID) -> None:
    """Deactivate the active crop: the next render proposes one."""
    _queries.deactivate(conn, photo_id=photo_id)
    _queries.want(conn, photo_id=photo_id, crop_signature="")


def want(conn: Connection, photo_id: UUID, signature: str) -> None:
    """Request a render of this crop; the served set stays until it is complete."""
    _queries.want(conn, photo_id=photo_id, crop_signature=signature)


def serve_existing_set(
    conn: Connection, photo_id: UUID, signature: str, *, recipe: str, source_version: str, keys: frozenset[str]
) -> bool:
    """Serve the existing set of a crop; False when no complete set of this recipe and version exists."""
    rows = _queries.lock_set(
        conn, photo_id=photo_id, crop_signature=signature, recipe=recipe, source_version=source_version
    )
    if {row["variant_key"] for row in rows} != keys:
        return False
    _queries.restore_set(conn, photo_id=photo_id, crop_signature=signature)
    photos.supersede_other_crops(conn, photo_id, signature)
    _queries.serve(conn, photo_id=photo_id, crop_signature=signature, recipe=recipe)
    return True


def served(conn: Connection, photo_id: UUID) -> str:
    """The signature of the served crop set; empty when none was ever served."""
    signature: str | None = _queries.served(conn, photo_id=photo_id)
    return signature or ""


def churn(conn: Connection, days: int = 30) -> Churn:
    """Crop edits of all photos."""
    return Churn(**_queries.churn(conn, days=days))


def _crop_or_none(row: DictRow | None) -> CropRow | None:
    return None if row is None else crop_of(row)
