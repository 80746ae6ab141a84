"""Doing work again that has ended: of one photo, or of all that match a filter, at a price that is told before.

Nothing is fetched or rendered here. What is asked for becomes open work, and the `retry_failed` sensor has it done as
runs of scattered photos; until then everything that is served stays served. Reports tell how it came out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import audit, crops, estimates, reprocessing
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.reprocessing import Matching, Measured, RequestOutcome
from trr_pipelines.errors import InputError, NotFoundError, Reason
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.galleries.entities import require_entity

STATES = ("pending", "mirrored", "failed")
# One statement changes three rows of each: 2 s. A whole archive is a backfill's work, which can be paused.
MAX_PHOTOS = 50_000
# Whose reports the pages of operations and the runs of scattered photos show.
RECENT_HOURS, RECENT_REQUESTS = 24, 5


@dataclass(frozen=True)
class ReprocessFilter:
    """Which photos to do again; at least one is needed. `show` is an id or a slug, and its seasons count."""

    state: str | None = None
    reason: str | None = None
    source: str | None = None
    show: str | None = None


@dataclass(frozen=True)
class Price:
    """What doing photos again costs; minutes and new bytes are None where nothing was rendered yet to measure by.

    `id` is the number of the request, for its report; None where nothing was asked for. Of more than 50,000 photos
    (`photos_capped`), which cannot be done at once, only so many are counted.
    """

    photos: int
    bytes_to_read: int
    minutes: float | None
    photos_per_second: float | None
    new_storage_bytes: int | None
    photos_capped: bool
    id: int | None = None


@dataclass(frozen=True)
class ReprocessReport:
    """How a request came out, as its photos stand now: `still_failing` for the reason that they had failed for before,
    `failing_otherwise` for another; `gone` were taken down, or turned out to be photos that were there already.

    `seconds` end with the newest change of its photos, or with now while some are `open`.
    """

    id: int
    wanted: ReprocessFilter
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

    def report(self) -> dict[str, Any]:
        """The report in JSON's types."""
        told = asdict(self)
        return {"id": self.id, "filter": told.pop("wanted"), **told, "is_done": self.is_done}

    def __str__(self) -> str:
        """`12 of 14 fixed, 1 still truncated, 1 now corrupt`."""
        parts = [f"{self.fixed} of {self.photos} fixed"]
        parts += [f"{photos} still {reason}" for reason, photos in self.still_failing.items()]
        parts += [f"{photos} now {reason}" for reason, photos in self.failing_otherwise.items()]
        parts += [f"{self.open} open"] if self.open else []
        parts += [f"{self.gone} gone"] if self.gone else []
        return ", ".join(parts)


def reprocess_photo(database: Database, photo_id: UUID, *, author: Author) -> tuple[str, ...]:
    """Do one photo again; returns the kinds of work that were made open (none: all of it is open already).

    An original is fetched again only where that failed. Raises NotFoundError for an unknown photo.
    """

    def work(conn: Connection) -> tuple[str, ...]:
        if crops.lock_photo(conn, photo_id) is None:
            raise NotFoundError(f"no photo {photo_id}")
        asked = reprocessing.ask(conn, Matching([photo_id])).get(photo_id)
        kinds = () if asked is None else tuple(sorted(asked.kinds))
        if kinds:
            audit.record(conn, author, "reprocess", "media_asset", photo_id, old=None, new={"reopened": kinds})
        return kinds

    return database.run(work)


def price_of(database: Database, wanted: ReprocessFilter) -> Price:
    """What doing the matching photos again would cost. Raises as `reprocess`."""
    return database.read(lambda conn: _price(conn, _matching(conn, wanted)))


def reprocess(database: Database, wanted: ReprocessFilter, *, author: Author) -> Price:
    """Do all matching photos again; returns what that costs. What is open already is left as it is.

    Raises InputError without any filter, for a state, reason, source or show that does not exist, and for more than
    50,000 photos.
    """

    def work(conn: Connection) -> Price:
        matching = _matching(conn, wanted)
        price = _price(conn, matching)
        if price.photos_capped:
            raise InputError(
                f"{price.photos:,} photos match, or more; at most {MAX_PHOTOS:,} at a time: narrow the filter"
            )
        asked = reprocessing.ask(conn, matching) if price.photos else {}
        if not asked:
            return price
        request_id = reprocessing.remember(conn, asked, **asdict(wanted), author=author.actor)
        told = {**asdict(wanted), "photos": price.photos, "request": request_id}
        audit.record(conn, author, "reprocess", "media_assets", "filter", old=None, new=told)
        return replace(price, id=request_id)

    return database.run(work)


