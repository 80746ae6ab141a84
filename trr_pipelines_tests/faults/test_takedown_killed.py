"""A takedown killed at each of its statements and store calls.

Nothing of the photo is left after the next command; nor, without one, after the next tick of the daemon.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from trr_pipelines.catalogue.database import Database
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines_tests.support.archives import query, value
from trr_pipelines_tests.support.face_banks import bank_query
from trr_pipelines_tests.support.killers import Killer

# Every fourth call by default, which takes 15 s; TRR_TEST_KILLS=all tries every one.
STEP = 1 if os.environ.get("TRR_TEST_KILLS") == "all" else 4
# A takedown has about 120 statements and store calls; each kill has its own photo.
MOST_CALLS = 160
PHOTOS = MOST_CALLS // STEP + 2
VARIANTS = ("thumb.webp", "thumb.jpg", "card.webp")
KEPT_TABLES = ("takedowns", "taken_down_fingerprints", "audit_log", "facebank_removals")


@dataclass(frozen=True)
class OnePhoto:
    """A photo of a person, in a batch of its own, and the keys of everything that the store has of it."""

    id: UUID
    person_id: UUID
    sha256: str
    batch: str
    keys: tuple[str, ...]

    @property
    def traces(self) -> tuple[str, ...]:
        return (str(self.id), self.sha256, f"contact_sheets/{self.batch}")


@contextmanager
def killer_of(archive: Archive, bank: FaceBank, dagster_url: str) -> Iterator[Killer]:
    assert archive.settings.database_url is not None
    killer = Killer(
        {
            "PATH": os.environ["PATH"],
            "TRR_HOME": str(archive.settings.home),
            "TRR_DATABASE_URL": archive.settings.database_url.get_secret_value(),
            "TRR_DAGSTER_PG_URL": dagster_url,
            "TRR_MEDIA_STORE": archive.settings.media_store,
            "SCREENALYTICS_DB_URL": bank.url.get_secret_value(),
        }
    )
    try:
        yield killer
    finally:
        killer.close()


@pytest.fixture
def photos(archive: Archive, bank: FaceBank) -> list[OnePhoto]:
    """Photos with objects, an earlier contact sheet, and a face in the face bank."""
    return [_add_photo(archive, bank, number) for number in range(PHOTOS)]


def _add_photo(archive: Archive, bank: FaceBank, number: int) -> OnePhoto:
    photo, person, sha = uuid4(), uuid4(), f"{number + 1:064x}"
    batch = f"20260212-source-{number:05}"
    original = f"media/{sha[:2]}/{sha}.jpg"
    variants = [f"media-variants/{photo}/{sha[:16]}/0123456789ab/{name}" for name in VARIANTS]
    crop = f"media-variants/{photo}/{sha}/0123456789ab/crop_card.webp"
    sheets = [f"contact_sheets/{batch}/thumb-{digest}.webp" for digest in ("0" * 16, "1" * 16)]
    keys = (original, *variants, crop, *sheets)
    for key in keys:
        kind = "image/webp" if key.endswith("webp") else "image/jpeg"
        archive.store.put_if_absent(key, key.encode(), content_type=kind)
    values = {"photo": photo, "person": person, "sha": sha, "batch": batch, "original": original, "number": number}
    with psycopg.connect(archive.settings.database_url.get_secret_value()) as conn:  # type: ignore[union-attr]
        for statement in (
            "insert into core.people (id, full_name) values (%(person)s, 'Person ' || %(number)s)",
            "insert into core.import_batches (key, source, day, number)"
            " values (%(batch)s, 'source', '2026-02-12', %(number)s)",
            "insert into core.media_assets (id, source, source_url, batch_key, state, sha256, bytes, width, height,"
            " format, frames, hosted_bucket, hosted_key, hosted_url) values (%(photo)s, 'source',"
            " 'https://x.example/' || %(sha)s, %(batch)s, 'mirrored', %(sha)s, 80, 9, 9, 'jpeg', 1, 'local',"
            " %(original)s, 'http://h/')",
            "insert into core.media_asset_versions (media_asset_id, sha256, bytes, width, height, format,"
            " hosted_bucket, hosted_key, author)"
            " values (%(photo)s, %(sha)s, 80, 9, 9, 'jpeg', 'local', %(original)s, 'import')",
            "insert into core.media_links (media_asset_id, person_id, kind, facebank_seed)"
            " values (%(photo)s, %(person)s, 'photo', true)",
        ):
            conn.execute(statement, values)
        for key in (*variants, crop):
            conn.execute(
                "insert into core.media_asset_variants (media_asset_id, variant_key, format, width, height, bytes,"
                " sha256, hosted_bucket, hosted_key, hosted_url, recipe, source_version, crop_signature)"
                " values (%s, %s, %s, 9, 9, %s, %s, 'local', %s, 'http://h/', '0', %s, %s)",
                (photo, Path(key).stem, Path(key).suffix, len(key), sha, key, sha, sha if key == crop else ""),
            )
    bank_query(
        bank, "insert into person (id, full_name, shows) values (%s, 'A person', '{}') on conflict do nothing", person
    )
    bank_query(
        bank,
        "insert into face_bank_images (person_id, media_asset_id, link_id, served_url, sha256, width, height, source,"
        " caption, is_seed) values (%s, %s, gen_random_uuid(), 'http://h/', %s, 9, 9, 'source', '', true)",
        person, photo, sha,
    )  # fmt: skip
    return OnePhoto(photo, person, sha, batch, keys)


def record_events(killer: Killer, photos: list[OnePhoto]) -> None:
    """Materialisations with pictures and rows of the photos: of their batches and, as in the face bank, people."""
    events = [
        {"asset": asset, "partition": partition, "photo": str(photo.id), "original": f"http://h/{photo.keys[0]}"}
        for photo in photos
        for asset, partition in (("base_variants", photo.batch), ("facebank_images", str(photo.person_id)))
    ]
    assert killer.do("materialise", events=events)["ended"] == 0


def assert_nothing_left(archive: Archive, bank: FaceBank, dagster_url: str, photos: list[OnePhoto]) -> None:
    """Nothing of these photos is in the store, in rows, in the face bank or in Dagster's events."""
    stored = "\n".join(item.key for item in archive.store.list())
    tables = query(archive.database, "select tablename from pg_tables where schemaname = 'core'")
    rows = "\n".join(
        str(row["text"])
        for name in (row["tablename"] for row in tables)
        if name not in KEPT_TABLES
        for row in query(archive.database, f"select t::text as text from core.{name} t")  # noqa: S608  our own tables
    )
    with psycopg.connect(dagster_url) as conn:
        statements = (
            "select event from event_logs",
            "select last_materialization from asset_keys where last_materialization is not null",
        )
        events = [row[0] for sql in statements for row in conn.execute(sql)]
    faces = {row["media_asset_id"] for row in bank_query(bank, "select media_asset_id from face_bank_images")}
    for photo in photos:
        of_photo = [event for event in events if photo.batch in event or str(photo.person_id) in event]
        for trace in photo.traces:
            assert trace not in stored
            assert trace not in rows
            assert not [event for event in events if trace in event]
        assert of_photo, "the events themselves stay"
        assert not [event for event in of_photo if "data:image/" in event]
        assert photo.id not in faces


