"""Batches for backfill tests: import photos of a source and day, and process a batch without Dagster."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from trr_pipelines.catalogue.imports import Lane
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.importing import import_rows
from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows
from trr_pipelines.pipeline.rendering.batches import begin_batch, end_batch
from trr_pipelines.pipeline.worker import Tally
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import run, write_files


def put(
    archive: Archive, folder: Path, source: str, day: int, seeds: range, *, show: str = "", lane: Lane = "live"
) -> str:
    """Import one picture per seed for a source and a day of February 2026; returns their batch."""
    source_folder = folder / f"{source}-{day}-{seeds.start}"
    write_files(source_folder, {f"{seed}.jpg": pictures.jpeg(300, 200, seed=seed) for seed in seeds})
    rows = read_rows(source_folder, Defaults(source, show=show))
    (batch,) = import_rows(archive.database, rows, day=date(2026, 2, day), lane=lane).batches
    return batch


def complete(archive: Archive, batch: str, pool: RenderPool, run_id: str = "run-1") -> Tally:
    """Process a whole batch; returns the tally of rendering."""
    begin_batch(archive, batch, run_id)
    tally = run(archive, batch, run_id, pool=pool).derivatives
    end_batch(archive, batch, run_id, tally)
    return tally


def no_run(_: str) -> bool:
    """A Dagster without any run."""
    return False
