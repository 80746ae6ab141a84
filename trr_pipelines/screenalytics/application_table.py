"""Writing a person's photos into the application's table of faces: rows are added, none is changed.

Needed there: select and insert on the table, delete for "not this person" and takedowns, and select on
core.media_assets and core.media_links to find the `media_asset_id` of a photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg

from trr_pipelines.errors import NotFoundError, SetupError
from trr_pipelines.screenalytics.bank import Session
from trr_pipelines.screenalytics.kinds import APPLICATION_TABLE, blinded, is_readable, role_of
from trr_pipelines.screenalytics.merging import Merged
from trr_pipelines.screenalytics.responses import BackendPhoto, OwnPhoto

_COLUMNS = (
    "place",
    "photo_id",
    "asset_id",
    "link_id",
    "hosted_key",
    "served_url",
    "sha256",
    "width",
    "height",
    "source",
    "caption",
)


def merge(session: Session, person_id: UUID, photos: Sequence[BackendPhoto]) -> Merged:
    """Add a row for each listed photo that the person has none of, in the caller's transaction.

    Raises NotFoundError for a person that the application does not know, and SetupError if its table refuses a row.
    """
    queries, conn = session.queries, session.conn
    assets = _assets(session, person_id, photos)
    queries.make_incoming(conn)
    with conn.cursor().copy(f"copy incoming ({', '.join(_COLUMNS)}) from stdin") as copy:
        for place, photo in enumerate(photos):
            own = photo if isinstance(photo, OwnPhoto) else None
            copy.write_row(
                (
                    place,
                    assets.get(photo.photo_id, photo.photo_id),
                    assets.get(photo.photo_id),
                    own and own.link_id,
                    photo.hosted_key,
                    photo.served_url,
                    own and own.sha256,
                    photo.width,
                    photo.height,
                    own.source if own else "",
                    own.caption if own else "",
                )
            )
    queries.merge_keys(conn)
    queries.count_incoming(conn)
    excluded: int = queries.skip_excluded(conn, person_id=person_id)
    listed: int = queries.count_incoming_rows(conn)
    inserted = _add(session, person_id)
    noted: int = queries.put_faces(conn, person_id=person_id)
    queries.forget_lost_faces(conn, person_id=person_id)
    queries.forget_lost_reviews(conn, person_id=person_id)
    updated = max(0, noted - inserted)
    return Merged(
        inserted=inserted,
        updated=updated,
        unchanged=max(0, listed - inserted - updated),
        unflagged=0,
        excluded=excluded,
    )


def _add(session: Session, person_id: UUID) -> int:
    """Add the rows; without `media_asset_id` if some of these ids turn out to be unknown there."""
    queries, conn = session.queries, session.conn
    try:
        with conn.transaction():
            return int(queries.add_images(conn, person_id=person_id))
    except psycopg.errors.ForeignKeyViolation as error:
        if "(person_id)" in (error.diag.message_detail or "") or not queries.forget_assets(conn):
            raise NotFoundError(f"the application's database has no person {person_id}") from None
        return _add(session, person_id)
    except psycopg.errors.InsufficientPrivilege as error:
        if "row-level security" in str(error):
            raise SetupError(blinded(role_of(conn))) from None
        raise
    except psycopg.errors.IntegrityError as error:
        raise SetupError(f"{APPLICATION_TABLE} refuses a row: {str(error).splitlines()[0]}") from None


def _assets(session: Session, person_id: UUID, photos: Sequence[BackendPhoto]) -> dict[UUID, UUID]:
    """The application's row of each photo, by the photo's id: the same id, else the row of the same object."""
    queries, conn = session.queries, session.conn
    own = {photo.media_asset_id for photo in photos if isinstance(photo, OwnPhoto)}
    if not is_readable(conn, "core", "media_assets"):
        return {photo_id: photo_id for photo_id in own}  # the foreign key decides
    found: dict[UUID, UUID] = {row["id"]: row["id"] for row in queries.assets_by_id(conn, ids=list(own))}
    keys = {photo.hosted_key: photo.photo_id for photo in photos if photo.photo_id not in found}
    if keys:
        lookup: dict[str, Any] = {"keys": list(keys)}
        if is_readable(conn, "core", "media_links"):
            rows = queries.assets_of_person(conn, person_id=person_id, **lookup)
        else:
            rows = queries.assets_by_key(conn, **lookup)
        found |= {keys[row["hosted_key"]]: row["id"] for row in rows}
    return found
