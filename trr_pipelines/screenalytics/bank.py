"""The face bank: connections to it, and its named queries as functions (conn, …) → rows.

The rules of an import are in `importing`, quality checks in `quality`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosql
import psycopg
from psycopg.rows import DictRow, dict_row
from pydantic import SecretStr

from trr_pipelines.errors import ConflictError, NotFoundError, SetupError
from trr_pipelines.schema_migrations import HINT
from trr_pipelines.screenalytics.schema import FACE_BANK

Connection = psycopg.Connection[DictRow]
# Arbitrary constant: the advisory lock that serialises imports into a bank and removals from it.
BANK_LOCK = 7_460_223
LOCK_SECONDS = 120
LIMITS = f"-c lock_timeout={LOCK_SECONDS * 1000}"

queries: Any = aiosql.from_path(Path(__file__).parent / "queries" / "face_bank.sql", "psycopg")


@dataclass(frozen=True)
class FaceBank:
    """One Screenalytics database, by its URL. Holds no connection; safe to share."""

    url: SecretStr

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in autocommit, closed at the end of the block.

        Raises SetupError when the database cannot be reached, its schema is missing or old, or a table is missing;
        ConflictError when a lock is not free within two minutes.
        """
        try:
            conn = psycopg.connect(
                self.url.get_secret_value(), autocommit=True, row_factory=dict_row, connect_timeout=5, options=LIMITS
            )
        except psycopg.OperationalError as error:
            raise SetupError(f"cannot reach the Screenalytics database: {_first_line(error)}") from None
        with conn:
            name = conn.info.dbname
            try:
                FACE_BANK.require_current(conn)
                yield conn
            except psycopg.errors.UndefinedTable as error:
                raise SetupError(f'database "{name}" ({FACE_BANK.setting}): {_first_line(error)}; {HINT}') from None
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
    with bank.connect() as conn:
        return int(queries.put_cast(conn, people=json.dumps(list(people), default=str)))


def cast_of(bank: FaceBank, show: str) -> list[UUID]:
    """Ids of the cast of a show, by its slug. Raises NotFoundError for an unknown show or an empty cast."""
    with bank.connect() as conn:
        people = [row["id"] for row in queries.cast_of(conn, show=show)]
    if not people:
        raise NotFoundError(
            f"no cast of the show {show!r} in the Screenalytics database; send it with `trr facebank cast` where the "
            "catalogue is available, or with any import run in Dagster"
        )
    return people


def remove_photos(bank: FaceBank, photo_ids: Sequence[UUID]) -> int:
    """Delete all rows and exclusions of photos, for every person; returns the number of faces removed.

    Waits for running imports: one that listed a photo before its removal must not insert it again.
    """
    with bank.connect() as conn, conn.transaction():
        queries.lock_bank_alone(conn, bank=BANK_LOCK)
        queries.forget_exclusions(conn, photo_ids=list(photo_ids))
        return int(queries.remove_photos(conn, photo_ids=list(photo_ids)))


def review(bank: FaceBank, person_id: UUID, photo_id: UUID, *, approved: bool, rejected: bool, author: str) -> None:
    """Store a review of a face. Raises NotFoundError if the person has no such photo in the face bank."""
    with bank.connect() as conn:
        values = {"approved": approved, "rejected": rejected, "author": author}
        if not queries.review(conn, person_id=person_id, photo_id=photo_id, **values):
            raise NotFoundError(f"person {person_id} has no photo {photo_id} in the face bank")


def exclude(bank: FaceBank, person_id: UUID, photo_id: UUID, *, author: str) -> None:
    """Remove a photo that does not show this person, and exclude it from all later imports.

    Raises NotFoundError if the person has no such photo in the face bank.
    """
    with bank.connect() as conn, conn.transaction():
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
    with bank.connect() as conn:
        rows = list(queries.all_flags(conn, person_id=person_id))
        known = queries.person(conn, person_id=person_id) is not None
    return Snapshot(
        tuple(str(row["id"]) for row in rows), tuple(str(row["id"]) for row in rows if row["is_seed"]), known
    )


def restore(bank: FaceBank, person_id: UUID, snapshot: Snapshot) -> None:
    """Delete rows added since the snapshot, and reset the seed flags. Reviewed rows are kept."""
    ids, seeds = [UUID(text) for text in snapshot.ids], [UUID(text) for text in snapshot.seeds]
    with bank.connect() as conn, conn.transaction():
        queries.lock_bank_alone(conn, bank=BANK_LOCK)
        queries.remove_other_images(conn, person_id=person_id, ids=ids)
        queries.set_flags(conn, person_id=person_id, seeds=seeds)
        if not snapshot.was_known:
            queries.remove_person_without_images(conn, person_id=person_id)


def faces(bank: FaceBank, person_id: UUID) -> list[dict[str, Any]]:
    """The rows of a person: photo, link, `is_seed`, `approved`, `reviewed_by`."""
    with bank.connect() as conn:
        return list(queries.faces(conn, person_id=person_id))
