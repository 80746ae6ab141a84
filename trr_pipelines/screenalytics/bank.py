"""The face bank: sessions with it, casts, reviews, removals and snapshots, for both kinds of bank.

The rules of an import are in `importing`, quality checks in `quality`. Nothing here keeps state in a session: a pooler
may give each transaction another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from trr_pipelines.errors import ConflictError, NotFoundError, SetupError
from trr_pipelines.schema_migrations import HINT
from trr_pipelines.screenalytics.kinds import APPLICATION_TABLE, QUERIES, Connection, Kind, kind_of, require_rights

# Arbitrary constant: the advisory lock that serialises imports into a bank and removals from it.
BANK_LOCK = 7_460_223
LOCK_SECONDS = 120


@dataclass(frozen=True)
class Session:
    """An open connection in autocommit, and the named queries (conn, …) → rows of this kind of bank."""

    conn: Connection
    kind: Kind

    @property
    def queries(self) -> Any:
        return QUERIES[self.kind]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction, which waits for each lock for at most two minutes."""
        with self.conn.transaction():
            self.queries.limit_lock_waits(self.conn, milliseconds=LOCK_SECONDS * 1000)
            yield


@dataclass(frozen=True)
class FaceBank:
    """One Screenalytics database, by its URL. Holds no connection; safe to share."""

    url: SecretStr

    @contextmanager
    def connect(self) -> Iterator[Session]:
        """A session, closed at the end of the block.

        Raises SetupError when the database cannot be reached, its schema is missing or old, a table is missing or has
        another shape, or the role lacks rights or is kept from rows; ConflictError when a lock is not free within two
        minutes.
        """
        try:
            conn = psycopg.connect(
                self.url.get_secret_value(),
                autocommit=True,
                row_factory=dict_row,
                connect_timeout=5,
                prepare_threshold=None,
            )
        except psycopg.OperationalError as error:
            raise SetupError(f"cannot reach the Screenalytics database: {_first_line(error)}") from None
        with conn:
            name = conn.info.dbname
            try:
                kind = kind_of(conn)
                if kind is Kind.APPLICATION:
                    require_rights(conn)
                kind.schema.require_current(conn)
                yield Session(conn, kind)
            except psycopg.errors.UndefinedTable as error:
                raise SetupError(f'database "{name}" (SCREENALYTICS_DB_URL): {_first_line(error)}; {HINT}') from None
            except psycopg.errors.InsufficientPrivilege as error:
                raise SetupError(
                    f'the role "{conn.info.user}" of SCREENALYTICS_DB_URL may not do this in database "{name}": '
                    f"{_first_line(error)}"
                ) from None
            except psycopg.errors.LockNotAvailable:
                raise ConflictError(
                    f"another import holds the face bank's lock for more than {LOCK_SECONDS} s; try again later"
                ) from None
            except psycopg.OperationalError as error:
                raise SetupError(f"lost the connection to the Screenalytics database: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def put_cast(bank: FaceBank, people: Sequence[Mapping[str, Any]]) -> int:
    """Store names and shows (slugs) of people, each `{"id", "full_name", "shows"}`; returns how many changed."""
    with bank.connect() as session:
        return int(session.queries.put_cast(session.conn, people=json.dumps(list(people), default=str)))


def cast_of(bank: FaceBank, show: str) -> list[UUID]:
    """Ids of the cast of a show, by its slug. Raises NotFoundError for an unknown show or an empty cast."""
    with bank.connect() as session:
        people = [row["id"] for row in session.queries.cast_of(session.conn, show=show)]
    if not people:
        raise NotFoundError(
            f"no cast of the show {show!r} in the Screenalytics database; send it with `trr facebank cast` where the "
            "catalogue is available, or with any import run in Dagster"
        )
    return people


def remove_photos(bank: FaceBank, photo_ids: Sequence[UUID]) -> int:
    """Delete all rows and exclusions of photos, for every person; returns the number of faces removed.

    An import that listed a photo before its removal reads its list again. Raises ConflictError, after removing the
    others, if the application's table has approved faces of these photos: those are deleted there.
    """
    ids = list(photo_ids)
    approved: list[UUID] = []
    with bank.connect() as session, session.transaction():
        queries, conn = session.queries, session.conn
        queries.lock_bank_alone(conn, bank=BANK_LOCK)
        queries.note_removal(conn)
        queries.forget_exclusions(conn, photo_ids=ids)
        if session.kind is Kind.APPLICATION:
            approved = [row["image_id"] for row in queries.approved_images(conn, photo_ids=ids)]
        removed = int(queries.remove_photos(conn, photo_ids=ids))
        if session.kind is Kind.APPLICATION:
            queries.forget_faces(conn, photo_ids=ids)
    if approved:
        images = ", ".join(str(image) for image in approved[:5])
        raise ConflictError(
            f"{len(approved)} approved faces of photos that were taken down are kept in {APPLICATION_TABLE} "
            f"(image_id {images}); delete them there"
        )
    return removed


def review(bank: FaceBank, person_id: UUID, photo_id: UUID, *, approved: bool, rejected: bool, author: str) -> None:
    """Store a review of a face. Raises NotFoundError if the person has no such photo in the face bank."""
    with bank.connect() as session:
        values = {"approved": approved, "rejected": rejected, "author": author}
        if not session.queries.review(session.conn, person_id=person_id, photo_id=photo_id, **values):
            raise NotFoundError(f"person {person_id} has no photo {photo_id} in the face bank")


def exclude(bank: FaceBank, person_id: UUID, photo_id: UUID, *, author: str) -> None:
    """Remove a photo that does not show this person, and exclude it from all later imports.

    Raises NotFoundError if the person has no such photo in the face bank, and ConflictError if the application has
    approved it.
    """
    with bank.connect() as session, session.transaction():
        queries, conn = session.queries, session.conn
        if session.kind is Kind.APPLICATION and queries.approved_of_person(
            conn, person_id=person_id, photo_id=photo_id
        ):
            raise ConflictError(
                f"photo {photo_id} of person {person_id} is approved in {APPLICATION_TABLE}; withdraw that first"
            )
        if not queries.exclude(conn, person_id=person_id, photo_id=photo_id, author=author):
            raise NotFoundError(f"person {person_id} has no photo {photo_id} in the face bank")
        queries.remove_excluded(conn, person_id=person_id)


@dataclass(frozen=True)
class Snapshot:
    """Saved state of a person: row ids, the ids that were seeds, and whether the person had a row."""

    ids: tuple[str, ...]
    seeds: tuple[str, ...]
    was_known: bool


def take_snapshot(bank: FaceBank, person_id: UUID) -> Snapshot:
    """The current state of a person, for `restore`."""
    with bank.connect() as session:
        rows = list(session.queries.all_flags(session.conn, person_id=person_id))
        known = session.queries.person(session.conn, person_id=person_id) is not None
    return Snapshot(
        tuple(str(row["id"]) for row in rows), tuple(str(row["id"]) for row in rows if row["is_seed"]), known
    )


def restore(bank: FaceBank, person_id: UUID, snapshot: Snapshot) -> None:
    """Delete rows added since the snapshot, and reset the seed flags. Reviewed rows are kept."""
    ids, seeds = [UUID(text) for text in snapshot.ids], [UUID(text) for text in snapshot.seeds]
    with bank.connect() as session, session.transaction():
        queries, conn = session.queries, session.conn
        queries.lock_bank_alone(conn, bank=BANK_LOCK)
        queries.remove_other_images(conn, person_id=person_id, ids=ids)
        if session.kind is Kind.OWN:  # no import changes a flag of the application's table
            queries.set_flags(conn, person_id=person_id, seeds=seeds)
        if not snapshot.was_known:
            queries.remove_person_without_images(conn, person_id=person_id)


def faces(bank: FaceBank, person_id: UUID) -> list[dict[str, Any]]:
    """The rows of a person: photo, link, `is_seed`, `approved`, `reviewed_by`."""
    with bank.connect() as session:
        return list(session.queries.faces(session.conn, person_id=person_id))
