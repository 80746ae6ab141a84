"""Writing a person's photos into the face bank's own table: it follows the backend's list, reviews aside."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from trr_pipelines.errors import TrrError
from trr_pipelines.screenalytics.bank import Session
from trr_pipelines.screenalytics.merging import Merged
from trr_pipelines.screenalytics.responses import BackendPhoto, OwnPhoto

_COLUMNS = (
    "place",
    "media_asset_id",
    "link_id",
    "hosted_key",
    "served_url",
    "sha256",
    "width",
    "height",
    "source",
    "caption",
    "is_seed",
)


class ReviewsTouchedError(TrrError):
    """An import would have changed reviews; it was rolled back."""


def merge(session: Session, person_id: UUID, photos: Sequence[BackendPhoto], *, are_seeds: bool) -> Merged:
    """Make the listed photos rows of the person, in the caller's transaction.

    Raises ReviewsTouchedError, for the caller to roll back, if a review changed.
    """
    queries, conn = session.queries, session.conn
    queries.make_incoming(conn)
    with conn.cursor().copy(f"copy incoming ({', '.join(_COLUMNS)}) from stdin") as copy:
        for place, photo in enumerate(photos):
            own = photo if isinstance(photo, OwnPhoto) else None
            copy.write_row(
                (
                    place,
                    photo.photo_id,
                    own and own.link_id,
                    photo.hosted_key,
                    photo.served_url,
                    own and own.sha256,
                    photo.width,
                    photo.height,
                    own.source if own else "",
                    own.caption if own else "",
                    own.facebank_seed if own else are_seeds,
                )
            )
    for prepare in (queries.index_incoming, queries.index_incoming_bytes, queries.count_incoming):
        prepare(conn)
    queries.remove_excluded(conn, person_id=person_id)
    excluded: int = queries.skip_excluded(conn, person_id=person_id)
    queries.snapshot_reviews(conn, person_id=person_id)
    queries.rename_known(conn, person_id=person_id)
    put = queries.put_images(conn, person_id=person_id)
    unflagged: int = queries.unflag_others(conn, person_id=person_id)
    changed: int = queries.count_changed_reviews(conn)
    if changed:
        raise ReviewsTouchedError(f"the import of person {person_id} would change {changed} reviews; rolled back")
    return Merged(
        inserted=put["inserted"],
        updated=put["updated"] + unflagged,
        unchanged=put["listed"] - put["inserted"] - put["updated"],
        unflagged=unflagged,
        excluded=excluded,
    )
