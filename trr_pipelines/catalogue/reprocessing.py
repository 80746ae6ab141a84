"""Work asked for again: which ended work matches, what it would cost, making it open, and how it came out.

Who may ask, and what is too much at once, is `pipeline.reprocessing`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("reprocessing.sql")

# A photo has about ten derivatives: the newest thousand photos.
SAMPLED_VARIANTS = 10_000
# A pause between two photos that is longer than this was no work: one photo takes 0.2 to 2 s.
IDLE_SECONDS = 30
# How long a request is remembered.
KEEP_DAYS = 90

STEPS = ("original", "base", "crop")


@dataclass(frozen=True)
class Matching:
    """Which photos: None means all. `state` is the photo's (pending, mirrored), or failed for anything that failed."""

    photo_ids: list[UUID] | None = None
    state: str | None = None
    reason: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class ReprocessExtent:
    """How much matches: photos, bytes of their originals, and originals and sets that do not stand yet.

    Beyond `most_photos` it was not counted to the end.
    """

    photos: int
    bytes: int
    originals: int
    base_sets: int
    crop_sets: int


@dataclass(frozen=True)
class Measured:
    """What the newest photos took: photos a second, bytes per original and set. None where there are none."""

    photos_per_second: float | None
    original: float | None
    base_set: float | None
    crop_set: float | None


@dataclass(frozen=True)
class Asked:
    """A photo that is open again: which kinds of work, and the reason of the earliest that had failed."""

    kinds: tuple[str, ...]
    failed_for: str | None


@dataclass(frozen=True)
class ReprocessRequest:
    """What somebody asked to have done again, and how many photos matched then."""

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
    """Photos of a request that stand alike; `changed_at` is the newest change of any of their work."""

    outcome: Literal["open", "failed", "complete"]
    reason: str | None
    is_as_before: bool
    photos: int
    changed_at: datetime


def extent(
    conn: Connection, matching: Matching, *, base_recipe: str, crop_recipe: str, most_photos: int
) -> ReprocessExtent:
    """How much work matches; where that is more than `most_photos`, some number that is more than those."""
    row = _queries.price(
        conn, **asdict(matching), base_recipe=base_recipe, crop_recipe=crop_recipe, most_photos=most_photos
    )
    return ReprocessExtent(**row)


def ask(conn: Connection, matching: Matching) -> dict[UUID, Asked]:
    """Make what matches work again; returns the photos that are open again."""
    rows = sorted(_queries.ask(conn, **asdict(matching)), key=lambda row: STEPS.index(row["kind"]))
    asked: dict[UUID, Asked] = {}
    for row in rows:
        before = asked.get(row["media_asset_id"], Asked((), None))
        asked[row["media_asset_id"]] = Asked((*before.kinds, row["kind"]), before.failed_for or row["failed_for"])
    return asked


def remember(
    conn: Connection,
    asked: dict[UUID, Asked],
    *,
    state: str | None,
    reason: str | None,
    source: str | None,
    show: str | None,
    author: str,
) -> int:
    """Keep a request with its photos for its report; returns its number. Requests of long ago are forgotten."""
    _queries.prune_requests(conn, days=KEEP_DAYS)
    request_id: int = _queries.add_request(
        conn, state=state, reason=reason, source=source, show=show, photos=len(asked), author=author
    )
    reasons = [one.failed_for for one in asked.values()]
    _queries.add_photos(conn, request_id=request_id, photo_ids=list(asked), reasons=reasons)
    return request_id


def request(conn: Connection, request_id: int) -> ReprocessRequest | None:
    """What was asked for under this number."""
    row = _queries.request(conn, request_id=request_id)
    return None if row is None else ReprocessRequest(**row)


def recent_requests(conn: Connection, *, hours: int, limit: int) -> list[int]:
    """Numbers of the newest requests of the last hours, the newest first."""
    return [row["id"] for row in _queries.recent_requests(conn, hours=hours, limit=limit)]


def requests_of(conn: Connection, photo_ids: Sequence[UUID], *, days: int) -> list[int]:
    """Numbers of the requests of the last days that asked for any of these photos."""
    return [row["request_id"] for row in _queries.requests_of(conn, photo_ids=list(photo_ids), days=days)]


def outcomes(conn: Connection, request_id: int) -> list[RequestOutcome]:
    """What became of the photos of a request, as they stand now; photos that are gone are in none."""
    return [RequestOutcome(**row) for row in _queries.outcomes(conn, request_id=request_id)]


def measured(conn: Connection) -> Measured:
    """How fast the newest photos were made, and how large they came out."""
    return Measured(**_queries.measured(conn, variants=SAMPLED_VARIANTS, idle_seconds=IDLE_SECONDS))


def source_is_known(conn: Connection, source: str) -> bool:
    """Whether anything was ever imported from this source."""
    return bool(_queries.source_is_known(conn, source=source))


def photos_of_show(conn: Connection, show_id: UUID) -> list[UUID]:
    """The photos of a show and of its seasons."""
    return [row["media_asset_id"] for row in _queries.photos_of_show(conn, show_id=show_id)]
