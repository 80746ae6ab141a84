"""Runs of listed photos: edits and retries from any number of batches, as one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trr_pipelines.catalogue import batches, dispatches, ledger
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Claim, Kind, Scope
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import Outputs, render_photos
from trr_pipelines.pipeline.scheduling import CROPS_SCOPE, PHOTOS_PER_RUN
from trr_pipelines.pipeline.takedown.recall import follow_store
from trr_pipelines.pipeline.worker import Tally


@dataclass(frozen=True)
class TouchedSet:
    """A partition of an asset that a run changed; complete when each of its photos is, at the current recipe."""

    asset: str
    batch: str
    recipe: str
    is_complete: bool


@dataclass(frozen=True)
class Rerendered:
    """The result of a run, and its photos: the requested ones, and edits made until it began."""

    tally: Tally
    scope: Scope


def rerender_photos(
    archive: Archive, requested: Scope, run_id: str, dispatch: str | None, *, in_background: bool = False
) -> Rerendered:
    """Fetch and render what these photos lack. `dispatch` is the scope of the sensor's request."""
    follow_store(archive)
    scope, claimed = archive.database.run(lambda conn: _begin(conn, requested, run_id, dispatch))
    tally = render_photos(archive, scope, run_id, claimed=claimed, in_background=in_background)
    if mirror_originals(archive, scope, run_id).complete:
        tally.include(render_photos(archive, scope, run_id, in_background=in_background))
    if dispatch is not None:
        archive.database.run(lambda conn: dispatches.succeed(conn, dispatch, run_id))
    return Rerendered(tally, scope)


def _begin(conn: Connection, requested: Scope, run_id: str, dispatch: str | None) -> tuple[Scope, list[Claim]]:
    """Claim the photos and the dispatch in one transaction: in between, a sensor would request a run without work.

    A run of crop edits includes edits made since the request, so that they need not wait for the next tick.
    """
    photo_ids = set(requested.photo_ids or ())
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
    """The partitions of base and crop variants that contain the photos of the scope."""

    def read(conn: Connection) -> dict[tuple[str, Kind], int]:
        return {
            (batch, recipe.kind): batches.count_not_current(conn, batch, recipe.kind, recipe.fingerprint)
            for batch in batches.batches_of_photos(conn, scope.photo_ids or ())
            for recipe in (BASE, CROP)
        }

    for (batch, kind), count in archive.database.read(read).items():
        asset, recipe = ("base_variants", BASE) if kind == "base" else ("crop_variants", CROP)
        yield TouchedSet(asset, batch, recipe.fingerprint, count == 0)
