"""Seconds until an edited crop is served, processed by the sensors of a running `trr up`.

    .venv/bin/trr up &
    .venv/bin/python -m benchmarks.crop_edits [--edits 50] [--partitions 20] [--photos FOLDER]

Imports photos into that many batches, waits until they are rendered, then edits crops one after the other, each as soon
as the one before it is served, and prints percentiles of the seconds from edit to served, the number of runs, and how
many unedited photos were rendered.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from benchmarks.multiply_photos import multiply
from trr_pipelines.catalogue import crops
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.archive import Archive, open_archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.imports.importing import import_rows
from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows
from trr_pipelines.samples import write_samples
from trr_pipelines.settings import load_settings

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 600
PHOTOS_PER_PARTITION = 4


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--edits", type=int, default=50)
    parser.add_argument("--partitions", type=int, default=20)
    parser.add_argument("--photos", type=Path, help="a folder of photos; the sample set when left out")
    arguments = parser.parse_args()
    with open_archive(load_settings()) as archive:
        photo_ids = _import(archive, arguments.photos, arguments.partitions)
        before = _versions(archive)
        runs_before = _rerenders(archive)
        seconds = [_edit(archive, photo_id, number) for number, photo_id in _choose(photo_ids, arguments.edits)]
        touched = {photo for photo, version in _versions(archive).items() if before.get(photo) != version}
        edited = {photo_id for _, photo_id in _choose(photo_ids, arguments.edits)}
        print(
            f"{len(seconds)} edits over {arguments.partitions} partitions: "
            f"p50 {statistics.median(seconds):.1f} s, p95 {_percentile(seconds, 95):.1f} s, "
            f"slowest {max(seconds):.1f} s; {_rerenders(archive) - runs_before} runs; "
            f"{len(touched - edited)} photos rendered that were not edited"
        )


def _import(archive: Archive, photos: Path | None, partitions: int) -> list[UUID]:
    """Import photos in the requested number of batches; the running stack renders them."""
    stamp = f"{datetime.now(UTC):%H%M%S}"
    with tempfile.TemporaryDirectory() as scratch:
        source = photos or write_samples(Path(scratch) / "samples").parent
        multiply(source, Path(scratch) / "photos", partitions * PHOTOS_PER_PARTITION)
        files = sorted((Path(scratch) / "photos").iterdir())
        batches: list[str] = []
        for number in range(partitions):
            folder = Path(scratch) / f"batch-{number}"
            folder.mkdir()
            for file in files[number::partitions]:
                file.rename(folder / file.name)
            rows = read_rows(folder, Defaults(f"edits-{stamp}-{number}"))
            batches += import_rows(archive.database, rows).batches
        return _wait_until_rendered(archive, batches)


def _wait_until_rendered(archive: Archive, batches: Sequence[str]) -> list[UUID]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with archive.database.transaction() as conn:
            rows = conn.execute(
                "select a.id, bool_and(g.state <> 'pending') as ended, bool_and(g.state = 'complete') as complete"
                " from core.media_assets a join core.variant_generations g on g.media_asset_id = a.id"
                " where a.batch_key = any(%s) group by a.id order by a.id",
                [list(batches)],
            ).fetchall()
        if rows and all(row["ended"] for row in rows):
            return [row["id"] for row in rows if row["complete"]]
        if time.monotonic() > deadline:
            raise SystemExit(f"the photos are not rendered after {PATIENCE_SECONDS} s; is `trr up` running?")
        time.sleep(1)


def _choose(photo_ids: Sequence[UUID], edits: int) -> list[tuple[int, UUID]]:
    return list(enumerate(random.Random(7).choices(photo_ids, k=edits)))


def _edit(archive: Archive, photo_id: UUID, number: int) -> float:
    """Seconds from an edit until its set is served."""
    crop = Crop("manual", number * 97 % 100, number * 31 % 100, 1 + number % 5 / 4)
    started = time.monotonic()
    edit = set_crop(archive.database, photo_id, crop, author=Author("benchmark", "cli"))
    while True:
        with archive.database.transaction() as conn:
            if crops.served(conn, photo_id) == edit.signature:
                return time.monotonic() - started
        if time.monotonic() - started > PATIENCE_SECONDS:
            raise SystemExit(f"the crop of {photo_id} is not served after {PATIENCE_SECONDS} s")
        time.sleep(POLL_SECONDS)


def _versions(archive: Archive) -> dict[UUID, object]:
    """The time at which each photo's crop or base work was last touched."""
    with archive.database.transaction() as conn:
        rows = conn.execute(
            "select media_asset_id, max(updated_at) as touched from core.variant_generations group by media_asset_id"
        )
        return {row["media_asset_id"]: row["touched"] for row in rows}


def _rerenders(archive: Archive) -> int:
    """Runs that claimed the scattered crops so far: each advances the scope's epoch by one."""
    with archive.database.transaction() as conn:
        row = conn.execute("select epoch from core.dispatches where scope = 'crops'").fetchone()
    return row["epoch"] - 1 if row else 0


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    main()
