"""Crops: of a photo, an append-only history with at most one entry active; of a link, at most one of its own.

Geometry and signatures are in `imaging.geometry` and `imaging.signature`; edits, and when they need a render, in
`pipeline.edits.crops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
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


class CropNumbers(Protocol):
    """A crop without its signature: `mode` auto or manual, x and y of its middle in percent, `zoom` from 1 to 4."""

    @property
    def mode(self) -> str: ...
    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...
    @property
    def zoom(self) -> float: ...


@dataclass(frozen=True)
class WantedCrop:
    """A frame that is wanted of a photo: as its active crop, or as the own crop of these links, or both."""

    crop: CropRow
    is_active: bool
    link_ids: tuple[UUID, ...]


@dataclass(frozen=True)
class LinkCrop:
    """A link and the crop that it shows: its own (`is_own`), else the photo's active one; None without any.

    A link of the application (`is_external`) never shows the photo's active crop. `served` is the signature of the last
    complete set of its own crop.
    """

    link_id: UUID
    is_external: bool
    is_own: bool
    crop: CropRow | None
    served: str | None


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
    if not restore_set(conn, photo_id, signature, recipe=recipe, source_version=source_version, keys=keys):
        return False
    _queries.serve(conn, photo_id=photo_id, crop_signature=signature, recipe=recipe)
    photos.settle_sets(conn, photo_id)
    return True


def restore_set(
    conn: Connection, photo_id: UUID, signature: str, *, recipe: str, source_version: str, keys: frozenset[str]
) -> bool:
    """Stop superseding the existing set of a crop; False when no complete set of this recipe and version exists."""
    rows = _queries.lock_set(
        conn, photo_id=photo_id, crop_signature=signature, recipe=recipe, source_version=source_version
    )
    if {row["variant_key"] for row in rows} != keys:
        return False
    _queries.restore_set(conn, photo_id=photo_id, crop_signature=signature)
    return True


def link_crop(conn: Connection, photo_id: UUID, link_id: UUID) -> LinkCrop | None:
    """The crop of a link of this photo; None for a link of another photo, or an unknown one."""
    row = _queries.link(conn, photo_id=photo_id, link_id=link_id)
    if row is None:
        return None
    crop = None if row["crop_signature"] is None else crop_of(row)
    return LinkCrop(row["id"], row["is_external"], row["is_own"], crop, row["served_crop"])


def links_of_photo(conn: Connection, photo_id: UUID) -> list[tuple[UUID, bool]]:
    """The photo's links, and whether each is one of the application."""
    return [(row["id"], row["is_external"]) for row in _queries.links_of_photo(conn, photo_id=photo_id)]


def set_link_crop(conn: Connection, link_id: UUID, crop: CropNumbers | None) -> bool:
    """Make `crop` the own crop of a link, or take its own crop away; False when nothing changes.

    The photo's crop work becomes pending if the frame has to be rendered; until then the link shows its last complete
    set. Before the original's bytes are known the crop has no signature, and is rendered with the photo's first sets.
    An unknown link changes nothing.
    """
    photo_id = _queries.photo_of_link(conn, link_id=link_id)
    if photo_id is None:
        return False
    lock_photo(conn, photo_id)
    numbers = None if crop is None else (Decimal(repr(crop.x)), Decimal(repr(crop.y)), Decimal(repr(crop.zoom)))
    x, y, zoom = numbers or (None, None, None)
    changed = _queries.set_link_crop(
        conn, link_id=link_id, crop_mode=crop and crop.mode, crop_x=x, crop_y=y, crop_zoom=zoom
    )
    if changed is None:
        return False
    photos.renew_link_crops(conn, [changed["media_asset_id"]])
    photos.settle_sets(conn, changed["media_asset_id"])
    return True


def serve_links(conn: Connection, photo_id: UUID, signatures: Sequence[str]) -> None:
    """Let links whose own crop has one of these signatures show its set, which is complete."""
    _queries.serve_links(conn, photo_id=photo_id, signatures=list(signatures))


def wanted_crops(conn: Connection, photo_ids: Sequence[UUID]) -> dict[UUID, list[WantedCrop]]:
    """Every frame that is wanted of these photos, each once, the active crop first; photos without any are left out.

    Crops of links whose photo's bytes are not known yet have no signature, and are left out.
    """
    wanted: dict[UUID, list[WantedCrop]] = {}
    for row in _queries.wanted_crops(conn, photo_ids=list(photo_ids)):
        crop = WantedCrop(crop_of(row), row["is_active"], tuple(row["link_ids"]))
        wanted.setdefault(row["media_asset_id"], []).append(crop)
    return wanted


def served(conn: Connection, photo_id: UUID) -> str:
    """The signature of the served crop set; empty when none was ever served."""
    signature: str | None = _queries.served(conn, photo_id=photo_id)
    return signature or ""


def churn(conn: Connection, days: int = 30) -> Churn:
    """Crop edits of all photos."""
    return Churn(**_queries.churn(conn, days=days))


def _crop_or_none(row: DictRow | None) -> CropRow | None:
    return None if row is None else crop_of(row)