def report_of(database: Database, request_id: int) -> ReprocessReport:
    """How a request came out so far. Raises NotFoundError for a number that no request has."""

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
    """Reports of the requests of the last days that asked for any of these photos, the newest five."""

    def read(conn: Connection) -> list[ReprocessReport]:
        numbers = reprocessing.requests_of(conn, photo_ids, days=RECENT_HOURS // 24)[-RECENT_REQUESTS:]
        return [report for number in numbers if (report := _report(conn, number)) is not None]

    return database.read(read)


def _report(conn: Connection, request_id: int) -> ReprocessReport | None:
    request = reprocessing.request(conn, request_id)
    if request is None:
        return None
    stand = reprocessing.outcomes(conn, request_id)
    still_open = sum(one.photos for one in stand if one.outcome == "open")
    ended = max((one.changed_at for one in stand), default=request.created_at)
    seconds = request.age_seconds if still_open else (ended - request.created_at).total_seconds()
    return ReprocessReport(
        id=request.id,
        wanted=ReprocessFilter(request.state, request.reason, request.source, request.show),
        author=request.author,
        asked_at=request.created_at.isoformat(),
        photos=request.photos,
        fixed=sum(one.photos for one in stand if one.outcome == "complete"),
        open=still_open,
        still_failing=_failing(stand, as_before=True),
        failing_otherwise=_failing(stand, as_before=False),
        gone=request.photos - sum(one.photos for one in stand),
        seconds=round(max(seconds, 0), 1),
    )


def _failing(stand: Sequence[RequestOutcome], *, as_before: bool) -> dict[str, int]:
    """Photos by the reason that they failed for, the most first."""
    found = [one for one in stand if one.outcome == "failed" and one.is_as_before == as_before]
    return {str(one.reason): one.photos for one in sorted(found, key=lambda one: (-one.photos, str(one.reason)))}


def _matching(conn: Connection, wanted: ReprocessFilter) -> Matching:
    if not any(asdict(wanted).values()):
        raise InputError("at least one of state, reason, source and show is needed")
    if wanted.state is not None and wanted.state not in STATES:
        raise InputError(f"unknown state {wanted.state[:80]!r}; known are {', '.join(STATES)}")
    if wanted.reason is not None and wanted.reason not in {str(reason) for reason in Reason}:
        raise InputError(f"unknown reason {wanted.reason[:80]!r}; known are {', '.join(Reason)}")
    if wanted.source is not None and not reprocessing.source_is_known(conn, wanted.source):
        raise InputError(f"unknown source {wanted.source[:80]!r}: nothing was ever imported from it")
    photo_ids = None if wanted.show is None else reprocessing.photos_of_show(conn, _show(conn, wanted.show))
    return Matching(photo_ids, wanted.state, wanted.reason, wanted.source)


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


def _price(conn: Connection, matching: Matching) -> Price:
    extent = reprocessing.extent(
        conn, matching, base_recipe=BASE.fingerprint, crop_recipe=CROP.fingerprint, most_photos=MAX_PHOTOS
    )
    measured = reprocessing.measured(conn)
    # Runs of batches record their speed; where there was none, the newest derivatives tell.
    speed = estimates.recent_rate(conn) or measured.photos_per_second
    return Price(
        photos=extent.photos,
        bytes_to_read=extent.bytes,
        minutes=None if speed is None else round(extent.photos / speed / 60, 1),
        photos_per_second=None if speed is None else round(speed, 2),
        new_storage_bytes=_new_bytes(extent, measured),
        photos_capped=extent.photos > MAX_PHOTOS,
    )


def _new_bytes(extent: reprocessing.ReprocessExtent, measured: Measured) -> int | None:
    """Sets that stand at the present recipe are found standing, and cost nothing."""
    if measured.original is None or measured.base_set is None or measured.crop_set is None:
        return None
    return round(
        extent.originals * measured.original
        + extent.base_sets * measured.base_set
        + extent.crop_sets * measured.crop_set
    )
