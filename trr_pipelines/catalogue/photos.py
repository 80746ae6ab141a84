"""Photos, their originals, crops and variant sets: read before work, written after it.

Objects are stored before these functions record them: a crash in between leaves an orphan object, never a row without
an object.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg.rows import DictRow

from trr_pipelines.catalogue.database import Connection, load_queries, row_as, rows_as
from trr_pipelines.errors import Reason

_queries = load_queries("photos.sql")


@dataclass(frozen=True)
class CropRow:
    """A crop of the history; x and y of its middle in percent."""

    mode: str
    x: float
    y: float
    zoom: float
    signature: str


NO_CROP = CropRow("", 0, 0, 1, "")


@dataclass(frozen=True)
class CropSet:
    """The files of one crop of the present original, by one recipe: their rendition keys."""

    signature: str
    recipe: str
    keys: frozenset[str]


@dataclass(frozen=True)
class Photo:
    """A photo as a run reads it before its work. What comes from the original is None until that is mirrored.

    `crop` is the active crop, `link_crops` the other frames that links want, once each. `proposes_crop`: a crop is
    proposed when there is no active one. `crop_sets` are the sets that exist, served or superseded. `is_published`: a
    row of the application shows the photo.
    With `is_external`, `hosted_…` say where another program has the original, also before it is read.
    """

    id: UUID
    source: str
    source_url: str
    sha256: str | None
    bytes: int | None
    format: str | None
    hosted_bucket: str | None
    hosted_key: str | None
    hosted_url: str | None
    is_external: bool
    crop: CropRow | None
    link_crops: tuple[CropRow, ...] = ()
    proposes_crop: bool = True
    crop_sets: tuple[CropSet, ...] = ()
    is_published: bool = False

    @property
    def wanted_crops(self) -> tuple[CropRow, ...]:
        """Every crop that the photo or a link wants, each signature once."""
        crops = (*((self.crop,) if self.crop else ()), *self.link_crops)
        return tuple({crop.signature: crop for crop in crops}.values())

    @property
    def external_bucket(self) -> str:
        """The bucket of an external original; empty for an original of ours."""
        return (self.hosted_bucket or "") if self.is_external else ""


@dataclass(frozen=True)
class Original:
    """An original; sides in pixels, oriented. `is_external`: another program wrote its object."""

    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    frames: int
    hosted_bucket: str
    hosted_key: str
    hosted_url: str
    is_external: bool = False


@dataclass(frozen=True)
class Place:
    """Where an original is."""

    hosted_bucket: str
    hosted_key: str
    hosted_url: str
    is_external: bool


@dataclass(frozen=True)
class Version:
    """An original that a photo has or had; sides in pixels."""

    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    hosted_key: str
    author: str
    created_at: datetime


@dataclass(frozen=True)
class Variant:
    """One derivative in the object store; sides in pixels."""

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
    """Results of decoding: oriented size in pixels, frames, first-paint values, warnings.

    `unfit` lists the reasons not to serve the original directly (`imaging.direct_serving`); empty: it may be served.
    """

    width: int
    height: int
    frames: int
    placeholder: str
    dominant_color: str
    warnings: tuple[str, ...]
    unfit: tuple[str, ...]


def photos_by_id(conn: Connection, photo_ids: Sequence[UUID]) -> dict[UUID, Photo]:
    """The photos of these ids with their crops."""
    return {
        row["id"]: Photo(
            row["id"],
            row["source"],
            row["source_url"],
            row["sha256"],
            row["bytes"],
            row["format"],
            row["hosted_bucket"],
            row["hosted_key"],
            row["hosted_url"],
            row["is_external"],
            None if row["crop_signature"] is None else crop_of(row),
            tuple(crop_of(crop) for crop in row["link_crops"]),
            row["proposes_crop"],
            tuple(CropSet(one["signature"], one["recipe"], frozenset(one["keys"])) for one in row["crop_sets"]),
            row["is_published"],
        )
        for row in _queries.photos_by_id(conn, photo_ids=list(photo_ids))
    }


def crop_of(row: DictRow) -> CropRow:
    """The crop in the columns `crop_*` of a row that has one."""
    return CropRow(
        row["crop_mode"],
        float(row["crop_x"]),
        float(row["crop_y"]),
        float(row["crop_zoom"]),
        row["crop_signature"],
    )


def register_original(conn: Connection, photo_id: UUID, original: Original) -> UUID:
    """Record a photo's original; returns the photo that has these bytes now.

    When another photo has these bytes, the links and import items move to it, and the duplicate is deleted. An advisory
    lock on the hash, held to the end of the transaction, serialises two arrivals of the same bytes.
    """
    kept = photo_with_bytes(conn, original.sha256)
    if kept is None or kept == photo_id:
        set_original(conn, photo_id, original, author="import")
        return photo_id
    _queries.move_external_links(conn, kept_id=kept, duplicate_id=photo_id)
    _queries.move_links(conn, kept_id=kept, duplicate_id=photo_id)
    renew_link_crops(conn, [kept])
    _queries.move_items(conn, kept_id=kept, duplicate_id=photo_id)
    _queries.retire_originals(conn, photo_id=photo_id)
    _queries.remove_photo(conn, photo_id=photo_id)
    _queries.take_first_address(conn, photo_id=kept)
    return kept


def sign_crops(conn: Connection, photo_ids: Sequence[UUID]) -> None:
    """Sign the crops of these photos' links, and of rows of the application, for their present originals."""
    _queries.sign_link_crops(conn, photo_ids=list(photo_ids))


