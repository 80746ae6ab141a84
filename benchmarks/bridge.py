"""The bridge on a made-up application with real photos: check, plan, sync, render, publish, a reader's look, take back.

    .venv/bin/python -m benchmarks.bridge --photos FOLDER [--count 2000] [--crops 300] [--contradictory 60] [--kills N]
        [--writers]

Originals lie at foreign keys of a bucket on a real S3 server (rclone), whose folder another server makes public. A
reader that knows only the application's documented keys looks at every gallery. Prints seconds of each step and what
differs from what must hold; the exit code is 1 if anything does. `--kills` ends processes of sync and publish at random
moments.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from benchmarks.homes import thrown_away
from trr_pipelines.bridge.application import Application
from trr_pipelines.bridge.check import check_bridge
from trr_pipelines.bridge.plan import plan_bridge
from trr_pipelines.bridge.publishing import publish_due, unpublish
from trr_pipelines.bridge.sync import Selection, follow, sync
from trr_pipelines.catalogue.embedded import embedded_postgres
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.pipeline.archive import Archive, open_archive
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.samples.application import MadeApplication, make_application
from trr_pipelines.settings import Settings
from trr_pipelines_tests.support.applications import Reader, Rows, set_name
from trr_pipelines_tests.support.ports import free_port
from trr_pipelines_tests.support.s3_servers import rclone_server

BUCKET = "archive"
OUR_KEYS = {"variants", "thumb_url", "display_url", "detail_url", "crop_display_url", "crop_detail_url",
            "active_crop_signature"}  # fmt: skip
TYPES = {"webp": "image/webp", "jpg": "image/jpeg"}


class Bench:
    """Seconds by step and faults by kind."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.faults: Counter[str] = Counter()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began
        print(f"{name}: {self.seconds[name]:.1f} s", flush=True)

    def fault(self, kind: str, detail: str) -> None:
        self.faults[kind] += 1
        if self.faults[kind] <= 5:
            print(f"FAULT {kind}: {detail}", flush=True)


