"""Throughput gained by a second Dask worker, and lost when workers are killed continuously.

    .venv/bin/python -m benchmarks.cluster [--photos FOLDER] [--count 2000] [--every 20] [--threads 1]

The same photos, all different in their bytes, are rendered on a scheduler with one worker, with two, and with two of
which one after the other is killed (SIGKILL) at a fixed interval and started again; each time into a new archive.
`--threads` is tasks and render processes of a worker. Prints photos per second, their ratio, and the result of every
photo; exit code 1 if one is missing or duplicated. Needs disk space for two copies of the photos and their derivatives.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.homes import thrown_away
from benchmarks.multiply_photos import multiply
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.pipeline.archive import Archive, open_archive
from trr_pipelines.pipeline.imports.importing import import_rows
from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.samples import write_samples
from trr_pipelines.settings import Settings
from trr_pipelines_tests.support.dask import Cluster, running_scheduler

ALLOWED_FAILURES = 3  # Dask's default
PROGRESS_SECONDS = 10.0
COMPLETE = (
    "select count(*) as n from core.media_assets a where 2 = (select count(*) from core.variant_generations g"
    " where g.media_asset_id = a.id and g.kind <> 'original' and g.state = 'complete')"
)
TRIED_AGAIN = (
    "select count(*) as n from core.variant_generations where state = 'failed' and next_attempt_at is not null"
)
TWICE = (
    "select count(*) - count(distinct (media_asset_id, variant_key, format, crop_signature)) as n"
    " from core.media_asset_variants"
)
SHARED_OBJECTS = "select count(*) - count(distinct hosted_key) as n from core.media_asset_variants"
ENDS = (
    "select coalesce(reason, state) as ended, count(*) as n from core.variant_generations"
    " where kind = 'base' group by 1 order by 1"
)


@dataclass(frozen=True)
class Result:
    """The results of a round."""

    photos_per_second: float
    ends: dict[str, int]
    twice: int
    again: int
    orphans: int
    missing: int


def main() -> None:
    """Run three rounds and check that every photo exists once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, help="a folder of photos; the sample set when left out")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--every", type=float, default=20.0, help="seconds from one kill to the next")
    parser.add_argument("--threads", type=int, default=1, help="tasks and render processes of each worker")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trr-bench-", ignore_cleanup_errors=True) as scratch:
        source = arguments.photos or write_samples(Path(scratch) / "samples").parent
        folder = Path(scratch) / "in"
        multiply(source, folder, arguments.count)
        one = _round(folder, 1, arguments.threads)
        two = _round(folder, 2, arguments.threads)
        print(f"two workers over one: {two.photos_per_second / one.photos_per_second:.2f}", flush=True)
        killed = _round(folder, 2, arguments.threads, kill_every=arguments.every)
    wrong = [result for result in (one, two, killed) if result.twice or result.orphans or result.missing]
    if wrong or not one.ends == two.ends == killed.ends:
        raise SystemExit("not every photo is there once")


def _round(folder: Path, workers: int, threads: int, *, kill_every: float = 0.0) -> Result:
    """Process all photos from an empty archive to the last one; only rendering is timed."""
    name = f"{workers} workers, killed every {kill_every:g} s" if kill_every else f"{workers} worker(s)"
    with tempfile.TemporaryDirectory(prefix="trr-bench-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o755)  # PostgreSQL runs as another user
        with running_scheduler(allowed_failures=ALLOWED_FAILURES) as cluster:
            settings = Settings(home=Path(home) / ".trr", dask_address=cluster.address)
            with thrown_away(settings.home), open_archive(settings) as archive, archive.database_kept_alive():
                result = _measured(archive, cluster, folder, name, workers, threads, kill_every)
    print(f"{name}: {result}", flush=True)
    return result


def _measured(
    archive: Archive, cluster: Cluster, folder: Path, name: str, workers: int, threads: int, kill_every: float
) -> Result:
    batches = import_rows(archive.database, read_rows(folder, Defaults("bench"))).batches
    for batch in batches:
        mirror_originals(archive, Scope(batch=batch), "bench")
    environment = {"TRR_MEDIA_STORE": archive.settings.store_url, "TRR_RENDER_PROCESSES": str(threads)}
    for _ in range(workers):
        cluster.start_worker(environment, threads=threads)
    cluster.wait_for_workers(workers)
    with _progress(archive, name), _killing(cluster, environment, workers, threads, kill_every) as kills:
        again = 0
        began = time.monotonic()
        for batch in batches:
            render_photos(archive, Scope(batch=batch), "bench")
        seconds = time.monotonic() - began
        while _number(archive, TRIED_AGAIN):  # as the sensor `retry_failed` does
            again = max(again, _number(archive, TRIED_AGAIN))
            time.sleep(1)
            for batch in batches:
                render_photos(archive, Scope(batch=batch), "bench-again")
    if kill_every:
        print(f"{name}: {kills['kills']} workers were killed", flush=True)
    found = reconcile(archive)
    return Result(
        round(_number(archive, COMPLETE) / seconds, 2),
        {row["ended"]: row["n"] for row in _rows(archive, ENDS)},
        _number(archive, TWICE) + _number(archive, SHARED_OBJECTS),
        again,
        found.orphan_objects,
        found.rows_without_objects,
    )


@contextmanager
def _killing(
    cluster: Cluster, environment: dict[str, str], workers: int, threads: int, every: float
) -> Iterator[Counter[str]]:
    """Kill one worker per interval, in turn, and start another in its place.

    If workers start more slowly than that on a busy machine, wait until all are connected again.
    """
    ended = threading.Event()
    kills: Counter[str] = Counter()

    def kill() -> None:
        while not ended.wait(every):
            cluster.wait_for_workers(workers)
            worker = cluster.workers.pop(0)
            worker.kill()
            worker.wait()
            kills["kills"] += 1
            cluster.start_worker(environment, threads=threads)

    with _thread(kill if every else lambda: None, ended):
        yield kills


@contextmanager
def _progress(archive: Archive, name: str) -> Iterator[None]:
    ended = threading.Event()
    began = time.monotonic()

    def show() -> None:
        while not ended.wait(PROGRESS_SECONDS):
            done = _number(archive, COMPLETE)
            print(f"{name}: {done:,} photos after {time.monotonic() - began:.0f} s", flush=True)

    with _thread(show, ended):
        yield


@contextmanager
def _thread(work: Any, ended: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _rows(archive: Archive, sql: str) -> list[dict[str, Any]]:
    return archive.database.run(lambda conn: conn.execute(sql).fetchall())  # type: ignore[call-overload]


def _number(archive: Archive, sql: str) -> int:
    (row,) = _rows(archive, sql)
    return int(row["n"])


if __name__ == "__main__":
    main()
