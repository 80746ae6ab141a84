"""Taking a person's photos over from the backend: the seeds, or, where there surely are none, all of them.

Nothing of the face bank is written before everything has arrived and was found right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from trr_pipelines.errors import BackendUnavailableError, TrrError
from trr_pipelines.screenalytics.bank import BANK_LOCK, Connection, FaceBank, queries
from trr_pipelines.screenalytics.client import BackendClient, Call
from trr_pipelines.screenalytics.responses import PhotosAnswer


class ImportOutcome(StrEnum):
    """What an import found: seeds; no seeds, so all photos were taken; nothing to take."""

    SEEDED = "seeded"
    FALLBACK_UNSEEDED = "fallback_unseeded"
    EMPTY = "empty"


@dataclass(frozen=True)
class ImportResult:
    """What an import did, in rows of the face bank.

    `unflagged` rows lost `is_seed` because the backend no longer lists them; they are among `updated`. `skipped` says
    how many photos were not taken, by reason: `excluded` (not this person), `unserved` (not mirrored yet).
    """

    person_id: UUID
    outcome: ImportOutcome
    calls: tuple[Call, ...]
    inserted: int
    updated: int
    unchanged: int
    unflagged: int
    skipped: dict[str, int]

    def report(self) -> dict[str, Any]:
        """The result in JSON's types."""
        calls = [{"seed_only": call.seed_only, "page": call.page, "status": call.status} for call in self.calls]
        counts = {name: getattr(self, name) for name in ("inserted", "updated", "unchanged", "unflagged", "skipped")}
        return {"person_id": str(self.person_id), "outcome": str(self.outcome), "calls": calls, **counts}


class SeedsNotServedError(BackendUnavailableError):
    """All seeds of a person are still to be mirrored: there will be seeds, so nothing else may be taken."""


class ReviewsTouchedError(TrrError):
    """An import would have changed what reviewers said; it was undone."""


@dataclass(frozen=True)
class _Listed:
    """How many photos the backend listed, and how many more it does not serve yet."""

    count: int
    unserved: int


def import_facebank_images(
    bank: FaceBank, backend: BackendClient, person_id: UUID, *, fall_back: bool = True
) -> ImportResult:
    """Bring the face bank to what the backend lists for a person, in one transaction; idempotent.

    The seeds come first. All photos are asked for only after a successful answer without any seed, and only with
    `fall_back`; without it, an answer without seeds leaves what stands, and clears `is_seed`.

    New rows are not approved. What a reviewer approved, rejected or excluded stays so, and a photo that is no longer
    flagged stays as well. Raises the client's errors, SeedsNotServedError, and the bank's; then nothing was written.
    """
    already = len(backend.calls)
    with bank.connect() as conn:
        queries.lock_bank(conn, bank=BANK_LOCK)
        queries.lock_person(conn, bank=BANK_LOCK, person_id=person_id)
        queries.make_incoming(conn)
        listed = _receive(conn, backend.photos(person_id, seed_only=True))
        outcome = ImportOutcome.SEEDED if listed.count else ImportOutcome.EMPTY
        if not listed.count and listed.unserved:
            raise SeedsNotServedError(f"none of the {listed.unserved} seeds of person {person_id} is served yet")
        if not listed.count and fall_back:
            listed = _receive(conn, backend.photos(person_id, seed_only=False))
            outcome = ImportOutcome.FALLBACK_UNSEEDED if listed.count else ImportOutcome.EMPTY
        calls = tuple(backend.calls[already:])
        with conn.transaction():
            return _merge(conn, person_id, outcome, calls, listed)


def _receive(conn: Connection, pages: Iterable[PhotosAnswer]) -> _Listed:
    """Put pages aside as they come, so that never more than one is in memory."""
    count = unserved = 0
    for page in pages:
        count, unserved = count + page.count, page.unserved
        with conn.cursor().copy(f"copy incoming ({', '.join(_COLUMNS)}) from stdin") as copy:
            for photo in page.photos:
                values = photo.model_dump(include=set(_COLUMNS)) | {"is_seed": photo.facebank_seed}
                copy.write_row([values[name] for name in _COLUMNS])
    return _Listed(count, unserved)


_COLUMNS: Sequence[str] = (
    "media_asset_id",
    "link_id",
    "served_url",
    "sha256",
    "width",
    "height",
    "source",
    "caption",
    "is_seed",
)


def _merge(
    conn: Connection, person_id: UUID, outcome: ImportOutcome, calls: tuple[Call, ...], listed: _Listed
) -> ImportResult:
    queries.merge_links(conn)
    for prepare in (queries.index_incoming, queries.index_incoming_bytes, queries.count_incoming):
        prepare(conn)
    queries.put_person(conn, person_id=person_id)
    queries.remove_excluded(conn, person_id=person_id)
    excluded: int = queries.skip_excluded(conn, person_id=person_id)
    queries.snapshot_reviews(conn, person_id=person_id)
    queries.rename_known(conn, person_id=person_id)
    put = queries.put_images(conn, person_id=person_id)
    unflagged: int = queries.unflag_others(conn, person_id=person_id)
    reviews_changed: int = queries.count_changed_reviews(conn)
    if reviews_changed:
        raise ReviewsTouchedError(f"the import of person {person_id} touches {reviews_changed} reviews; undone")
    queries.record_import(
        conn, person_id=person_id, outcome=str(outcome), calls=len(calls), reviews_changed=reviews_changed
    )
    skipped = {"excluded": excluded, "unserved": listed.unserved}
    return ImportResult(
        person_id,
        outcome,
        calls,
        put["inserted"],
        put["updated"] + unflagged,
        put["listed"] - put["inserted"] - put["updated"],
        unflagged,
        {reason: count for reason, count in skipped.items() if count},
    )
