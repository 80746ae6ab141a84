"""Figures of a batch: photos, bytes, crops, galleries, failures. Reads only.

Where a batch may be None, that is the whole archive. Creating batches is in `imports`; the reports that are made of
these figures are in `pipeline.reporting.batches`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as
from trr_pipelines.catalogue.ledger import Kind
from trr_pipelines.catalogue.slugs import EntityKind

_queries = load_queries("batches.sql")


@dataclass(frozen=True)
class FailedPhoto:
    """A failed photo, with the failure of its earliest step; `next_attempt_at` is None when it is parked."""

    media_asset_id: UUID
    source: str
    source_url: str
    kind: Kind
    reason: str
    detail: str | None
    attempts: int
    next_attempt_at: datetime | None


@dataclass(frozen=True)
class Outcome:
    """Photos of a batch with a complete base set, and failed ones by reason."""

    complete: int
    failed_by_reason: dict[str, int]

    @property
    def everything_failed(self) -> bool:
        return self.complete == 0 and bool(self.failed_by_reason)


@dataclass(frozen=True)
class GridBytes:
    """A gallery grid: median bytes of an original and of its card, and the median share saved (0 to 1)."""

    photos: int
    median_bytes_before: int
    median_bytes_after: int
    median_reduction: float


@dataclass(frozen=True)
class PhotoCounts:
    """Photos of a batch by state, and the bytes of their originals."""

    photos: int
    pending: int
    mirrored: int
    failed: int
    bytes: int


@dataclass(frozen=True)
class Progress:
    """Photos of some batches: all, those without pending work, and those with an original."""

    photos: int
    ended: int
    originals: int


@dataclass(frozen=True)
class WorkCounts:
    """Photos by the state of one kind of work."""

    pending: int
    complete: int
    failed: int


@dataclass(frozen=True)
class Payload:
    """Bytes delivered of one rendition key: the smallest format of each photo."""

    variant_key: str
    photos: int
    bytes: int
    p50: int
    p95: int


@dataclass(frozen=True)
class VariantTotals:
    """Served variants and their bytes."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class LeastSaved:
    """A photo whose card saves little: bytes of its original and its card, the share saved, and both objects.

    `external_bucket` is empty for an original of ours.
    """

    id: UUID
    source_url: str
    hosted_url: str
    hosted_key: str
    external_bucket: str
    before: int
    after: int
    reduction: float
    card_key: str


@dataclass(frozen=True)
class CropCount:
    """Active crops of one mode and reason."""

    crop_mode: Literal["auto", "manual"]
    reason: str
    photos: int


@dataclass(frozen=True)
class Corrections:
    """Crop edits of a batch, its signatures, photos with a proposal, and photos whose proposal was corrected."""

    edits: int
    signatures: int
    proposed: int
    proposals_corrected: int


@dataclass(frozen=True)
class BatchGallery:
    """A gallery that contains photos of a batch."""

    entity_kind: EntityKind
    slug: str
    name: str
    photos: int


def failed_photos(conn: Connection, batch: str | None = None) -> list[FailedPhoto]:
    """Failed photos, each once."""
    return rows_as(FailedPhoto, _queries.failed_photos(conn, batch=batch))


def outcome(conn: Connection, batch: str) -> Outcome:
    """How the photos of a batch have ended until now."""
    failed = Counter(photo.reason for photo in failed_photos(conn, batch))
    return Outcome(work_counts(conn, batch, "base").complete, dict(sorted(failed.items())))


def grid_bytes(conn: Connection, batch: str | None = None) -> GridBytes:
    """Bytes of a gallery grid, before and after."""
    grid = GridBytes(**_queries.grid(conn, batch=batch))
    return replace(grid, median_reduction=round(grid.median_reduction, 4))


def photo_counts(conn: Connection, batch: str) -> PhotoCounts:
    """Photos of a batch by state, and the bytes of their originals."""
    return PhotoCounts(**_queries.batch_photos(conn, batch=batch))


def progress(conn: Connection, batches: Sequence[str]) -> Progress:
    """How far the photos of these batches are."""
    return Progress(**_queries.batch_progress(conn, batches=list(batches)))


def work_counts(conn: Connection, batch: str | None, kind: Kind) -> WorkCounts:
    """Photos of a batch by the state of one kind of work."""
    return WorkCounts(**_queries.batch_generations(conn, batch=batch, kind=kind))


def payloads(conn: Connection, batch: str) -> dict[str, Payload]:
    """Bytes delivered by rendition key."""
    return {payload.variant_key: payload for payload in rows_as(Payload, _queries.batch_payloads(conn, batch=batch))}


def variant_totals(conn: Connection, batch: str | None, *, is_crop: bool | None) -> VariantTotals:
    """Served base or crop variants of a batch and their bytes; both for None."""
    return VariantTotals(**_queries.batch_variants(conn, batch=batch, is_crop=is_crop))


def least_saved(conn: Connection, batch: str, limit: int = 12) -> list[LeastSaved]:
    """The photos whose card saves the smallest share of bytes."""
    return rows_as(LeastSaved, _queries.batch_least_saved(conn, batch=batch, limit=limit))


def crop_counts(conn: Connection, batch: str) -> list[CropCount]:
    """Active crops of a batch by mode and reason, the most frequent first."""
    return rows_as(CropCount, _queries.batch_crops(conn, batch=batch))


def corrections(conn: Connection, batch: str) -> Corrections:
    """How many crop proposals of a batch people corrected."""
    return Corrections(**_queries.batch_corrections(conn, batch=batch))


def rendition_keys(conn: Connection, batch: str, variant_key: str, limit: int) -> list[str]:
    """Object keys of the smallest file of one rendition, by photo id."""
    rows = _queries.batch_rendition_keys(conn, batch=batch, variant_key=variant_key, limit=limit)
    return [row["hosted_key"] for row in rows]


def galleries(conn: Connection, batch: str, limit: int) -> list[BatchGallery]:
    """Galleries that contain photos of a batch, those with the most first."""
    return rows_as(BatchGallery, _queries.batch_galleries(conn, batch=batch, limit=limit))


def batches_of_photos(conn: Connection, photo_ids: Sequence[UUID]) -> list[str]:
    """Keys of the batches of these photos, sorted."""
    return [row["batch_key"] for row in _queries.batches_of_photos(conn, photo_ids=list(photo_ids))]


def count_not_current(conn: Connection, batch: str, kind: Kind, recipe: str) -> int:
    """Photos of a batch whose work of this kind is open, or complete at another recipe."""
    count: int = _queries.count_not_current(conn, batch=batch, kind=kind, recipe=recipe)
    return count
