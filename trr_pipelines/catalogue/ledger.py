"""The ledger: one row per photo and kind of work, leased by runs, completed or failed with a reason.

Leases use the database's clock, cover small chunks and are renewed during work. A result commits only while the row has
the version and the run that it was claimed with; an edit in between makes it stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.errors import HostBusyError, MediaError, PermanentError, Reason, TrrError

_queries = load_queries("ledger.sql")

Kind = Literal["original", "base", "crop"]

# The photos of a killed run are free again after this long; the heartbeat renews leases three times as often.
LEASE_SECONDS = 30
HEARTBEAT_SECONDS = 10
MAX_ATTEMPTS = 5
# A missing page rarely comes back: parked sooner than an overloaded server.
MAX_ATTEMPTS_NOT_FOUND = 3
# Runs of one scope that may fail in a row before it is parked.
MAX_RUN_FAILURES = 5


class StaleResultError(TrrError):
    """The photo was edited, or claimed by another run, during the work; the result must be dropped."""


@dataclass(frozen=True)
class Scope:
    """The photos of a run: all of a batch, or those listed."""

    batch: str | None = None
    photo_ids: tuple[UUID, ...] | None = None

    def parameters(self) -> dict[str, Any]:
        """The two bound parameters that every scoped query takes."""
        return {"batch": self.batch, "photo_ids": None if self.photo_ids is None else list(self.photo_ids)}

    def __str__(self) -> str:
        return self.batch or f"{len(self.photo_ids or ())} photos"


@dataclass(frozen=True)
class Claim:
    """One leased piece of work. For kind crop, `wanted` is the signature of the active crop (empty: none yet).

    `is_asked`: requested again, or tried again after a failure: what exists may be damaged, and is made again.
    """

    photo_id: UUID
    kind: Kind
    version: int
    wanted: str
    is_asked: bool = False


def claim(
    conn: Connection, scope: Scope, kinds: Sequence[Kind], run_id: str, *, limit: int, propose_crops: bool = False
) -> list[Claim]:
    """Lease the work that is due on up to `limit` photos.

    Without `propose_crops`, photos that wait for a proposal have no work of kind crop.
    """
    rows = _queries.claim(
        conn,
        **scope.parameters(),
        kinds=list(kinds),
        run_id=run_id,
        limit=limit,
        lease_seconds=LEASE_SECONDS,
        propose_crops=propose_crops,
    )
    return [Claim(row["media_asset_id"], row["kind"], row["version"], row["wanted"], row["is_asked"]) for row in rows]


def count_open(conn: Connection, scope: Scope, kinds: Sequence[Kind], *, propose_crops: bool = False) -> int:
    """Photos of the scope that are neither complete nor failed, leased or not."""
    count: int = _queries.count_open(conn, **scope.parameters(), kinds=list(kinds), propose_crops=propose_crops)
    return count


def renew(conn: Connection, photo_ids: Sequence[UUID], run_id: str) -> None:
    """Extend the leases of a run on these photos."""
    _queries.renew(conn, photo_ids=list(photo_ids), run_id=run_id, lease_seconds=LEASE_SECONDS)


def release(conn: Connection, run_id: str) -> int:
    """Release every lease of a run; returns their number."""
    return int(_queries.release(conn, run_id=run_id))


def release_photo(conn: Connection, photo_id: UUID, run_id: str) -> None:
    """Release the leases of a run on one photo."""
    _queries.release_photo(conn, photo_id=photo_id, run_id=run_id)


def reopen_outdated(conn: Connection, scope: Scope, kind: Kind, recipe: str) -> int:
    """Make complete sets of another recipe pending; returns their number."""
    return int(_queries.reopen_outdated(conn, **scope.parameters(), kind=kind, recipe=recipe))


def open_originals(conn: Connection, scope: Scope) -> None:
    """Add missing work for originals: photos of the lane `backfill` are imported without any."""
    _queries.open_originals(conn, **scope.parameters())


def open_derivatives(conn: Connection, photo_id: UUID) -> None:
    """Add missing work for the variants of a photo; existing rows stay."""
    _queries.open_derivatives(conn, photo_id=photo_id)


def reopen(conn: Connection, photo_id: UUID, kind: Kind) -> None:
    """Make a kind of work pending, in whatever state it is."""
    _queries.reopen(conn, photo_id=photo_id, kind=kind)


def ask_for_derivatives(conn: Connection, photo_id: UUID) -> None:
    """Make the photo's sets that are not complete pending, whatever its batch waits for."""
    _queries.ask_for_derivatives(conn, photo_id=photo_id)


def ask_for_original(conn: Connection, photo_id: UUID) -> None:
    """Make the photo's original pending, to be read again; its sets wait for it."""
    _queries.ask_for_original(conn, photo_id=photo_id)


def settle(conn: Connection, photo_id: UUID, kind: Kind) -> None:
    """Mark a kind of work complete that was done by other means."""
    _queries.settle(conn, photo_id=photo_id, kind=kind)


def complete(conn: Connection, claim: Claim, run_id: str, *, recipe: str = "", signature: str = "") -> None:
    """Mark a piece of work complete. Raises StaleResultError, which must roll the transaction back."""
    is_current = _queries.complete(
        conn,
        photo_id=claim.photo_id,
        kind=claim.kind,
        version=claim.version,
        run_id=run_id,
        recipe=recipe,
        signature=signature,
    )
    if not is_current:
        raise StaleResultError(f"{claim.kind} of photo {claim.photo_id} changed during the work; its result is dropped")


def fail(conn: Connection, claim: Claim, run_id: str, error: MediaError) -> bool:
    """Record a failure; a retryable one gets a time for its next attempt. False when the claim is stale.

    A wait that a host asked for is no attempt of the photo.
    """
    not_found = error.reason is Reason.FETCH_NOT_FOUND
    wait = error.wait_seconds if isinstance(error, HostBusyError) else error.retry_after
    return bool(
        _queries.fail(
            conn,
            photo_id=claim.photo_id,
            kind=claim.kind,
            version=claim.version,
            run_id=run_id,
            reason=str(error.reason),
            detail=error.detail[:1000],
            retryable=not isinstance(error, PermanentError),
            is_attempt=not isinstance(error, HostBusyError),
            max_attempts=MAX_ATTEMPTS_NOT_FOUND if not_found else MAX_ATTEMPTS,
            retry_after=float(wait or 0),
        )
    )


def batches_with_work(conn: Connection, limit: int, *, asked: bool = False) -> list[str]:
    """Live batches with photos that wait for their original or first variants, and without a run.

    `asked` includes photos to reprocess, which are otherwise left to runs of listed photos.
    """
    rows = _queries.batches_with_work(conn, limit=limit, max_failures=MAX_RUN_FAILURES, asked=asked)
    return [row["batch_key"] for row in rows]


def crops_with_work(conn: Connection, limit: int) -> list[UUID]:
    """Photos with a complete base set and a changed crop, oldest edit first."""
    return [row["media_asset_id"] for row in _queries.crops_with_work(conn, limit=limit)]


def retries_due(conn: Connection, limit: int) -> list[UUID]:
    """Photos whose next attempt is due, and photos to reprocess, longest overdue first."""
    return [row["media_asset_id"] for row in _queries.retries_due(conn, limit=limit)]
