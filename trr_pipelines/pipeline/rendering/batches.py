"""Begin and end of a batch's run, recorded in the catalogue."""

from __future__ import annotations

from trr_pipelines.catalogue import backfills, dispatches, estimates, imports, ledger
from trr_pipelines.catalogue.backfills import Recipes
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.errors import InputError
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.takedown.recall import follow_store
from trr_pipelines.pipeline.worker import Tally


def begin_batch(archive: Archive, batch: str, run_id: str, parent_run_id: str | None = None) -> None:
    """Claim the batch, so that no second run is requested, and release the leases of the run that this one retries.

    Before anything is fetched or rendered, takedowns that a restored catalogue does not know are repeated. Raises
    InputError for an unknown batch.
    """
    follow_store(archive)

    def begin(conn: Connection) -> None:
        if not imports.batch_exists(conn, batch):
            raise InputError(f"no import batch {batch!r} in the catalogue")
        ledger.open_originals(conn, Scope(batch=batch))
        dispatches.claim(conn, dispatches.batch_scope(batch), run_id)
        if parent_run_id is not None:
            ledger.release(conn, parent_run_id)

    archive.database.run(begin)


def end_batch(archive: Archive, batch: str, run_id: str, tally: Tally) -> None:
    """Release the batch and record its speed; photos added during the run are requested under a new run_key."""

    def end(conn: Connection) -> None:
        backfills.recount_batch(conn, batch, Recipes(BASE.fingerprint, CROP.fingerprint))
        estimates.set_rate(conn, run_id, tally.complete, tally.seconds)
        dispatches.succeed(conn, dispatches.batch_scope(batch), run_id)

    archive.database.run(end)
