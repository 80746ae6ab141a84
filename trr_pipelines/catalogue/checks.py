"""Rows that the invariants of `pipeline.checks.invariants` test, and rows that break them. Reads only.

Where a batch may be None, that is the whole archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as, streamed
from trr_pipelines.catalogue.ledger import Kind

_queries = load_queries("checks.sql")


@dataclass(frozen=True)
class RecordedObject:
    """An object with the bytes and SHA-256 that its row records; `external_bucket` is empty for one of ours."""

    media_asset_id: UUID
    batch_key: str
    hosted_key: str
    bytes: int
    sha256: str
    external_bucket: str


@dataclass(frozen=True)
class IncompleteSet:
    """A set that the ledger calls complete and that is not: its rows, its rendition keys, the sets it mixes."""

    media_asset_id: UUID
    batch_key: str
    rows: int
    keys: int
    sets: int


@dataclass(frozen=True)
class CropNotRendered:
    """A photo that the ledger calls complete while it serves another crop than the active one, or that of a link."""

    media_asset_id: UUID
    batch_key: str
    crop_signature: str
    served: str


@dataclass(frozen=True)
class UpscaledVariant:
    """A variant that is larger than its source; sides in pixels."""

    media_asset_id: UUID
    batch_key: str
    variant_key: str
    format: str
    width: int
    height: int
    source_width: int
    source_height: int


@dataclass(frozen=True)
class BatchGrid:
    """The share (0 to 1) that the median photo of a batch saves in a gallery grid."""

    batch_key: str
    photos: int
    median_reduction: float


def batch_objects(conn: Connection, batch: str, kind: Kind) -> list[RecordedObject]:
    """Objects of a batch, of one kind."""
    return rows_as(RecordedObject, _queries.batch_objects(conn, batch=batch, kind=kind))


def sampled_objects(conn: Connection, photos: int, kind: Kind) -> list[RecordedObject]:
    """As `batch_objects`, of this many photos drawn at random from the whole archive, different ones each time."""
    return rows_as(RecordedObject, _queries.sampled_objects(conn, photos=photos, kind=kind))


def incomplete_sets(conn: Connection, batch: str | None, *, is_crop: bool, keys: int) -> Iterator[IncompleteSet]:
    """Sets called complete that lack one of their `keys` rendition keys, or mix two sets."""
    return streamed(conn, IncompleteSet, _queries.incomplete_sets, batch=batch, is_crop=is_crop, keys=keys)


def crops_not_rendered(conn: Connection, batch: str | None) -> Iterator[CropNotRendered]:
    """Photos called complete whose active crop is not the served one."""
    return streamed(conn, CropNotRendered, _queries.crops_not_rendered, batch=batch)


def upscaled(conn: Connection, batch: str | None) -> Iterator[UpscaledVariant]:
    """Variants larger than their source."""
    return streamed(conn, UpscaledVariant, _queries.upscaled, batch=batch)


def grid_by_batch(conn: Connection) -> list[BatchGrid]:
    """Every batch with what its gallery grid saves, the worst first."""
    return rows_as(BatchGrid, _queries.grid_by_batch(conn))
