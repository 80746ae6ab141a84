"""Figures for operators: alerts, queue, failures, retries, bytes saved, load times, backfills."""

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
    """Work of one kind: waiting, leased by a run, waiting for a retry, failed for good.

    `asked_again` is the part of the waiting and leased work that a person asked to reprocess.
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
    """Bytes of viewing the newest cards once, at most 20,000: originals, smallest cards, the difference."""

    photos: int
    bytes_before: int
    bytes_after: int
    bytes_saved: int


class SavedBy(BaseModel):
    """Bytes saved by viewing every card once, at the end of a day."""

    day: date
    bytes_saved: int


class ImageTimes(BaseModel):
    """Image load times in browsers, from request to paint, of one rendition key over the last seven days."""

    count: int
    p50_ms: int
    p95_ms: int


class Alert(BaseModel):
    """A condition that holds since `opened_at`, in one line and in figures; `seen_at` is its last evaluation."""

    kind: str
    text: str
    figures: dict[str, Any]
    opened_at: datetime
    seen_at: datetime


class Operations(BaseModel):
    """The archive's operation in figures; `lag_seconds` is how long the oldest live work has waited.

    `alerts_looked_seconds` is the time since Dagster's alert sensor last ran; null if it never has.
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
    """Alerts, queue and lag, failures by reason and source, recent retries, bytes saved, backfills."""
    return Operations(**read_operations(archive.database))
