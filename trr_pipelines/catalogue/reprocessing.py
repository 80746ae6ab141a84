"""Reprocessing in the catalogue: which ended work matches, its extent, requests, and their outcomes.

Who may reprocess, and how much at once, is decided in `pipeline.rework.reprocessing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from trr_pipelines.catalogue.backfills import Recipes
from trr_pipelines.catalogue.database import Connection, load_queries, row_as, rows_as
from trr_pipelines.errors import FETCHED_AGAIN

_queries = load_queries("reprocessing.sql")

KEEP_DAYS = 90  # of a request

STEPS = ("original", "base", "crop")


@dataclass(frozen=True)
class Matching:
    """Which photos: None means all. `state` is the photo's (pending, mirrored), or failed for any failed work."""

    photo_ids: list[UUID] | None = None
    state: str | None = None
    reason: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class ReprocessExtent:
    """Matching photos, the bytes of their originals, and the originals and sets that do not exist yet.

    Beyond `most_photos` the count is not complete.
    """

    photos: int
    bytes: int
    originals: int
    base_sets: int
    crop_sets: int


@dataclass(frozen=True)
class Reopened:
    """A photo with pending work again: its kinds of work, and the earlier failure of the first that had failed."""

    kinds: tuple[str, ...]
    failed_for: str | None


@dataclass(frozen=True)
class ReprocessRequest:
    """A request to reprocess, with the number of photos that matched then."""

    id: int
    state: str | None
    reason: str | None
    source: str | None
    show: str | None
    photos: int
    author: str
    created_at: datetime
    age_seconds: float


@dataclass(frozen=True)
class RequestOutcome:
    """Photos of a request with the same outcome; `changed_at` is the newest change of any of their work."""

    outcome: Literal["open", "failed", "complete"]
    reason: str | None
    is_as_before: bool
    photos: int
    changed_at: datetime


def extent(conn: Connection, matching: Matching, recipes: Recipes, *, most_photos: int) -> ReprocessExtent:
    """How much work matches; above `most_photos`, a count that is above it, too, but not complete."""
    row = _queries.extent(conn, **asdict(matching), **recipes.parameters(), most_photos=most_photos)
    return ReprocessExtent(**row)


def matching_photos(conn: Connection, matching: Matching) -> list[UUID]:
    """The photos with matching work, by id."""
    return [row["media_asset_id"] for row in _queries.matching_photos(conn, **asdict(matching))]


def reopen(conn: Connection, matching: Matching) -> dict[UUID, Reopened]:
    """Make matching work pending; returns the photos that have pending work again.

    With sets that failed because of the bytes of an imported original, the original is reopened: it is fetched again.
    """
    found = _queries.reopen(conn, **asdict(matching), of_bytes=sorted(FETCHED_AGAIN))
    rows = sorted(found, key=lambda row: STEPS.index(row["kind"]))
    reopened: dict[UUID, Reopened] = {}
    for row in rows:
        before = reopened.get(row["media_asset_id"], Reopened((), None))
        reopened[row["media_asset_id"]] = Reopened((*before.kinds, row["kind"]), before.failed_for or row["failed_for"])
    return reopened


def add_request(
    conn: Connection,
    reopened: dict[UUID, Reopened],
    *,
    state: str | None,
    reason: str | None,
    source: str | None,
    show: str | None,
    author: str,
) -> int:
    """Record a request with its photos for its report; returns its number. Deletes requests older than `KEEP_DAYS`."""
    _queries.prune_requests(conn, days=KEEP_DAYS)
    request_id: int = _queries.add_request(
        conn, state=state, reason=reason, source=source, show=show, photos=len(reopened), author=author
    )
    _add_photos(conn, request_id, reopened)
    return request_id


def extend_request(conn: Connection, request_id: int, reopened: dict[UUID, Reopened]) -> None:
    """Add more photos to a request."""
    _queries.count_photos(conn, request_id=request_id, photos=len(reopened))
    _add_photos(conn, request_id, reopened)


def _add_photos(conn: Connection, request_id: int, reopened: dict[UUID, Reopened]) -> None:
    reasons = [photo.failed_for for photo in reopened.values()]
    _queries.add_photos(conn, request_id=request_id, photo_ids=list(reopened), reasons=reasons)


def request(conn: Connection, request_id: int) -> ReprocessRequest | None:
    """The request with this number."""
    return row_as(ReprocessRequest, _queries.request(conn, request_id=request_id))


def recent_requests(conn: Connection, *, hours: int, limit: int) -> list[int]:
    """Numbers of the requests of the last hours, the newest first."""
    return [row["id"] for row in _queries.recent_requests(conn, hours=hours, limit=limit)]


def requests_of(conn: Connection, photo_ids: Sequence[UUID], *, days: int) -> list[int]:
    """Numbers of the requests of the last days that include any of these photos."""
    return [row["request_id"] for row in _queries.requests_of(conn, photo_ids=list(photo_ids), days=days)]


def outcomes(conn: Connection, request_id: int) -> list[RequestOutcome]:
    """Present outcomes of the photos of a request; photos deleted since are not in it."""
    return rows_as(RequestOutcome, _queries.outcomes(conn, request_id=request_id))


def source_is_known(conn: Connection, source: str) -> bool:
    """Whether anything was imported from this source."""
    return bool(_queries.source_is_known(conn, source=source))


def photos_of_show(conn: Connection, show_id: UUID) -> list[UUID]:
    """The photos of a show and of its seasons."""
    return [row["media_asset_id"] for row in _queries.photos_of_show(conn, show_id=show_id)]
