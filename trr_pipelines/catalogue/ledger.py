"""The ledger: one row per photo and kind of work, leased by runs, completed or failed with a reason.

Leases live on database time, cover small chunks and are renewed while work goes on. A result commits only while the
row still has the version and the run it was claimed with; an edit in between makes it stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.errors import MediaError, PermanentError, Reason, TrrError

_queries = load_queries("ledger.sql")

Kind = Literal["original", "base", "crop"]

# A killed run's photos are free again after this long; the heartbeat renews them three times as often.
LEASE_SECONDS = 30
HEARTBEAT_SECONDS = 10
MAX_ATTEMPTS = 5
# A missing page rarely comes back: parked sooner than an overloaded server.
MAX_ATTEMPTS_NOT_FOUND = 3
# Runs of one scope that may fail in a row before it is parked.
MAX_RUN_FAILURES = 5


class StaleResultError(TrrError):
    """The photo was edited or taken over while it was worked on; the result must be dropped."""


@dataclass(frozen=True)
class Scope:
    """Which photos a run is about: all of a batch, or the ones named."""

    batch: str | None = None
    photo_ids: tuple[UUID, ...] | None = None

    def parameters(self) -> dict[str, Any]:
        """The two bound parameters that every scoped query takes."""
        return {"batch": self.batch, "photo_ids": None if self.photo_ids is None else list(self.photo_ids)}

    def __str__(self) -> str:
        return self.batch or f"{len(self.photo_ids or ())} photos"


@dataclass(frozen=True)
class Claim:
    """One leased piece of work. `wanted` is the crop signature to render, for kind crop."""

    photo_id: UUID
    kind: Kind
    version: int
    wanted: str


def claim(
    conn: Connection, scope: Scope, kinds: Sequence[Kind], run_id: str, *, limit: int, propose_crops: bool = False
) -> list[Claim]:
    """Lease the work that is due on up to `limit` photos.

    Without `propose_crops`, photos that have no crop yet are no work of kind crop.
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
    return [Claim(row["media_asset_id"], row["kind"], row["version"], row["wanted"]) for row in rows]


def count_open(conn: Connection, scope: Scope, kinds: Sequence[Kind], *, propose_crops: bool = False) -> int:
    """How many photos of the scope are neither complete nor failed, whoever holds them."""
    count: int = _queries.count_open(conn, **scope.parameters(), kinds=list(kinds), propose_crops=propose_crops)
    return count


def renew(conn: Connection, photo_ids: Sequence[UUID], run_id: str) -> None:
    """Keep the leases of work that goes on."""
    _queries.renew(conn, photo_ids=list(photo_ids), run_id=run_id, lease_seconds=LEASE_SECONDS)


def release(conn: Connection, run_id: str) -> int:
    """Give back whatever a run still holds; returns the number of leases."""
    return int(_queries.release(conn, run_id=run_id))


def release_photo(conn: Connection, photo_id: UUID, run_id: str) -> None:
    """Give back whatever a run still holds of one photo."""
    _queries.release_photo(conn, photo_id=photo_id, run_id=run_id)


def reopen_outdated(conn: Connection, scope: Scope, kind: Kind, recipe: str) -> int:
    """Make complete sets of another recipe work again; returns how many."""
    return int(_queries.reopen_outdated(conn, **scope.parameters(), kind=kind, recipe=recipe))


def open_originals(conn: Connection, scope: Scope) -> None:
    """Make sure that photos whose original is missing have work for it: those of the lane `backfill` begin without."""
    _queries.open_originals(conn, **scope.parameters())


def open_derivatives(conn: Connection, photo_id: UUID) -> None:
    """Make sure that a photo with an original has rows for its variants; those that stand are left alone."""
    _queries.open_derivatives(conn, photo_id=photo_id)


def reopen(conn: Connection, photo_id: UUID, kind: Kind) -> None:
    """Make a kind of work due again, whatever became of it before."""
    _queries.reopen(conn, photo_id=photo_id, kind=kind)


def settle(conn: Connection, photo_id: UUID, kind: Kind) -> None:
    """Nothing is left to do of a kind of work: it was done by other means."""
    _queries.settle(conn, photo_id=photo_id, kind=kind)


def complete(conn: Connection, claim: Claim, run_id: str, *, recipe: str = "", signature: str = "") -> None:
    """Mark a piece of work complete. Raises StaleResultError, which must roll the transaction back."""
    done = _queries.complete(
        conn,
        photo_id=claim.photo_id,
        kind=claim.kind,
        version=claim.version,
        run_id=run_id,
        recipe=recipe,
        signature=signature,
    )
    if not done:
        raise StaleResultError(f"{claim.kind} of photo {claim.photo_id} changed while it was worked on")


def fail(conn: Connection, claim: Claim, run_id: str, error: MediaError) -> bool:
    """Record a failure; retryable ones get a time for the next attempt. False when the claim was stale."""
    not_found = error.reason is Reason.FETCH_NOT_FOUND
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
            max_attempts=MAX_ATTEMPTS_NOT_FOUND if not_found else MAX_ATTEMPTS,
            retry_after=float(error.retry_after or 0),
        )
    )


def batches_with_work(conn: Connection, limit: int, *, asked: bool = False) -> list[str]:
    """Batches with photos that wait for their original or first variants and that no run is at work on.

    With `asked` also those of photos that somebody asked to have done again, which otherwise are no batch's work.
    """
    rows = _queries.batches_with_work(conn, limit=limit, max_failures=MAX_RUN_FAILURES, asked=asked)
    return [row["batch_key"] for row in rows]


def crops_with_work(conn: Connection, limit: int) -> list[UUID]:
    """Photos whose crop changed after their base set was complete, oldest edit first."""
    return [row["media_asset_id"] for row in _queries.crops_with_work(conn, limit=limit)]


def retries_due(conn: Connection, limit: int) -> list[UUID]:
    """Photos whose next attempt is due, or that somebody asked to have done again, longest overdue first."""
    return [row["media_asset_id"] for row in _queries.retries_due(conn, limit=limit)]
