"""Import a person's photos from the backend into the face bank: the seeds, or all photos if there are none.

The face bank is written only after all pages have arrived and are valid.
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
    """Outcome of an import: seeds; no seeds, so all photos were imported; no photos."""

    SEEDED = "seeded"
    FALLBACK_UNSEEDED = "fallback_unseeded"
    EMPTY = "empty"


@dataclass(frozen=True)
class ImportResult:
    """Result of an import, in rows of the face bank.

    `unflagged` rows lost `is_seed` because the backend no longer lists them; they are included in `updated`. `skipped`
    counts photos that were not imported, by reason: `excluded` (not this person), `unserved` (not mirrored yet).
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
        """The result in the types of JSON."""
        calls = [{"seed_only": call.seed_only, "page": call.page, "status": call.status} for call in self.calls]
        counts = {name: getattr(self, name) for name in ("inserted", "updated", "unchanged", "unflagged", "skipped")}
        return {"person_id": str(self.person_id), "outcome": str(self.outcome), "calls": calls, **counts}


class SeedsNotServedError(BackendUnavailableError):
    """All seeds of a person are still to be mirrored, so a fallback to all photos would be wrong."""


class ReviewsTouchedError(TrrError):
    """An import would have changed reviews; it was rolled back."""


@dataclass(frozen=True)
class _Listed:
    """Number of photos that the backend listed, and of those it does not serve yet."""

    count: int
    unserved: int


def import_facebank_images(
    bank: FaceBank, backend: BackendClient, person_id: UUID, *, fall_back: bool = True
) -> ImportResult:
    """Synchronise the face bank with the backend's list for a person, in one transaction; idempotent.

    Seeds are requested first. All photos are requested only after a successful response without seeds, and only with
    `fall_back`; without it, a response without seeds keeps all rows and clears `is_seed`.

    New rows are not approved. Reviews and exclusions never change, and photos that are no longer flagged are kept.
    Raises the errors of the client and of the bank, and SeedsNotServedError; then nothing was written.
    """
    earlier_calls = len(backend.calls)
    with bank.connect() as conn:
        queries.lock_bank(conn, bank=BANK_LOCK)
        queries.lock_person(conn, bank=BANK_LOCK, person_id=person_id)
        queries.make_incoming(conn)
        listed = _receive(conn, backend.photos(person_id, seed_only=True))
        outcome = ImportOutcome.SEEDED if listed.count else ImportOutcome.EMPTY
        if not listed.count and listed.unserved:
            raise SeedsNotServedError(
                f"none of the {listed.unserved} seeds of person {person_id} is served yet; try again later"
            )
        if not listed.count and fall_back:
            listed = _receive(conn, backend.photos(person_id, seed_only=False))
            outcome = ImportOutcome.FALLBACK_UNSEEDED if listed.count else ImportOutcome.EMPTY
        calls = tuple(backend.calls[earlier_calls:])
        with conn.transaction():
            return _merge(conn, person_id, outcome, calls, listed)


def _receive(conn: Connection, pages: Iterable[PhotosAnswer]) -> _Listed:
    """Copy pages into a temporary table as they arrive, so that only one is in memory."""
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
        raise ReviewsTouchedError(
            f"the import of person {person_id} would change {reviews_changed} reviews; rolled back"
        )
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