@contextlib.contextmanager
def public_server(folder: Path) -> Iterator[str]:
    """The bucket's objects for everyone; yields its URL."""
    port = free_port()
    rclone = Path(sys.executable).with_name("rclone")
    process = subprocess.Popen(
        [rclone, "serve", "http", "--config", "", "--dir-cache-time", "0", "--addr", f"127.0.0.1:{port}", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def pictures_of(folder: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()]


def hashes_of(folder: Path, keys: dict[str, str]) -> dict[str, str]:
    return {key: hashlib.sha256((folder / key).read_bytes()).hexdigest() for key in keys}


def foreign(dump: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """A dump without our keys and rows, whose objects have a level more than those of the earlier generator."""
    kept: dict[str, Any] = {}
    for table, rows in dump.items():
        kept[table] = {}
        for key, row in rows.items():
            if table == "media_asset_variants" and row["hosted_key"].count("/") == 4:
                continue
            plain = dict(row)
            for column in ("metadata", "context"):
                if isinstance(plain.get(column), dict):
                    plain[column] = {name: value for name, value in plain[column].items() if name not in OUR_KEYS}
            kept[table][key] = plain
    return kept


def look(bench: Bench, made: MadeApplication, reader: Reader, rows: Rows, folder: Path, base_url: str) -> set[str]:
    """What a reader finds in every gallery; returns the URLs."""
    urls: set[str] = set()
    links = {row["id"]: row for row in rows.execute("select id, context from core.media_links")}
    for entities in made.entities.values():
        for entity in entities:
            for photo in reader.gallery(entity):
                if photo["asset_id"] in made.missing:
                    continue
                intent = (links[photo["link_id"]]["context"] or {}).get("thumbnail_crop")
                if photo["missing_variants"]:
                    bench.fault("missing variants", str(photo))
                wanted = "base" if intent is None else set_name(intent)
                if photo["signature"] != wanted:
                    bench.fault("wrong frame", f"{photo['signature']} instead of {wanted}")
                if (intent is None) != (photo["crop_card"] is None):
                    bench.fault("crop", str(photo))
                urls |= {photo[key] for key in ("thumb", "card", "detail", "crop_card", "crop_detail") if photo[key]}
    for asset in made.photos:
        if asset not in made.missing and reader.asset(asset)["missing_variants"]:
            bench.fault("missing variants", str(asset))
    for url in urls:
        path = folder / unquote(urlsplit(url).path).lstrip("/")
        if not url.startswith(base_url) or not path.is_file():
            bench.fault("dead URL", url)
    return urls


def answers(bench: Bench, urls: set[str]) -> None:
    """Every URL over HTTP."""
    import httpx

    with httpx.Client(trust_env=False) as client:
        for url in sorted(urls):
            response = client.get(url)
            wanted = TYPES.get(url.rpartition(".")[2])
            if response.status_code != 200 or response.headers["content-type"] != wanted:
                bench.fault("bad answer", f"{url}: {response.status_code}, {response.headers.get('content-type')}")


def rows_and_objects(bench: Bench, rows: Rows, folder: Path) -> None:
    """No row there without its object, and no object of ours without a row or a key of metadata."""
    keys = {row["hosted_key"] for row in rows.execute("select hosted_key from core.media_asset_variants")}
    for key in keys:
        if not (folder / key).is_file():
            bench.fault("row without object", key)
    stored = {str(path.relative_to(folder)) for path in (folder / "media-variants").rglob("*") if path.is_file()}
    for key in {key for key in stored if key.endswith((".webp", ".jpg"))} - keys:
        bench.fault("object without row", key)


def killed_at_random(home: Path, environment: dict[str, str], kills: int, seed: int) -> int:
    """Run sync and publish as commands, and end them with SIGKILL at random moments; returns how many were alive."""
    chance = random.Random(seed)
    alive = 0
    for number in range(kills):
        command = ["sync", "--live"] if number % 2 else ["publish"]
        process = subprocess.Popen(
            [sys.executable, "-m", "trr_pipelines", "bridge", *command],
            env={**os.environ, **environment, "TRR_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(chance.uniform(1.0, 6.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            alive += 1
    return alive


class Writers:
    """Two programs that read `metadata` whole, add a counter of theirs and write it back whole, all the time.

    Each holds the row meanwhile, so that they lose nothing to each other; half of the writes of the second go to an
    old copy of ours: it puts back what it read before.
    """

    def __init__(self, url: str, photos: list[UUID]) -> None:
        self._url, self._photos = url, photos
        self._stop = threading.Event()
        self.written: dict[UUID, dict[str, int]] = {photo: {} for photo in photos}
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in ("one", "two")]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, name: str) -> None:
        old: dict[UUID, dict[str, Any]] = {}
        count = 0
        with psycopg.connect(self._url, autocommit=True) as conn:
            while not self._stop.is_set():
                photo = self._photos[count % len(self._photos)]
                count += 1
                with conn.transaction():
                    row = conn.execute(
                        "select metadata from core.media_assets where id = %s for update", (photo,)
                    ).fetchone()
                    assert row is not None
                    metadata = row[0]
                    if name == "two" and count % 2:
                        theirs = {key: value for key, value in metadata.items() if key not in OUR_KEYS}
                        stale = {key: value for key, value in old.get(photo, {}).items() if key in OUR_KEYS}
                        metadata = {**stale, **theirs}
                    old.setdefault(photo, row[0])
                    metadata[f"counter_{name}"] = self.written[photo][f"counter_{name}"] = count
                    conn.execute("update core.media_assets set metadata = %s where id = %s", (Jsonb(metadata), photo))

    def check(self, bench: Bench, rows: Rows) -> None:
        for row in rows.execute("select id, metadata from core.media_assets where id = any(%s)", self._photos):
            if any(row["metadata"].get(name) != count for name, count in self.written[row["id"]].items()):
                bench.fault("lost write of another", str(row["id"]))


def render_all(archive: Archive) -> Counter[str]:
    batches = archive.database.run(
        lambda conn: [row["key"] for row in conn.execute("select key from core.import_batches order by key")]
    )
    ended: Counter[str] = Counter()
    for batch in batches:
        scope = Scope(batch=batch)
        with archive.database.transaction() as conn:
            conn.execute(
                "insert into core.variant_generations (media_asset_id, kind)"
                " select id, 'original' from core.media_assets where state = 'pending' on conflict do nothing"
            )
        ended += mirror_originals(archive, scope, "bench").ended
        ended += render_photos(archive, scope, "bench").ended
    return ended


def measure(arguments: argparse.Namespace, home: Path, bench: Bench) -> None:
    bucket_folder = home / "s3" / BUCKET
    bucket_folder.mkdir(parents=True)

    def put(key: str, data: bytes) -> None:
        (bucket_folder / key).parent.mkdir(parents=True, exist_ok=True)
        (bucket_folder / key).write_bytes(data)

    server = embedded_postgres(home)
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute("create database application")
    application_url = server.url("application")
    with rclone_server(home / "s3") as s3, public_server(bucket_folder) as base_url:
        os.environ.update(s3.environment())
        with bench.step("made"):
            made = make_application(
                application_url,
                put,
                pictures_of(arguments.photos),
                photos=arguments.count,
                bucket=BUCKET,
                base_url=base_url,
                crops=arguments.crops,
                contradictory=arguments.contradictory,
                seed=arguments.seed,
            )
        rows, reader = Rows(application_url), Reader(application_url)
        before, hashes = rows.dump(), hashes_of(bucket_folder, made.objects)
        settings = Settings(
            home=home,
            media_store=f"s3://{BUCKET}",
            media_base_url=base_url,
            application_db_url=application_url,  # type: ignore[arg-type]
        )
        application = Application(application_url).open()
        with open_archive(settings) as archive:
            with bench.step("check"):
                for finding in check_bridge(application, archive.store):
                    print(f"  {finding.state} {finding.name}: {finding.detail}")
            with bench.step("plan"):
                print(" ", plan_bridge(archive.database, application, Selection()).report())
            with bench.step("sync"):
                print(" ", sync(archive, application, lane="live").report())
            with bench.step("rendered"):
                print(" ", dict(render_all(archive)))
            if arguments.kills:
                environment = {
                    **s3.environment(),
                    "TRR_MEDIA_STORE": f"s3://{BUCKET}",
                    "TRR_MEDIA_BASE_URL": base_url,
                    "TRR_APPLICATION_DB_URL": application_url,
                }
                with bench.step("killed"):
                    alive = killed_at_random(home, environment, arguments.kills, arguments.seed)
                    print(f"  {alive} of {arguments.kills} commands were killed at work")
            if arguments.writers:
                with bench.step("published beside two writers"), Writers(application_url, made.photos[:500]) as writers:
                    for _ in range(3):
                        print(" ", dict(publish_due(archive.database, application)))
                        follow(archive, application)
                writers.check(bench, rows)
                with bench.step("repaired"):
                    print(" ", follow(archive, application).report()["changed"])
                    print(" ", dict(publish_due(archive.database, application)))
                    follow(archive, application)
                rows.execute("update core.media_assets set metadata = metadata - '{counter_one,counter_two}'::text[]")
            with bench.step("published"):
                print(" ", dict(publish_due(archive.database, application)))
            with bench.step("looked"):
                urls = look(bench, made, reader, rows, bucket_folder, base_url)
            with bench.step(f"answers of {len(urls)} URLs"):
                answers(bench, urls)
            rows_and_objects(bench, rows, bucket_folder)
            if hashes_of(bucket_folder, made.objects) != hashes:
                bench.fault("originals", "changed")
            if foreign(rows.dump()) != foreign(before):
                bench.fault("others", "something else than our keys and rows has changed")
            print(f"  {made.links_with_crop} links with a crop, {made.contradictory} photos with two")
            with bench.step("taken back"):
                print(" ", dict(unpublish(archive.database, application)))
            if rows.dump() != before:
                bench.fault("unpublish", "the dump differs from the first one")
        application.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--crops", type=int, default=300)
    parser.add_argument("--contradictory", type=int, default=60)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--writers", action="store_true", help="two programs write metadata whole meanwhile")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    bench = Bench()
    with tempfile.TemporaryDirectory(prefix="trr-bridge-") as folder:
        home = Path(folder)
        with thrown_away(home):
            measure(arguments, home, bench)
    for kind, count in sorted(bench.faults.items()):
        print(f"| {kind} | {count} |")
    print("nothing differs" if not bench.faults else "FAULTS")
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main())