def is_external(conn: Connection, bucket: str, hosted_key: str) -> bool:
    """Whether a photo has this object of another program as its original."""
    return bool(_queries.is_external(conn, bucket=bucket, hosted_key=hosted_key))


def hold_bytes(conn: Connection, sha256: str) -> None:
    """Lock a hash to the end of the transaction: other arrivals of the same bytes wait."""
    _queries.lock_bytes(conn, sha256=sha256)


def photo_with_bytes(conn: Connection, sha256: str) -> UUID | None:
    """The photo that has or had these bytes. Locks the hash to the end of the transaction."""
    hold_bytes(conn, sha256)
    photo_id: UUID | None = _queries.photo_with_bytes(conn, sha256=sha256)
    return photo_id


def place_of_bytes(conn: Connection, sha256: str, bucket: str) -> Place | None:
    """Where these bytes are, if a photo has or had them in this bucket, or has them as its external original.

    Their key may be one of an earlier layout.
    """
    return row_as(Place, _queries.place_of_bytes(conn, sha256=sha256, bucket=bucket))


def has_base_set(conn: Connection, photo_id: UUID) -> bool:
    """Whether the photo has anything to show."""
    return bool(_queries.has_base_set(conn, photo_id=photo_id))


def set_original(conn: Connection, photo_id: UUID, original: Original, *, author: str) -> None:
    """Set the photo's original, add it to the versions, and sign the crops of links for it."""
    values = asdict(original)
    _queries.register_original(conn, photo_id=photo_id, **values)
    _queries.remove_lost_version(conn, photo_id=photo_id, sha256=original.sha256)
    version = {name: value for name, value in values.items() if name not in ("frames", "hosted_url")}
    _queries.add_version(conn, photo_id=photo_id, author=author, **version)
    sign_crops(conn, [photo_id])


def versions(conn: Connection, photo_id: UUID) -> list[Version]:
    """Every original that the photo has or had, newest first."""
    return rows_as(Version, _queries.versions(conn, photo_id=photo_id))


def mark_failed(conn: Connection, photo_id: UUID, reason: Reason) -> None:
    """Record that a photo has nothing to show: its original could not be fetched, or not rendered."""
    _queries.mark_failed(conn, photo_id=photo_id, reason=str(reason))


def mark_rendered(conn: Connection, photo_id: UUID, decoded: DecodedInfo) -> None:
    """Record the results of decoding a photo."""
    lists = {name: json.dumps(list(getattr(decoded, name))) for name in ("warnings", "unfit")}
    _queries.mark_rendered(conn, photo_id=photo_id, **{**asdict(decoded), **lists})


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
    """Make `variants` the served base set, or the served set of `crop`. Returns the number of rows written.

    All rows change in the caller's transaction, which ends with `settle_sets`; objects that lose their row go to
    `retired_objects`.
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
    return written


def settle_sets(conn: Connection, photo_id: UUID) -> None:
    """After a change of sets or crops: supersede crop sets that are neither wanted nor served, refresh the cache.

    Retention removes superseded sets after its grace period.
    """
    _queries.supersede_unused_crops(conn, photo_id=photo_id)
    _queries.refresh_variant_cache(conn, photo_id=photo_id)


def renew_link_crops(conn: Connection, photo_ids: Sequence[UUID]) -> None:
    """After links with crops of their own came to these photos: sign their crops, and make the work pending.

    Nothing happens to a photo whose bytes are not known yet, or whose links show their crops already.
    """
    _queries.sign_link_crops(conn, photo_ids=list(photo_ids))
    _queries.want_link_crops(conn, photo_ids=list(photo_ids))


def _crop_parameters(crop: CropRow) -> dict[str, object]:
    return {
        "crop_mode": crop.mode,
        # repr keeps the three decimals that the crop was rounded to; a float would add binary noise.
        "crop_x": Decimal(repr(crop.x)),
        "crop_y": Decimal(repr(crop.y)),
        "crop_zoom": Decimal(repr(crop.zoom)),
        "crop_signature": crop.signature,
    }
