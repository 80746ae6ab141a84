"""Scattered photos: edits and retries from any number of batches, worked through as one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trr_pipelines.catalogue import dispatches, ledger, reports
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Claim, Scope
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import Outputs, render_photos
from trr_pipelines.pipeline.scheduling import CROPS_SCOPE, PHOTOS_PER_RUN
from trr_pipelines.pipeline.worker import Tally


@dataclass(frozen=True)
class TouchedSet:
    """An asset's partition that a run worked in; complete when every photo of it ended at the current recipe."""

    asset: str
    batch: str
    recipe: str
    is_complete: bool


@dataclass(frozen=True)
class Rerendered:
    """What a run did, and with which photos: those it was asked for, and edits that came in until it began."""

    tally: Tally
    scope: Scope


def rerender_photos(
    archive: Archive, asked: Scope, run_id: str, dispatch: str | None, *, in_background: bool = False
) -> Rerendered:
    """Render what these photos lack and fetch what is missing of them. `dispatch` is what a sensor asked under."""
    scope, claimed = archive.database.run(lambda conn: _begin(conn, asked, run_id, dispatch))
    tally = render_photos(archive, scope, run_id, claimed=claimed, in_background=in_background)
    if mirror_originals(archive, scope, run_id).complete:
        tally.include(render_photos(archive, scope, run_id, in_background=in_background))
    if dispatch is not None:
        archive.database.run(lambda conn: dispatches.succeed(conn, dispatch, run_id))
    return Rerendered(tally, scope)


def _begin(conn: Connection, asked: Scope, run_id: str, dispatch: str | None) -> tuple[Scope, list[Claim]]:
    """Take the photos and the dispatch at once: in between, a sensor would ask for a run that finds nothing to do.

    A run of crop edits takes those along that came in between the request and now: they need not wait for a tick.
    """
    photo_ids = set(asked.photo_ids or ())
    if dispatch is not None:
        dispatches.claim(conn, dispatch, run_id)
    if dispatch == CROPS_SCOPE:
        photo_ids |= set(ledger.crops_with_work(conn, PHOTOS_PER_RUN))
    scope = Scope(photo_ids=tuple(sorted(photo_ids)))
    ledger.open_originals(conn, scope)
    ledger.reopen_outdated(conn, scope, "base", BASE.fingerprint)
    ledger.reopen_outdated(conn, scope, "crop", CROP.fingerprint)
    limit = max(1, len(photo_ids))
    return scope, ledger.claim(conn, scope, Outputs().kinds, run_id, limit=limit, propose_crops=True)


def touched_sets(archive: Archive, scope: Scope) -> Iterator[TouchedSet]:
    """The partitions of base and crop variants that the photos of the scope are in."""
    with archive.database.transaction() as conn:
        batches = reports.batches_of_photos(conn, scope.photo_ids or ())
        open_sets = {
            (batch, recipe.kind): reports.count_not_current(conn, batch, recipe.kind, recipe.fingerprint)
            for batch in batches
            for recipe in (BASE, CROP)
        }
    for (batch, kind), count in open_sets.items():
        asset, recipe = ("base_variants", BASE) if kind == "base" else ("crop_variants", CROP)
        yield TouchedSet(asset, batch, recipe.fingerprint, count == 0)
