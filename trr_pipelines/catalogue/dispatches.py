"""What sensors have asked Dagster for: one row per scope of work, with the epoch that makes its run_key.

Dagster drops a run_key whose earlier run failed, so a key made from the work alone would wedge. The epoch advances
when a run claims the scope, when its run fails, and when a request never became a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.catalogue.ledger import LEASE_SECONDS, MAX_RUN_FAILURES

_queries = load_queries("dispatches.sql")

# A request that is older is checked: Dagster may have dropped its run.
STALE_SECONDS = 120


@dataclass(frozen=True)
class Dispatch:
    """What to ask for: `is_stale` says that it was first asked for long ago and no run has claimed it."""

    scope: str
    epoch: int
    is_stale: bool

    @property
    def run_key(self) -> str:
        return f"{self.scope}:{self.epoch}"


def batch_scope(batch: str) -> str:
    """The scope of a batch's runs."""
    return f"batch:{batch}"


def request(conn: Connection, scope: str) -> Dispatch:
    """The current request of a scope; the same one until a run claims it."""
    row = _queries.request(conn, scope=scope, stale_seconds=STALE_SECONDS)
    return Dispatch(scope, row["epoch"], row["is_stale"])


def advance(conn: Connection, stale: Dispatch) -> Dispatch:
    """Replace a request that never became a run."""
    epoch = _queries.advance(conn, scope=stale.scope, epoch=stale.epoch)
    return Dispatch(stale.scope, epoch or stale.epoch, False)


def is_ready(conn: Connection, scope: str) -> bool:
    """False while the scope waits out a backoff, or is parked after too many failed runs."""
    return bool(_queries.is_ready(conn, scope=scope, max_failures=MAX_RUN_FAILURES))


def is_free(conn: Connection, scope: str) -> bool:
    """Whether no run holds the scope, and it neither waits out a backoff nor is parked."""
    return is_ready(conn, scope) and bool(_queries.is_free(conn, scope=scope))


def any_is_held(conn: Connection) -> bool:
    """Whether a run works on any scope: it renews its lease while it does."""
    return bool(_queries.any_held(conn))


def claim(conn: Connection, scope: str, run_id: str) -> None:
    """A run begins with the scope: later work is asked for under a new key."""
    _queries.claim(conn, scope=scope, run_id=run_id, lease_seconds=LEASE_SECONDS)


def renew(conn: Connection, scope: str, run_id: str) -> None:
    """Keep other runs from being asked for while this one is at work."""
    _queries.renew(conn, scope=scope, run_id=run_id, lease_seconds=LEASE_SECONDS)


def succeed(conn: Connection, scope: str, run_id: str) -> None:
    """The run is done with the scope."""
    _queries.succeed(conn, scope=scope, run_id=run_id)


def fail(conn: Connection, scope: str, run_id: str, *, was_killed: bool = False) -> int | None:
    """The scope's run failed: ask again under a new key, after a backoff.

    Returns how many of its runs failed in a row; None where the scope is another run's by now.
    """
    failures: int | None = _queries.fail(conn, scope=scope, run_id=run_id, was_killed=was_killed)
    return failures


def parked(conn: Connection) -> list[str]:
    """Scopes for which no more runs are requested, because too many failed in a row."""
    return [row["scope"] for row in _queries.parked(conn, max_failures=MAX_RUN_FAILURES)]


def unpark(conn: Connection, scopes: Sequence[str]) -> None:
    """Request runs of these scopes again: their failures are forgotten, and they wait for no backoff."""
    _queries.unpark(conn, scopes=list(scopes))
    _queries.return_parked_batches(conn, scopes=list(scopes))


def hold(conn: Connection, scope: str) -> None:
    """Request no more runs of the scope, until it is released, or a run that a user started succeeds."""
    _queries.hold(conn, scope=scope)
