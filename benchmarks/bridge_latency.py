"""Seconds from a change in the application to what its readers find, in a running stack that is bridged to it.

    .venv/bin/python -m benchmarks.bridge_latency [--rounds 30] [--without-index 10] [--rows 2000] [--photos FOLDER]

Starts a stack of its own, bridged to a made-up application with that many rows that are taken already. Each round
inserts a photo with a link of a person and waits for `display_url`, then changes the crop intent of that link and waits
for its `crop_display_url`. Rounds begin at random moments of the interval at which changes are looked for. Prints p50
and p95 with an index on `updated_at` of both tables, and without one.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from uuid import UUID

import psycopg

from benchmarks.homes import thrown_away
from trr_pipelines.bridge.following import SCAN_SECONDS
from trr_pipelines.catalogue.embedded import embedded_postgres
from trr_pipelines.errors import MediaError
from trr_pipelines.imaging.decode import decode
from trr_pipelines.samples import write_samples
from trr_pipelines.samples.application import make_application
from trr_pipelines.samples.copies import numbered
from trr_pipelines_tests.support.applications import Rows
from trr_pipelines_tests.support.bridged_stacks import BridgedStack, bridged_stack, seconds_until
from trr_pipelines_tests.support.stacks import running

PATIENCE_SECONDS = 300
TICK_SECONDS = 3.0


class Rounds:
    """Inserts and edits of one stack, each photo with bytes of its own."""

    def __init__(self, bridged: BridgedStack, pictures: Sequence[bytes], seed: int) -> None:
        self.bridged = bridged
        self._copies = self._numbered(pictures)
        self._chance = random.Random(seed)
        self._person = bridged.rows.person("Ana")

    @staticmethod
    def _numbered(pictures: Sequence[bytes]) -> Iterator[bytes]:
        for number in count(100_000):
            copy = numbered(pictures[number % len(pictures)], number)
            if copy is not None:
                yield copy

    def insert(self) -> tuple[UUID, UUID, float]:
        """A new photo: its ids, and the seconds until readers find its card."""
        data = next(self._copies)
        number = self.bridged.objects + 1
        asset, link = self.bridged.photo(self._person, f"images/people/Ana ({number}).JPG", data)
        seconds = seconds_until(
            lambda: "display_url" in self.bridged.metadata(asset), f"photo {asset}", PATIENCE_SECONDS
        )
        return asset, link, seconds

    def edit(self, link: UUID) -> float:
        """Another crop of a link: the seconds until readers find its files."""
        before = self.bridged.link(link).get("crop_display_url")
        x, y = (round(self._chance.uniform(0, 100), 2) for _ in range(2))
        self.bridged.set_intent(link, x, y, round(self._chance.uniform(1, 2), 2))
        return seconds_until(
            lambda: self.bridged.link(link).get("crop_display_url") != before, f"crop of {link}", PATIENCE_SECONDS
        )

    def pause(self, longest: float) -> None:
        time.sleep(self._chance.uniform(0, longest))

    def one_after_the_other(self, rounds: int) -> tuple[list[float], list[float]]:
        """Seconds of inserts and of edits; nothing else is done meanwhile."""
        inserts, edits = [], []
        for _ in range(rounds):
            self.pause(TICK_SECONDS)
            _, link, seconds = self.insert()
            inserts.append(seconds)
            self.pause(TICK_SECONDS)
            edits.append(self.edit(link))
            print(f"  insert {inserts[-1]:.1f} s, crop {edits[-1]:.1f} s", flush=True)
        return inserts, edits

    def at_once(self, rounds: int) -> tuple[list[float], list[float]]:
        """As above, an insert and an edit of an earlier photo at the same time, because each waits for a minute."""
        inserts, edits = [], []
        _, link, _ = self.insert()
        with ThreadPoolExecutor(1) as threads:
            for _ in range(rounds):
                self.pause(0.75 * SCAN_SECONDS)  # the last round ended soon after a look
                edited = threads.submit(self.edit, link)
                _, link, seconds = self.insert()
                inserts.append(seconds)
                edits.append(edited.result())
                print(f"  insert {inserts[-1]:.1f} s, crop {edits[-1]:.1f} s", flush=True)
        return inserts, edits


def is_whole_jpeg(path: Path) -> bool:
    """Of the sample set some are damaged: these are never published."""
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        return False
    try:
        decode(path.read_bytes())
    except MediaError:
        return False
    return True


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    home = folder / ".trr"
    home.mkdir()
    server = embedded_postgres(home)
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute("create database application")
    url = server.url("application")
    with thrown_away(home):
        source = arguments.photos or write_samples(folder / "samples").parent
        pictures = [path.read_bytes() for path in sorted(source.iterdir()) if is_whole_jpeg(path)]
        make_application(
            url,
            lambda _key, _data: None,  # these rows are taken, and never rendered
            [(f"{number}.jpg", data) for number, data in enumerate(pictures)],
            photos=arguments.rows,
            bucket="local",
            base_url="https://cdn.example",
            crops=arguments.rows // 6,
        )
        with running(bridged_stack(home, url), folder) as stack:
            bridged = BridgedStack(stack, Rows(url))
            bridged.add_indexes()
            print(stack.trr("bridge", "sync", "--backfill"))
            rounds = Rounds(bridged, pictures, arguments.seed)
            rounds.insert()  # the first run of a stack loads its render processes
            if arguments.rounds:
                report("with indexes", rounds.one_after_the_other, arguments.rounds)
            if arguments.without_index:
                bridged.remove_indexes()
                report("without an index", rounds.at_once, arguments.without_index)


def report(name: str, run: Callable[[int], tuple[list[float], list[float]]], rounds: int) -> None:
    print(name, flush=True)
    for what, seconds in zip(("insert → display_url", "crop → crop_display_url"), run(rounds), strict=True):
        p95 = statistics.quantiles(seconds, n=20, method="inclusive")[18]
        print(
            f"{name}, {what}: {len(seconds)} times, p50 {statistics.median(seconds):.1f} s, p95 {p95:.1f} s,"
            f" slowest {max(seconds):.1f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help="with indexes")
    parser.add_argument("--without-index", type=int, default=10, help="rounds without an index")
    parser.add_argument("--rows", type=int, default=2_000, help="rows of the application that exist already")
    parser.add_argument("--photos", type=Path, help="a folder of JPEG files; the sample set when left out")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trr-latency-") as folder:
        measure(arguments, Path(folder))


if __name__ == "__main__":
    main()