def assert_others_untouched(archive: Archive, bank: FaceBank, dagster_url: str, others: list[OnePhoto]) -> None:
    stored = {item.key for item in archive.store.list()}
    with psycopg.connect(dagster_url) as conn:
        events = "\n".join(row[0] for row in conn.execute("select event from event_logs"))
    for photo in others:
        assert set(photo.keys) <= stored
        assert f"base64,{str(photo.id)[:8]}" in events
    faces = {row["media_asset_id"] for row in bank_query(bank, "select media_asset_id from face_bank_images")}
    assert faces == {photo.id for photo in others}
    assert value(archive.database, "select count(*) from core.media_assets") == len(others)


def purged(result: Any) -> set[str]:
    return set(json.loads(result["out"])["purge_urls"])


def urls(archive: Archive, photo: OnePhoto) -> set[str]:
    return {archive.store.public_url(key) for key in photo.keys}


def test_a_takedown_killed_at_any_call_is_finished_by_the_next_command(
    archive: Archive, bank: FaceBank, database: Database, empty_database_url: str, photos: list[OnePhoto]
) -> None:
    """FAULTS: takedown killed or failed at any step. The second command says what it finished, and has all URLs."""
    with killer_of(archive, bank, empty_database_url) as killer:
        record_events(killer, photos)
        at, photo = 0, photos[0]
        for at, photo in zip(range(1, MOST_CALLS, STEP), photos, strict=False):
            arguments = ("takedown", str(photo.id), "--json")
            first = killer.trr(*arguments, at=at)
            is_removed = value(database, "select count(*) from core.media_assets where id = %s", photo.id) == 0
            if first["ended"] == 0:
                break  # it has no more calls
            again = killer.trr(*arguments)
            assert (again["ended"], again["code"]) == (0, 0), (at, again)
            report = json.loads(again["out"])
            assert purged(again) == urls(archive, photo), at
            assert report["photo_ids"] == ([] if is_removed else [str(photo.id)]), at
            if is_removed and report["objects"]:
                assert report["finished_ids"] == [str(photo.id)], at
        assert 60 < at < MOST_CALLS - STEP, "a takedown has about 120 calls"
        done = photos.index(photo) + 1
        assert_nothing_left(archive, bank, empty_database_url, photos[:done])
        assert_others_untouched(archive, bank, empty_database_url, photos[done:])
    report = reconcile(archive)
    assert (report.orphan_objects, report.rows_without_objects) == (0, 0)


