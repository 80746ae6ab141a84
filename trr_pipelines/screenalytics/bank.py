"""The face bank: connections to it, and its named queries as functions (conn, …) → rows.

What an import decides is `importing`'s, what a photo is worth `quality`'s.
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
# Any constant of ours will do: imports of one bank and removals from it find each other by it.
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

        Raises SetupError, in one line, when the database cannot be reached, when its schema is missing or old, and
        when a relation turns out to be gone; ConflictError when others hold what is needed for two minutes.
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
                raise ConflictError(f"another import into the face bank takes more than {LOCK_SECONDS} s") from None
            except psycopg.OperationalError as error:
                raise SetupError(f"the Screenalytics database broke off: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def put_cast(bank: FaceBank, people: Sequence[Mapping[str, Any]]) -> int:
    """Note names and shows (slugs) of people: `{"id", "full_name", "shows"}` each. Returns how many changed."""
    with bank.connect() as conn:
        return int(queries.put_cast(conn, people=json.dumps(list(people), default=str)))


def cast_of(bank: FaceBank, show: str) -> list[UUID]:
    """The people of a show, by its slug. Raises NotFoundError where nobody is known of it."""
    with bank.connect() as conn:
        people = [row["id"] for row in queries.cast_of(conn, show=show)]
    if not people:
        raise NotFoundError(
            f"the Screenalytics database knows no cast of the show {show!r}; where the catalogue is, "
            f"`trr facebank cast` tells it, and so does every import that Dagster runs"
        )
    return people


def remove_photos(bank: FaceBank, photo_ids: Sequence[UUID]) -> int:
    """Remove photos for good, whomever they show, with all that is known of them; returns the rows removed.

    Waits for imports that are under way: one that has listed a photo before must not bring it back afterwards.
    """
    with bank.connect() as conn, conn.transaction():
        queries.lock_bank_alone(conn, bank=BANK_LOCK)
        queries.forget_exclusions(conn, photo_ids=list(photo_ids))
        return int(queries.remove_photos(conn, photo_ids=list(photo_ids)))


def review(bank: FaceBank, person_id: UUID, photo_id: UUID, *, approved: bool, rejected: bool, author: str) -> None:
    """Note what a reviewer says of a face. Raises NotFoundError where it does not stand."""
    with bank.connect() as conn:
        values = {"approved": approved, "rejected": rejected, "author": author}
        if not queries.review(conn, person_id=person_id, photo_id=photo_id, **values):
            raise NotFoundError(f"person {person_id} has no photo {photo_id} in the face bank")


def exclude(bank: FaceBank, person_id: UUID, photo_id: UUID, *, author: str) -> None:
    """Note that a photo does not show this person, and take it out; no import brings it back.

    Raises NotFoundError where it does not stand.
    """
    with bank.connect() as conn, conn.transaction():
        if not queries.exclude(conn, person_id=person_id, photo_id=photo_id, author=author):
            raise NotFoundError(f"person {person_id} has no photo {photo_id} in the face bank")
        queries.remove_excluded(conn, person_id=person_id)


@dataclass(frozen=True)
class Snapshot:
    """What stood for a person: ids of rows, those of them that were seeds, and whether the person was known at all."""

    ids: tuple[str, ...]
    seeds: tuple[str, ...]
    was_known: bool


def take_snapshot(bank: FaceBank, person_id: UUID) -> Snapshot:
    """What stands for a person now, to come back to."""
    with bank.connect() as conn:
        rows = list(queries.all_flags(conn, person_id=person_id))
        known = queries.person(conn, person_id=person_id) is not None
    return Snapshot(
        tuple(str(row["id"]) for row in rows), tuple(str(row["id"]) for row in rows if row["is_seed"]), known
    )


def restore(bank: FaceBank, person_id: UUID, snapshot: Snapshot) -> None:
    """Take out what came since the snapshot, and set flags as they were. What reviewers looked at stays."""
    ids, seeds = ([UUID(one) for one in some] for some in (snapshot.ids, snapshot.seeds))
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
