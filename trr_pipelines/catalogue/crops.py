"""The history of crops and which one is wanted: an append-only list per photo, at most one entry active.

What a crop shows and its signature are `imaging`'s; who may edit, and when a render is needed, `pipeline.crops`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import photos
from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.catalogue.photos import CropRow

_queries = load_queries("crops.sql")


@dataclass(frozen=True)
class PhotoState:
    """What an edit must know of a photo; `sha256` is None where no original was ever mirrored."""

    id: UUID
    state: str
    reason: str | None
    sha256: str | None


@dataclass(frozen=True)
class HistoryEntry:
    """One crop of a photo's history: what it was, of which original, by whom, when and why."""

    crop: CropRow
    source_version: str
    reason: str
    author: str
    is_active: bool
    created_at: datetime


@dataclass(frozen=True)
class Churn:
    """How much people edit: `edits` within the days asked for; of `proposed` photos `corrected` were edited later."""

    edits: int
    signatures: int
    photos: int
    proposed: int
    corrected: int


def lock_photo(conn: Connection, photo_id: UUID) -> PhotoState | None:
    """The photo, locked to the end of the transaction; None when there is none of this id."""
    row = _queries.lock_photo(conn, photo_id=photo_id)
    return row and PhotoState(row["id"], row["state"], row["reason"], row["sha256"])


def active(conn: Connection, photo_id: UUID) -> CropRow | None:
    """The crop that is wanted now."""
    return _crop_of(_queries.active(conn, photo_id=photo_id))


def newest_with_signature(conn: Connection, photo_id: UUID, signature: str) -> CropRow | None:
    """A crop that this photo had at some time."""
    return _crop_of(_queries.newest_with_signature(conn, photo_id=photo_id, crop_signature=signature))


def newest_proposal(conn: Connection, photo_id: UUID, source_version: str) -> CropRow | None:
    """The last crop that was proposed for this version of the original."""
    return _crop_of(_queries.newest_proposal(conn, photo_id=photo_id, source_version=source_version))


def photo_exists(conn: Connection, photo_id: UUID) -> bool:
    """Whether there is a photo of this id."""
    return bool(_queries.photo_exists(conn, photo_id=photo_id))


def history(conn: Connection, photo_id: UUID, limit: int | None = None) -> list[HistoryEntry]:
    """The crops that the photo ever had, newest first; all without a limit."""
    return [
        HistoryEntry(
            _crop_row(row), row["source_version"], row["reason"], row["author"], row["is_active"], row["created_at"]
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
    """No crop is active any more: the next render proposes one."""
    _queries.deactivate(conn, photo_id=photo_id)
    _queries.want(conn, photo_id=photo_id, crop_signature="")


def want(conn: Connection, photo_id: UUID, signature: str) -> None:
    """The crop must be rendered; the set that is served stays until then."""
    _queries.want(conn, photo_id=photo_id, crop_signature=signature)


def serve_standing_set(
    conn: Connection, photo_id: UUID, signature: str, *, recipe: str, source_version: str, keys: frozenset[str]
) -> bool:
    """Serve a crop whose whole set stands at this recipe and version; False when it does not stand."""
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
    """The signature of the crop set that is served; empty when none ever was."""
    signature: str | None = _queries.served(conn, photo_id=photo_id)
    return signature or ""


def churn(conn: Connection, days: int = 30) -> Churn:
    """How much crops change, over all photos."""
    return Churn(**_queries.churn(conn, days=days))


def _crop_of(row: Mapping[str, Any] | None) -> CropRow | None:
    return None if row is None else _crop_row(row)


def _crop_row(row: Mapping[str, Any]) -> CropRow:
    return CropRow(
        row["crop_mode"],
        float(row["crop_x"]),
        float(row["crop_y"]),
        float(row["crop_zoom"]),
        row["crop_signature"],
    )
