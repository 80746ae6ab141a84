"""The cost of the pipeline in addition to rendering, and where its time is spent.

    .venv/bin/python -m benchmarks.pipeline [--photos FOLDER] [--count 100] [--rounds 3]

The same photos are rendered bare (originals from disk through the render processes, results dropped) and through the
pipeline (from their mirrored originals to stored objects and rows), in turns. Prints photos per second of both, their
ratio, and the seconds that threads of the pipeline spent in the store and in the database, per photo.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from benchmarks.homes import thrown_away
from benchmarks.multiply_photos import multiply
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.compute.renderer import IO_THREADS
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import RenderRequest
from trr_pipelines.pipeline.archive import Archive, open_archive
from trr_pipelines.pipeline.imports.importing import import_rows
from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.samples import write_samples
from trr_pipelines.settings import Settings
from trr_pipelines.storage.store import ListedObject, ObjectStore, PutObject, StoredObject

T = TypeVar("T")


class Stopwatch:
    """Seconds by activity, summed over threads."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._lock = threading.Lock()

    def time(self, name: str, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            with self._lock:
                self.seconds[name] += time.perf_counter() - began


@dataclass(frozen=True)
class TimedStore:
    """A store whose calls are timed."""

    inner: ObjectStore
    watch: Stopwatch

    @property
    def bucket(self) -> str:
        return self.inner.bucket

    def put_if_absent(self, key: str, data: bytes, *, content_type: str, sha256: str | None = None) -> PutObject:
        put = self.inner.put_if_absent
        return self.watch.time("store", lambda: put(key, data, content_type=content_type, sha256=sha256))

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        return self.watch.time("store", lambda: self.inner.get(key, max_bytes=max_bytes))

    def head(self, key: str) -> StoredObject | None:
        return self.watch.time("store", lambda: self.inner.head(key))

    def list(self, prefix: str = "") -> Iterator[ListedObject]:
        return self.inner.list(prefix)

    def delete(self, keys: Iterable[str]) -> int:
        return self.inner.delete(keys)

    def public_url(self, key: str) -> str:
        return self.inner.public_url(key)


class TimedDatabase(Database):
    """A database whose transactions are timed."""

    watch: Stopwatch

    def run(self, work: Callable[[Connection], T]) -> T:
        return self.watch.time("database", lambda: super(TimedDatabase, self).run(work))


def main() -> None:
    """Measure in turns and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, help="a folder of photos; the sample set when left out")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    bare, piped, watch = [], [], Stopwatch()
    with tempfile.TemporaryDirectory(prefix="trr-bench-") as scratch:
        source = arguments.photos or write_samples(Path(scratch) / "samples").parent
        settings = Settings(home=Path(scratch) / "home")
        with thrown_away(settings.home), open_archive(settings) as archive, RenderPool() as pool:
            for number in range(arguments.rounds):
                folder = Path(scratch) / f"round-{number}"
                multiply(source, folder, arguments.count)
                files = sorted(folder.iterdir())
                for file in files:  # another comment in each round, so that the photos are not known already
                    file.write_bytes(file.read_bytes() + f"round {number}".encode())
                bare.append(_bare(files, pool))
                piped.append(_piped(_timed(archive, watch), folder, pool))
    photos = arguments.count * arguments.rounds
    share = statistics.median(through / alone for through, alone in zip(piped, bare, strict=True))
    print(
        f"bare {statistics.median(bare):.2f} photos/s, pipeline {statistics.median(piped):.2f} photos/s: "
        f"{100 * share:.0f} % (median of {len(bare)} pairs)"
    )
    for name, seconds in watch.seconds.most_common():
        print(f"{name}: {1000 * seconds / photos:.0f} ms of a thread's time per photo, beside rendering")


def _timed(archive: Archive, watch: Stopwatch) -> Archive:
    database = archive.database
    database.__class__ = TimedDatabase
    assert isinstance(database, TimedDatabase)
    database.watch = watch
    return replace(archive, store=TimedStore(archive.store, watch))


def _bare(files: list[Path], pool: RenderPool) -> float:
    request = RenderRequest(BASE, CROP)
    began = time.perf_counter()
    with ThreadPoolExecutor(pool.workers + IO_THREADS) as threads:
        list(threads.map(lambda file: pool.render(file.read_bytes(), request, name=file.name), files))
    return len(files) / (time.perf_counter() - began)


def _piped(archive: Archive, folder: Path, pool: RenderPool) -> float:
    stamp = f"bench-{datetime.now(UTC):%H%M%S%f}"
    batches = import_rows(archive.database, read_rows(folder, Defaults(stamp))).batches
    for batch in batches:
        mirror_originals(archive, Scope(batch=batch), stamp)
    began = time.perf_counter()
    done = sum(render_photos(archive, Scope(batch=batch), stamp, pool=pool).complete for batch in batches)
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
