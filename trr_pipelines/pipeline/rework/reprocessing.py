"""Reprocessing: ended work of one photo, or of all that match a filter, is done again; estimated first.

Nothing is fetched or rendered here. Matching work becomes pending, and the sensor `retry_failed` requests runs of
listed photos for it; until then the served files stay. Reports say how it came out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypedDict
from uuid import UUID

from trr_pipelines.catalogue import audit, crops, reprocessing
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.entities import require_entity
from trr_pipelines.catalogue.reprocessing import Matching, RequestOutcome
from trr_pipelines.errors import InputError, NotFoundError, Reason
from trr_pipelines.pipeline.rework.estimates import Estimate, estimate_matching

STATES = ("pending", "mirrored", "failed")
# For a whole archive use a backfill, which can be paused.
MAX_PHOTOS = 50_000
# In one transaction, which locks three rows of each: edits and runs of these photos wait for 0.2 s.
PHOTOS_AT_ONCE = 5_000
# Reports that the operations page and the runs of listed photos show.
RECENT_HOURS, RECENT_REQUESTS = 24, 5


@dataclass(frozen=True)
class ReprocessFilter:
    """Which photos to reprocess; at least one is needed. `show` is an id or a slug, and includes its seasons."""

    state: str | None = None
    reason: str | None = None
    source: str | None = None
    show: str | None = None


class ReprocessPlanReport(TypedDict):
    """A reprocess plan in the types of JSON."""

    photos: int
    bytes_to_read: int
    minutes: float | None
    photos_per_second: float | None
    new_storage_bytes: int | None
    photos_capped: bool
    id: int | None


class ReprocessFilterReport(TypedDict):
    """A filter in the types of JSON."""

    state: str | None
    reason: str | None
    source: str | None
    show: str | None


class ReprocessOutcome(TypedDict):
    """A reprocess report in the types of JSON."""

    id: int
    filter: ReprocessFilterReport
    author: str
    asked_at: str
    photos: int
    fixed: int
    open: int
    still_failing: dict[str, int]
    failing_otherwise: dict[str, int]
    gone: int
    seconds: float
    is_done: bool


@dataclass(frozen=True)
class ReprocessPlan:
    """The cost of reprocessing. Above 50,000 photos (`photos_capped`), which are refused, the count is not complete.

    `id` is the number of the request, for its report; None for a dry run, or when nothing was reopened.
    """

    estimate: Estimate
    photos_capped: bool
    id: int | None = None

    def report(self) -> ReprocessPlanReport:
        """The plan in the types of JSON."""
        return {
            "photos": self.estimate.photos,
            "bytes_to_read": self.estimate.bytes_to_read,
            "minutes": self.estimate.minutes,
            "photos_per_second": self.estimate.photos_per_second,
            "new_storage_bytes": self.estimate.new_bytes,
            "photos_capped": self.photos_capped,
            "id": self.id,
        }


@dataclass(frozen=True)
class ReprocessReport:
    """The present outcome of a request: failed photos by reason, `still_failing` for their earlier reason,
    `failing_otherwise` for another. Photos that are `gone` were taken down, or were duplicates.

    `seconds` end with the newest change of its photos, or now while some are `open`.
    """

    id: int
    filter: ReprocessFilter
    author: str
    asked_at: str
    photos: int
    fixed: int
    open: int
    still_failing: dict[str, int]
    failing_otherwise: dict[str, int]
    gone: int
    seconds: float

    @property
    def is_done(self) -> bool:
        return self.open == 0

    def report(self) -> ReprocessOutcome:
        """The report in the types of JSON."""
        return {
            "id": self.id,
            "filter": {
                "state": self.filter.state,
                "reason": self.filter.reason,
                "source": self.filter.source,
                "show": self.filter.show,
            },
            "author": self.author,
            "asked_at": self.asked_at,
            "photos": self.photos,
            "fixed": self.fixed,
            "open": self.open,
            "still_failing": self.still_failing,
            "failing_otherwise": self.failing_otherwise,
            "gone": self.gone,
            "seconds": self.seconds,
            "is_done": self.is_done,
        }

    def __str__(self) -> str:
        """`12 of 14 fixed, 1 still truncated, 1 now corrupt`."""
        parts = [f"{self.fixed} of {self.photos} fixed"]
        parts += [f"{photos} still {reason}" for reason, photos in self.still_failing.items()]
        parts += [f"{photos} now {reason}" for reason, photos in self.failing_otherwise.items()]
        parts += [f"{self.open} open"] if self.open else []
        parts += [f"{self.gone} gone"] if self.gone else []
        return ", ".join(parts)


def reprocess_photo(database: Database, photo_id: UUID, *, author: Author) -> tuple[str, ...]:
    """Reprocess one photo; returns the kinds of work that were reopened (none: all of it is open already).

    An original is fetched again only if that failed, or if its bytes are why a set failed. Raises NotFoundError for an
    unknown photo.
    """

    def work(conn: Connection) -> tuple[str, ...]:
        if crops.lock_photo(conn, photo_id) is None:
            raise NotFoundError(f"no photo {photo_id}")
        reopened = reprocessing.reopen(conn, Matching([photo_id])).get(photo_id)
        kinds = () if reopened is None else tuple(sorted(reopened.kinds))
        if kinds:
            audit.record(conn, author, "reprocess", "media_asset", photo_id, old=None, new={"reopened": kinds})
        return kinds

    return database.run(work)


def plan_reprocessing(database: Database, chosen: ReprocessFilter) -> ReprocessPlan:
    """The cost of reprocessing the matching photos. Raises as `reprocess`, except for too many photos."""
    return database.read(lambda conn: _plan(conn, _matching(conn, chosen)))


def reprocess(database: Database, chosen: ReprocessFilter, *, author: Author) -> ReprocessPlan:
    """Reprocess all matching photos; returns the cost. Work that is open already stays as it is.

    Raises InputError without any filter, for a state, reason, source or show that does not exist, and for more than
    50,000 photos.
    """

    def plan(conn: Connection) -> tuple[ReprocessPlan, Matching, list[UUID]]:
        matching = _matching(conn, chosen)
        planned = _plan(conn, matching)
        photos = planned.estimate.photos
        if planned.photos_capped:
            raise InputError(f"{photos:,} photos match, or more; at most {MAX_PHOTOS:,} at a time: narrow the filter")
        return planned, matching, reprocessing.matching_photos(conn, matching) if photos else []

    planned, matching, photo_ids = database.read(plan)
    request_id: int | None = None
    for start in range(0, len(photo_ids), PHOTOS_AT_ONCE):
        # Without the source, which no photo changes: PostgreSQL should begin with the ids.
        some = replace(matching, photo_ids=photo_ids[start : start + PHOTOS_AT_ONCE], source=None)

        def reopen(conn: Connection, some: Matching = some, number: int | None = request_id) -> int | None:
            reopened = reprocessing.reopen(conn, some)
            if reopened and number is not None:
                reprocessing.extend_request(conn, number, reopened)
            elif reopened:
                number = reprocessing.add_request(conn, reopened, **asdict(chosen), author=author.actor)
                new = {**asdict(chosen), "photos": len(photo_ids), "request": number}
                audit.record(conn, author, "reprocess", "media_assets", "filter", old=None, new=new)
            return number

        request_id = database.run(reopen)
    return replace(planned, id=request_id)


def report_of(database: Database, request_id: int) -> ReprocessReport:
    """The present outcome of a request. Raises NotFoundError for an unknown number."""

    def read(conn: Connection) -> ReprocessReport:
        report = _report(conn, request_id)
        if report is None:
            raise NotFoundError(f"no reprocess request {request_id}")
        return report

    return database.read(read)


def recent_reports(conn: Connection) -> list[ReprocessReport]:
    """Reports of the newest five requests of the last 24 hours, the newest first."""
    numbers = reprocessing.recent_requests(conn, hours=RECENT_HOURS, limit=RECENT_REQUESTS)
    return [report for number in numbers if (report := _report(conn, number)) is not None]


def reports_about(database: Database, photo_ids: Sequence[UUID]) -> list[ReprocessReport]:
    """Reports of the requests of the last 24 hours that include any of these photos, the newest five."""

    def read(conn: Connection) -> list[ReprocessReport]:
        numbers = reprocessing.requests_of(conn, photo_ids, days=RECENT_HOURS // 24)[-RECENT_REQUESTS:]
        return [report for number in numbers if (report := _report(conn, number)) is not None]

    return database.read(read)


def _report(conn: Connection, request_id: int) -> ReprocessReport | None:
    request = reprocessing.request(conn, request_id)
    if request is None:
        return None
    outcomes = reprocessing.outcomes(conn, request_id)
    still_open = sum(outcome.photos for outcome in outcomes if outcome.outcome == "open")
    ended = max((outcome.changed_at for outcome in outcomes), default=request.created_at)
    seconds = request.age_seconds if still_open else (ended - request.created_at).total_seconds()
    return ReprocessReport(
        id=request.id,
        filter=ReprocessFilter(request.state, request.reason, request.source, request.show),
        author=request.author,
        asked_at=request.created_at.isoformat(),
        photos=request.photos,
        fixed=sum(outcome.photos for outcome in outcomes if outcome.outcome == "complete"),
        open=still_open,
        still_failing=_failing(outcomes, as_before=True),
        failing_otherwise=_failing(outcomes, as_before=False),
        gone=request.photos - sum(outcome.photos for outcome in outcomes),
        seconds=round(max(seconds, 0), 1),
    )


def _failing(outcomes: Sequence[RequestOutcome], *, as_before: bool) -> dict[str, int]:
    """Failed photos by reason, the most frequent first."""
    failed = [outcome for outcome in outcomes if outcome.outcome == "failed" and outcome.is_as_before == as_before]
    failed.sort(key=lambda outcome: (-outcome.photos, str(outcome.reason)))
    return {str(outcome.reason): outcome.photos for outcome in failed}


def _matching(conn: Connection, chosen: ReprocessFilter) -> Matching:
    if not any(asdict(chosen).values()):
        raise InputError("at least one of state, reason, source and show is needed")
    if chosen.state is not None and chosen.state not in STATES:
        raise InputError(f"unknown state {chosen.state[:80]!r}; known are {', '.join(STATES)}")
    if chosen.reason is not None and chosen.reason not in {str(reason) for reason in Reason}:
        raise InputError(f"unknown reason {chosen.reason[:80]!r}; known are {', '.join(Reason)}")
    if chosen.source is not None and not reprocessing.source_is_known(conn, chosen.source):
        raise InputError(f"unknown source {chosen.source[:80]!r}: nothing was ever imported from it")
    photo_ids = None if chosen.show is None else reprocessing.photos_of_show(conn, _show(conn, chosen.show))
    return Matching(photo_ids, chosen.state, chosen.reason, chosen.source)


def _show(conn: Connection, show: str) -> UUID:
    try:
        return require_entity(conn, "show", _id_or_slug(show))
    except NotFoundError:
        raise InputError(f"unknown show {show[:80]!r}") from None


def _id_or_slug(text: str) -> UUID | str:
    try:
        return UUID(text)
    except ValueError:
        return text


def _plan(conn: Connection, matching: Matching) -> ReprocessPlan:
    estimate = estimate_matching(conn, matching, most_photos=MAX_PHOTOS)
    return ReprocessPlan(estimate, estimate.photos > MAX_PHOTOS)
