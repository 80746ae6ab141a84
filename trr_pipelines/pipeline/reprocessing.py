"""Doing work again that has ended: of one photo, or of all that match a filter, at a price that is told before.

Nothing is fetched or rendered here. What is asked for becomes open work, and the `retry_failed` sensor has it done as
runs of scattered photos; until then everything that is served stays served.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from uuid import UUID

from trr_pipelines.catalogue import audit, crops, reprocessing
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.reprocessing import Matching, Measured
from trr_pipelines.errors import InputError, NotFoundError, Reason
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.entities import require_entity

STATES = ("pending", "mirrored", "failed")
# One statement changes three rows of each: 2 s. A whole archive is a backfill's work, which can be paused.
MAX_PHOTOS = 50_000


@dataclass(frozen=True)
class Filter:
    """Which photos to do again; at least one is needed. `show` is an id or a slug, and its seasons count."""

    state: str | None = None
    reason: str | None = None
    source: str | None = None
    show: str | None = None


@dataclass(frozen=True)
class Price:
    """What doing photos again costs; minutes and new bytes are None where nothing was rendered yet to measure by."""

    photos: int
    bytes_to_read: int
    minutes: float | None
    photos_per_second: float | None
    new_storage_bytes: int | None


def reprocess_photo(database: Database, photo_id: UUID, *, author: Author) -> tuple[str, ...]:
    """Do one photo again; returns the kinds of work that were made open (none: all of it is open already).

    An original is fetched again only where that failed. Raises NotFoundError for an unknown photo.
    """

    def work(conn: Connection) -> tuple[str, ...]:
        if crops.lock_photo(conn, photo_id) is None:
            raise NotFoundError(f"no photo {photo_id}")
        kinds = tuple(sorted(reprocessing.ask(conn, Matching(photo_id)).get(photo_id, [])))
        if kinds:
            audit.record(conn, author, "reprocess", "media_asset", photo_id, old=None, new={"reopened": kinds})
        return kinds

    return database.run(work)


def price_of(database: Database, wanted: Filter) -> Price:
    """What doing the matching photos again would cost. Raises as `reprocess`."""
    return database.read(lambda conn: _price(conn, _matching(conn, wanted)))


def reprocess(database: Database, wanted: Filter, *, author: Author) -> Price:
    """Do all matching photos again; returns what that costs. What is open already is left as it is.

    Raises InputError without any filter, for a state, reason, source or show that does not exist, and for more than
    50,000 photos.
    """

    def work(conn: Connection) -> Price:
        matching = _matching(conn, wanted)
        price = _price(conn, matching)
        if price.photos > MAX_PHOTOS:
            raise InputError(f"{price.photos:,} photos match; at most {MAX_PHOTOS:,} at a time: narrow the filter")
        if price.photos:
            reprocessing.ask(conn, matching)
            asked = {**asdict(wanted), "photos": price.photos}
            audit.record(conn, author, "reprocess", "media_assets", "filter", old=None, new=asked)
        return price

    return database.run(work)


def _matching(conn: Connection, wanted: Filter) -> Matching:
    if not any(asdict(wanted).values()):
        raise InputError("at least one of state, reason, source and show is needed")
    if wanted.state is not None and wanted.state not in STATES:
        raise InputError(f"unknown state {wanted.state[:80]!r}; known are {', '.join(STATES)}")
    if wanted.reason is not None and wanted.reason not in {str(reason) for reason in Reason}:
        raise InputError(f"unknown reason {wanted.reason[:80]!r}; known are {', '.join(Reason)}")
    if wanted.source is not None and not reprocessing.source_is_known(conn, wanted.source):
        raise InputError(f"unknown source {wanted.source[:80]!r}: nothing was ever imported from it")
    show_id = None if wanted.show is None else _show(conn, wanted.show)
    return Matching(None, wanted.state, wanted.reason, wanted.source, show_id)


def _show(conn: Connection, show: str) -> UUID:
    try:
        given: UUID | str = UUID(show)
    except ValueError:
        given = show
    try:
        return require_entity(conn, "show", given)
    except NotFoundError:
        raise InputError(f"unknown show {show[:80]!r}") from None


def _price(conn: Connection, matching: Matching) -> Price:
    extent = reprocessing.extent(conn, matching, base_recipe=BASE.fingerprint, crop_recipe=CROP.fingerprint)
    measured = reprocessing.measured(conn)
    speed = measured.photos_per_second
    return Price(
        photos=extent.photos,
        bytes_to_read=extent.bytes,
        minutes=None if speed is None else round(extent.photos / speed / 60, 1),
        photos_per_second=None if speed is None else round(speed, 2),
        new_storage_bytes=_new_bytes(extent, measured),
    )


def _new_bytes(extent: reprocessing.Extent, measured: Measured) -> int | None:
    """Sets that stand at the present recipe are found standing, and cost nothing."""
    if measured.original is None or measured.base_set is None or measured.crop_set is None:
        return None
    return round(
        extent.originals * measured.original
        + extent.base_sets * measured.base_set
        + extent.crop_sets * measured.crop_set
    )