def test_a_takedown_killed_at_any_call_is_finished_by_the_daemon_without_another_command(
    archive: Archive, bank: FaceBank, database: Database, empty_database_url: str, photos: list[OnePhoto]
) -> None:
    with killer_of(archive, bank, empty_database_url) as killer:
        record_events(killer, photos)
        removed, at = [], 0
        for at, photo in zip(range(1, MOST_CALLS, STEP), photos, strict=False):
            if killer.trr("takedown", str(photo.id), at=at)["ended"] == 0:
                removed.append(photo)
                break
            if value(database, "select count(*) from core.media_assets where id = %s", photo.id) == 0:
                removed.append(photo)
                killer.tick("takedowns")
        assert 60 < at < MOST_CALLS - STEP
        killer.tick("takedowns")
        killer.tick("facebank_removals", "facebank_removal")
        assert_nothing_left(archive, bank, empty_database_url, removed)
        assert_others_untouched(archive, bank, empty_database_url, [photo for photo in photos if photo not in removed])


def test_a_takedown_that_fails_at_any_store_call_says_so_and_is_finished_by_the_takedown_of_another_photo(
    archive: Archive, bank: FaceBank, database: Database, empty_database_url: str, photos: list[OnePhoto]
) -> None:
    del database
    with killer_of(archive, bank, empty_database_url) as killer:
        record_events(killer, photos)
        failed = []
        for at, photo in enumerate(photos[::2], start=1):
            result = killer.trr("takedown", str(photo.id), "--json", at=at, fails=True)
            failed.append(photo)
            if result["code"] == 0:
                break
            assert result["code"] == 1
            assert "failed" in result["err"]
            other = photos[2 * at - 1]
            again = killer.trr("takedown", str(other.id), "--json")
            assert again["code"] == 0
            assert json.loads(again["out"])["finished_ids"] == [str(photo.id)], at
            assert purged(again) == urls(archive, photo) | urls(archive, other), at
            failed.append(other)
        assert len(failed) > 10
        assert_nothing_left(archive, bank, empty_database_url, failed)
