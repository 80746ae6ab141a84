"""Import a person's photos from the backend into the face bank: the seeds, or the first photos if there are none.

The face bank is written only after all pages have arrived and are valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from trr_pipelines.errors import BackendUnavailableError, ConflictError, InputError
from trr_pipelines.screenalytics import application_table, own_table
from trr_pipelines.screenalytics.bank import BANK_LOCK, FaceBank, Session
from trr_pipelines.screenalytics.client import BackendClient, Call
from trr_pipelines.screenalytics.kinds import Kind
from trr_pipelines.screenalytics.responses import BackendPhoto

# Photos of a person without seeds, as the owner's import of a show has it.
DEFAULT_MAX_IMAGES, MOST_IMAGES = 5, 20
# How often a list is read while newer ones, or removals, come first.
READS = 3


class ImportOutcome(StrEnum):
    """Outcome of an import: seeds; no seeds, so the first photos were imported; no photos."""

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


def import_facebank_images(
    bank: FaceBank,
    backend: BackendClient,
    person_id: UUID,
    *,
    fall_back: bool = True,
    max_images: int = DEFAULT_MAX_IMAGES,
) -> ImportResult:
    """Write the backend's list for a person into the face bank, in one transaction; idempotent.

    Seeds are requested first, and all are taken. The other photos are requested only after a successful response
    without seeds, and only with `fall_back`; the first `max_images` (1 to 20) are taken. In a bank of our own, photos
    that are no longer flagged are kept and lose `is_seed`; the application's table only gets more rows.

    New rows are not approved. Reviews and exclusions never change. Raises InputError for another `max_images`, the
    errors of the client and of the bank, SeedsNotServedError, and ConflictError if newer lists or removals keep coming
    first; then nothing was written.
    """
    if not 1 <= max_images <= MOST_IMAGES:
        raise InputError(f"max_images is {max_images}, allowed are 1 to {MOST_IMAGES}")
    earlier_calls = len(backend.calls)
    for _ in range(READS):
        with bank.connect() as session:
            ticket: int = session.queries.take_ticket(session.conn)
        listed = _read(backend, person_id, fall_back=fall_back, max_images=max_images)
        calls = tuple(backend.calls[earlier_calls:])
        # The connection is not held while the backend is read: a pooler has few.
        with bank.connect() as session, session.transaction():
            result = _write(session, person_id, listed, calls, ticket)
        if result is not None:
            return result
    raise ConflictError(f"newer imports of person {person_id}, or removals, came first {READS} times; try again later")


@dataclass(frozen=True)
class _Listed:
    """What the backend listed: photos, how many it does not serve yet, and what that makes of the import."""

    photos: Sequence[BackendPhoto]
    unserved: int
    outcome: ImportOutcome


def _read(backend: BackendClient, person_id: UUID, *, fall_back: bool, max_images: int) -> _Listed:
    seeds = backend.photos(person_id, seed_only=True)
    if seeds.photos:
        return _Listed(seeds.photos, seeds.unserved, ImportOutcome.SEEDED)
    if seeds.unserved:
        raise SeedsNotServedError(
            f"none of the {seeds.unserved} seeds of person {person_id} is served yet; try again later"
        )
    if not fall_back:
        return _Listed((), 0, ImportOutcome.EMPTY)
    everything = backend.photos(person_id, seed_only=False, most=max_images)
    outcome = ImportOutcome.FALLBACK_UNSEEDED if everything.photos else ImportOutcome.EMPTY
    return _Listed(everything.photos, everything.unserved, outcome)


def _write(
    session: Session, person_id: UUID, listed: _Listed, calls: tuple[Call, ...], ticket: int
) -> ImportResult | None:
    """Write a list in the caller's transaction; None if a newer one, or a removal, came first."""
    queries, conn = session.queries, session.conn
    queries.lock_bank(conn, bank=BANK_LOCK)
    queries.lock_person(conn, bank=BANK_LOCK, person_id=person_id)
    if queries.newest_ticket(conn, person_id=person_id) > ticket:
        return None
    queries.put_person(conn, person_id=person_id)
    if session.kind is Kind.APPLICATION:
        merged = application_table.merge(session, person_id, listed.photos)
    else:
        are_seeds = listed.outcome is ImportOutcome.SEEDED
        merged = own_table.merge(session, person_id, listed.photos, are_seeds=are_seeds)
    queries.record_import(
        conn, person_id=person_id, outcome=str(listed.outcome), calls=len(calls), reviews_changed=0, ticket=ticket
    )
    skipped = {"excluded": merged.excluded, "unserved": listed.unserved}
    return ImportResult(
        person_id,
        listed.outcome,
        calls,
        merged.inserted,
        merged.updated,
        merged.unchanged,
        merged.unflagged,
        {reason: count for reason, count in skipped.items() if count},
    )
