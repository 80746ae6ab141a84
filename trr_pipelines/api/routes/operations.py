"""What waits, fails and was saved, for those who keep the archive running."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive
from trr_pipelines.api.routes.reprocessing import RetryReport
from trr_pipelines.pipeline.reporting.operations import read_operations

router = APIRouter(route_class=GuardedRoute, tags=["operations"])


class Queue(BaseModel):
    """Work of one kind that has not ended: open, held by a run, waiting for another attempt, failed for good.

    Of what is open or held, `asked_again` is what somebody asked to have done again.
    """

    waiting: int
    running: int
    retrying: int
    ended_failed: int
    asked_again: int


class Failures(BaseModel):
    """Failed photos of one source and reason."""

    source: str
    reason: str
    photos: int


class Saved(BaseModel):
    """Bytes of one view of the newest cards, of 20,000 photos at most: originals, smallest cards, the difference."""

    photos: int
    bytes_before: int
    bytes_after: int
    bytes_saved: int


class SavedBy(BaseModel):
    """What one view of every card saved, by the end of a day."""

    day: date
    bytes_saved: int


class ImageTimes(BaseModel):
    """How long browsers took for pictures of one rendition key, from request to paint, in the last seven days."""

    count: int
    p50_ms: int
    p95_ms: int


class Alert(BaseModel):
    """A condition that holds since `opened_at`, in one line and in figures; `seen_at` is when somebody last looked."""

    kind: str
    text: str
    figures: dict[str, Any]
    opened_at: datetime
    seen_at: datetime


class Operations(BaseModel):
    """The archive's operation in figures; `lag_seconds` says for how long the oldest live work waits.

    `alerts_looked_seconds` is how long ago Dagster's sensor looked for alerts; null where it never has.
    """

    alerts: list[Alert]
    alerts_looked_seconds: float | None
    retries: list[RetryReport]

    queue: dict[str, Queue]
    lag_seconds: float
    failures: list[Failures]
    failed_by_reason: dict[str, int]
    failed_by_source: dict[str, int]
    saved: Saved
    saved_by_day: list[SavedBy]
    image_times: dict[str, ImageTimes]
    backfills: list[dict[str, Any]]


@router.get("/api/v1/admin/operations", **open_to(ADMIN, ADMIN_APP))
def get_operations(archive: CurrentArchive) -> Operations:
    """Alerts, queue and lag, failures by reason and source, the last retries, bytes saved, backfills."""
    return Operations(**read_operations(archive.database))
