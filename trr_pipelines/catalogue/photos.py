"""Photos, their originals, crops and variant sets: what is read before work and written after it.

Objects are stored before any of these functions is called; they only say in the catalogue what stands where.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.errors import Reason

_queries = load_queries("photos.sql")


@dataclass(frozen=True)
class CropRow:
    """A crop as it stands in the history; x and y in percent."""

    mode: str
    x: float
    y: float
    zoom: float
    signature: str


NO_CROP = CropRow("", 0, 0, 1, "")


@dataclass(frozen=True)
class Photo:
    """What a run needs to know of a photo before it starts. Sizes in pixels, oriented; None until mirrored."""

    id: UUID
    source: str
    source_url: str
    sha256: str | None
    bytes: int | None
    format: str | None
    hosted_key: str | None
    crop: CropRow | None


@dataclass(frozen=True)
class Original:
    """A mirrored original."""

    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    frames: int
    hosted_bucket: str
    hosted_key: str
    hosted_url: str


@dataclass(frozen=True)
class Variant:
    """One derivative that stands in the object store."""

    variant_key: str
    format: str
    width: int
    height: int
    bytes: int
    sha256: str
    hosted_bucket: str
    hosted_key: str
    hosted_url: str


@dataclass(frozen=True)
class DecodedInfo:
    """What the decoder saw: oriented size in pixels, frames, first-paint values, warnings.

    `unfit` says why the original itself had better not be shown (`imaging.fitness`); empty: it may be.
    """

    width: int
    height: int
    frames: int
    placeholder: str
    dominant_color: str
    warnings: tuple[str, ...]
    unfit: tuple[str, ...]


def photos_by_id(conn: Connection, photo_ids: Sequence[UUID]) -> dict[UUID, Photo]:
    """The photos of these ids with their active crops."""
    return {
        row["id"]: Photo(
            row["id"],
            row["source"],
            row["source_url"],
            row["sha256"],
            row["bytes"],
            row["format"],
            row["hosted_key"],
            None
            if row["crop_signature"] is None
            else CropRow(
                row["crop_mode"],
                float(row["crop_x"]),
                float(row["crop_y"]),
                float(row["crop_zoom"]),
                row["crop_signature"],
            ),
        )
        for row in _queries.photos_by_id(conn, photo_ids=list(photo_ids))
    }


def register_original(conn: Connection, photo_id: UUID, original: Original) -> UUID:
    """Record a photo's original, and return the photo that has these bytes from now on.

    That is another one when the bytes were known: then the duplicate's links and import items have moved there and
    the duplicate is gone. An advisory lock on the hash, held to the end of the transaction, keeps two arrivals of
    the same bytes apart.
    """
    kept = photo_with_bytes(conn, original.sha256)
    if kept is None or kept == photo_id:
        set_original(conn, photo_id, original, author="import")
        return photo_id
    _queries.move_links(conn, kept_id=kept, duplicate_id=photo_id)
    _queries.move_items(conn, kept_id=kept, duplicate_id=photo_id)
    _queries.remove_photo(conn, photo_id=photo_id)
    _queries.take_first_address(conn, photo_id=kept)
    return kept


def hold_bytes(conn: Connection, sha256: str) -> None:
    """Hold a hash to the end of the transaction: whoever brings the same bytes waits."""
    _queries.lock_bytes(conn, sha256=sha256)


def photo_with_bytes(conn: Connection, sha256: str) -> UUID | None:
    """The photo that has these bytes, or had them once. Holds the hash to the end of the transaction."""
    hold_bytes(conn, sha256)
    photo_id: UUID | None = _queries.photo_with_bytes(conn, sha256=sha256)
    return photo_id


def set_original(conn: Connection, photo_id: UUID, original: Original, *, author: str) -> None:
    """Make this the photo's original, and a version of its history."""
    values = asdict(original)
    _queries.register_original(conn, photo_id=photo_id, **values)
    version = {name: value for name, value in values.items() if name not in ("frames", "hosted_url")}
    _queries.add_version(conn, photo_id=photo_id, author=author, **version)


def versions(conn: Connection, photo_id: UUID) -> list[dict[str, Any]]:
    """Every original that the photo ever had, newest first."""
    return list(_queries.versions(conn, photo_id=photo_id))


def mark_failed(conn: Connection, photo_id: UUID, reason: Reason) -> None:
    """The photo cannot be shown: its original could not be fetched, or nothing could be rendered from it."""
    _queries.mark_failed(conn, photo_id=photo_id, reason=str(reason))


def mark_rendered(conn: Connection, photo_id: UUID, looks: DecodedInfo) -> None:
    """The photo was decoded: what was seen of it."""
    lists = {name: json.dumps(list(getattr(looks, name))) for name in ("warnings", "unfit")}
    _queries.mark_rendered(conn, photo_id=photo_id, **{**asdict(looks), **lists})


def add_crop(conn: Connection, photo_id: UUID, crop: CropRow, *, source_version: str, reason: str, author: str) -> None:
    """Add an active crop to a photo that has none."""
    _queries.add_crop(
        conn,
        photo_id=photo_id,
        **_crop_parameters(crop),
        source_version=source_version,
        reason=reason,
        author=author,
    )


def replace_set(
    conn: Connection,
    photo_id: UUID,
    variants: Sequence[Variant],
    *,
    recipe: str,
    source_version: str,
    crop: CropRow = NO_CROP,
) -> int:
    """Make `variants` the set that is served: the base set, or the crop set of `crop`. Returns the rows written.

    All rows of the set move in the caller's transaction; objects that they leave go to retired_objects. Crop sets of
    other signatures are superseded.
    """
    rows = json.dumps([asdict(variant) for variant in variants])
    keys = [variant.hosted_key for variant in variants]
    identity = {"photo_id": photo_id, "crop_signature": crop.signature}
    _queries.retire_left_objects(conn, **identity, hosted_keys=keys)
    _queries.remove_left_variants(conn, **identity, variants=rows)
    written: int = _queries.put_variants(
        conn,
        photo_id=photo_id,
        **_crop_parameters(crop),
        variants=rows,
        recipe=recipe,
        source_version=source_version,
    )
    if crop.signature:
        _queries.supersede_other_crops(conn, **identity)
    _queries.refresh_variant_cache(conn, photo_id=photo_id)
    return written


def supersede_other_crops(conn: Connection, photo_id: UUID, signature: str) -> None:
    """Crop sets of other signatures are no longer served; retention may remove them after its grace period."""
    _queries.supersede_other_crops(conn, photo_id=photo_id, crop_signature=signature)
    _queries.refresh_variant_cache(conn, photo_id=photo_id)


def _crop_parameters(crop: CropRow) -> dict[str, object]:
    return {
        "crop_mode": crop.mode,
        # repr keeps the four decimals that the crop was rounded to; a float would bring binary noise along.
        "crop_x": Decimal(repr(crop.x)),
        "crop_y": Decimal(repr(crop.y)),
        "crop_zoom": Decimal(repr(crop.zoom)),
        "crop_signature": crop.signature,
    }
