"""Scattered photos: edits and retries from any number of batches, worked through as one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trr_pipelines.catalogue import dispatches, reports
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.originals import mirror_originals
from trr_pipelines.pipeline.rendering import render_photos
from trr_pipelines.pipeline.work import Tally


@dataclass(frozen=True)
class TouchedSet:
    """An asset's partition that a run worked in; complete when every photo of it ended at the current recipe."""

    asset: str
    batch: str
    recipe: str
    is_complete: bool


def rerender_photos(archive: Archive, scope: Scope, run_id: str, dispatch: str | None) -> Tally:
    """Fetch what is missing of these photos and render what they lack. `dispatch` is what a sensor asked under."""
    if dispatch is not None:
        archive.database.run(lambda conn: dispatches.claim(conn, dispatch, run_id))
    mirror_originals(archive, scope, run_id)
    tally = render_photos(archive, scope, run_id)
    if dispatch is not None:
        archive.database.run(lambda conn: dispatches.succeed(conn, dispatch, run_id))
    return tally


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
