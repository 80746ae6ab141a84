"""Revision 0019 on a catalogue of the revision before with rendered crops: same frames, new numbers, same files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from PIL import Image

from trr_pipelines.catalogue import schema
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.catalogue.galleries import Filters
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.imaging.geometry import Crop, Frame, Size, crop_frame, crop_output
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import RenderRequest, render
from trr_pipelines.imaging.signature import crop_signature
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks import invariants
from trr_pipelines.pipeline.galleries.pages import PageRequest, show_gallery
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.settings import Settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines.storage.keys import crop_key, original_key, variant_key
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support.archives import query
from trr_pipelines_tests.support.databases import new_database

BATCH = "20260212-deadline-00001"


@dataclass(frozen=True)
class OldCrop:
    """A crop as it was until revision 0018: x and y as CSS `object-position`, four decimals, zoom up to 8."""

    mode: str
    x: float
    y: float
    zoom: float

    def frame(self, source: Size) -> Frame:
        width = min(source.width, source.height * 4 / 5) / self.zoom
        height = width * 5 / 4
        return Frame((source.width - width) * self.x / 100, (source.height - height) * self.y / 100, width, height)

    def signature(self, version: str) -> str:
        return hashlib.sha256(
            f"crop1|{self.mode}|{self.x:.4f}|{self.y:.4f}|{self.zoom:.4f}|{version}".encode()
        ).hexdigest()


# Of each photo: its size, and its crops from the oldest to the active one.
PHOTOS = {
    "wide": (Size(1200, 800), [OldCrop("auto", 31.4159, 33.3333, 1), OldCrop("manual", 12.3456, 87.6543, 1.25)]),
    "tall": (Size(700, 1100), [OldCrop("auto", 50, 61.8034, 1)]),
    "exact": (Size(800, 1000), [OldCrop("manual", 20, 70, 1), OldCrop("manual", 100, 0, 3.999)]),
    "too_close": (Size(1000, 900), [OldCrop("manual", 15, 95, 6.5)]),
    "fourth_decimal": (Size(900, 900), [OldCrop("manual", 40, 60, 1.2346)]),
    # The same frame under two of the new crop's numbers: x is of no account on a side that the frame fills.
    "twins": (Size(600, 900), [OldCrop("manual", 30.0001, 25, 1), OldCrop("manual", 30.0002, 25, 1)]),
}
RENDERED_AGAIN = {"too_close", "fourth_decimal"}


def upgrade_to(url: str, revision: str) -> None:
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("create schema core")
        connection.commit()
        config = Config()
        config.set_main_option("script_location", str(schema.CATALOGUE.migrations))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def rendered_with(data: bytes, source: Size, crop: OldCrop) -> list[tuple[str, str, int, int, bytes]]:
    """Key, format, sides and bytes of the files of an old crop."""
    frame = crop.frame(source)
    box = (frame.left, frame.top, frame.left + frame.width, frame.top + frame.height)
    image = Image.open(BytesIO(data)).convert("RGB")
    files = []
    for target in CROP.targets:
        size = crop_output(frame, target.size)
        cut = image.resize((size.width, size.height), Image.Resampling.LANCZOS, box=box)
        for name in CROP.formats:
            files.append((target.key, name, size.width, size.height, saved(cut, name, quality=90)))
    return files


def fill(conn: psycopg.Connection[Any], archive: Archive) -> dict[str, UUID]:
    """Photos with rendered crops, as the pipeline of revision 0018 left them; returns their ids."""
    conn.execute(
        "insert into core.import_batches (key, source, day, number) values (%s, 'deadline', '2026-02-12', 1)", (BATCH,)
    )
    (show,) = conn.execute("insert into core.shows (title) values ('The Valley') returning id").fetchone() or ()
    store, ids = archive.store, {}
    for number, (name, (size, crops)) in enumerate(PHOTOS.items()):
        data = saved(photo(size.width, size.height, seed=number), "JPEG", quality=95)
        version = hashlib.sha256(data).hexdigest()
        key = original_key(version, "jpg")
        store.put_if_absent(key, data, content_type="image/jpeg", sha256=version)
        row = conn.execute(
            "insert into core.media_assets (source, source_url, batch_key, state, sha256, bytes, width, height, format,"
            " frames, hosted_bucket, hosted_key, hosted_url) values ('deadline', %s, %s, 'mirrored', %s, %s, %s, %s,"
            " 'jpeg', 1, %s, %s, %s) returning id",
            (name, BATCH, version, len(data), size.width, size.height, store.bucket, key, store.public_url(key)),
        ).fetchone()
        (photo_id,) = row or ()
        ids[name] = photo_id
        conn.execute(
            "insert into core.media_asset_versions (media_asset_id, sha256, bytes, width, height, format,"
            " hosted_bucket, hosted_key, author) values (%s, %s, %s, %s, %s, 'jpeg', %s, %s, 'import')",
            (photo_id, version, len(data), size.width, size.height, store.bucket, key),
        )
        conn.execute(
            "insert into core.media_links (media_asset_id, show_id, kind, position) values (%s, %s, 'photo', %s)",
            (photo_id, show, number),
        )
        for variant in render(data, RenderRequest(BASE, None)).variants:
            extension = FILE_TYPES[variant.format].extension
            add_file(
                conn,
                archive,
                photo_id,
                (variant.variant_key, variant.format, variant.width, variant.height, variant.data),
                variant_key(photo_id, version, BASE.fingerprint, variant.variant_key, extension),
                (BASE.fingerprint, version, False),
            )
        for place, crop in enumerate(crops):
            signature, is_active = crop.signature(version), place == len(crops) - 1
            numbers = (crop.mode, crop.x, crop.y, crop.zoom, signature)
            conn.execute(
                "insert into core.media_asset_crops (media_asset_id, crop_mode, crop_x, crop_y, crop_zoom,"
                " crop_signature, source_version, author, is_active) values (%s, %s, %s, %s, %s, %s, %s, 'a', %s)",
                (photo_id, *numbers, version, is_active),
            )
            for file in rendered_with(data, size, crop):
                extension = FILE_TYPES[file[1]].extension
                key = crop_key(photo_id, signature, CROP.fingerprint, file[0], extension)
                add_file(conn, archive, photo_id, file, key, (CROP.fingerprint, version, not is_active), numbers)
        conn.execute(
            "insert into core.variant_generations (media_asset_id, kind, state, recipe, wanted, served)"
            " values (%(id)s, 'original', 'complete', '', '', ''), (%(id)s, 'base', 'complete', %(base)s, '', ''),"
            " (%(id)s, 'crop', 'complete', %(crop)s, %(signature)s, %(signature)s)",
            {"id": photo_id, "base": BASE.fingerprint, "crop": CROP.fingerprint, "signature": signature},
        )
    return ids


def add_file(
    conn: psycopg.Connection[Any],
    archive: Archive,
    photo_id: UUID,
    file: tuple[str, str, int, int, bytes],
    key: str,
    made_of: tuple[str, str, bool],
    crop: tuple[str, float, float, float, str] = ("", 0, 0, 1, ""),
) -> None:
    name, image_format, width, height, data = file
    recipe, version, is_superseded = made_of
    sha256 = hashlib.sha256(data).hexdigest()
    archive.store.put_if_absent(key, data, content_type=FILE_TYPES[image_format].content_type, sha256=sha256)
    conn.execute(
        "insert into core.media_asset_variants (media_asset_id, variant_key, format, width, height, bytes, sha256,"
        " hosted_bucket, hosted_key, hosted_url, crop_mode, crop_x, crop_y, crop_zoom, crop_signature, recipe,"
        " source_version, superseded_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " case when %s then now() end)",
        (
            *(photo_id, name, image_format, width, height, len(data), sha256),
            *(archive.store.bucket, key, archive.store.public_url(key), *crop, recipe, version, is_superseded),
        ),
    )


@dataclass(frozen=True)
class Migrated:
    """The archive after the migration, its photos, and the URLs of their served crops before it."""

    archive: Archive
    ids: dict[str, UUID]
    urls: dict[str, set[str]]

    def crops(self, name: str) -> list[dict[str, Any]]:
        return query(
            self.archive.database,
            "select crop_mode, crop_x::float8 as x, crop_y::float8 as y, crop_zoom::float8 as zoom, crop_signature,"
            " source_version from core.media_asset_crops where media_asset_id = %s order by id",
            self.ids[name],
        )

    def page(self) -> dict[UUID, Any]:
        request = PageRequest(Filters(), "position", None, 50)
        return {
            item["media_asset_id"]: item for item in show_gallery(self.archive.database, "the-valley", request).items
        }


@pytest.fixture(scope="module")
def migrated(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Migrated]:
    folder: Path = tmp_path_factory.mktemp("migrated")
    with new_database(postgres, "template1") as url:
        upgrade_to(url, "0018")
        settings = Settings(home=folder / "home", database_url=url, media_store=f"file:{folder / 'media'}")
        database = Database(url)
        archive = Archive(settings, database, open_store(settings.store_url, base_url=settings.base_url))
        with psycopg.connect(url) as conn:
            ids = fill(conn, archive)
            conn.execute(
                "insert into core.slugs (entity_kind, slug, entity_id) select 'show', 'the-valley', id from core.shows"
            )
            rows = conn.execute(
                "select media_asset_id, hosted_url from core.media_asset_variants"
                " where crop_signature <> '' and superseded_at is null"
            ).fetchall()
        schema.upgrade(url)
        database.open()
        names = {photo_id: name for name, photo_id in ids.items()}
        urls: dict[str, set[str]] = {}
        for photo_id, hosted_url in rows:
            urls.setdefault(names[photo_id], set()).add(hosted_url)
        yield Migrated(archive, ids, urls)
        database.close()


@pytest.mark.parametrize("name", PHOTOS)
def test_every_crop_keeps_its_frame_under_new_numbers_and_a_new_signature(migrated: Migrated, name: str) -> None:
    size, old = PHOTOS[name]
    rows = migrated.crops(name)
    assert len(rows) == len(old)
    for row, before in zip(rows, old, strict=True):
        crop = Crop(row["crop_mode"], row["x"], row["y"], row["zoom"])
        assert (crop.mode, crop.zoom) == (before.mode, min(round(before.zoom, 3), 4))
        assert row["crop_signature"] == crop_signature(crop, row["source_version"])
        frame, was = crop_frame(size, crop), before.frame(size)
        if name not in RENDERED_AGAIN:
            assert (frame.left, frame.width) == pytest.approx((was.left, was.width), abs=1e-5 * size.width)
            assert (frame.top, frame.height) == pytest.approx((was.top, was.height), abs=1e-5 * size.height)


def test_a_zoom_above_the_maximum_becomes_the_maximum_about_the_same_middle(migrated: Migrated) -> None:
    size, (old,) = PHOTOS["too_close"]
    (row,) = migrated.crops("too_close")
    was = old.frame(size)
    middle = 100 * (was.left + was.width / 2) / size.width, 100 * (was.top + was.height / 2) / size.height
    assert (row["x"], row["y"], row["zoom"]) == (
        pytest.approx(middle[0], abs=5e-4),
        pytest.approx(middle[1], abs=5e-4),
        4,
    )


def test_galleries_serve_the_same_files_as_before(migrated: Migrated) -> None:
    page = migrated.page()
    for name, photo_id in migrated.ids.items():
        assert page[photo_id]["crop_display_url"] in migrated.urls[name], name
        assert page[photo_id]["generation"]["crop"] == ("pending" if name in RENDERED_AGAIN else "complete")
        assert page[photo_id]["crop"]["signature"] == migrated.crops(name)[-1]["crop_signature"]


def test_a_served_file_shows_what_the_new_numbers_say(migrated: Migrated) -> None:
    for name, (size, _) in PHOTOS.items():
        if name in RENDERED_AGAIN:
            continue
        row = migrated.crops(name)[-1]
        store, photo_id = migrated.archive.store, migrated.ids[name]
        original, file = query(
            migrated.archive.database,
            "select hosted_key from core.media_asset_versions where media_asset_id = %(id)s"
            " union all select hosted_key from core.media_asset_variants where media_asset_id = %(id)s"
            " and variant_key = 'crop_card' and format = 'jpeg' and crop_signature = %(signature)s",
            {"id": photo_id, "signature": row["crop_signature"]},
        )
        data = store.get(original["hosted_key"], max_bytes=10**8)
        now = render(data, RenderRequest(None, CROP, (Crop("manual", row["x"], row["y"], row["zoom"]),)))
        (card,) = (
            variant for variant in now.variants if (variant.variant_key, variant.format) == ("crop_card", "jpeg")
        )
        pictures = [
            # Averaged, because two encoders keep the grain of a picture differently.
            np.asarray(Image.open(BytesIO(served)).convert("RGB").resize((40, 50), Image.Resampling.BOX), dtype=float)
            for served in (card.data, store.get(file["hosted_key"], max_bytes=10**8))
        ]
        assert np.abs(pictures[0] - pictures[1]).mean() < 2, (name, size)


def test_the_next_run_renders_only_what_has_another_frame(migrated: Migrated, render_pool: RenderPool) -> None:
    archive = migrated.archive
    assert render_photos(archive, Scope(batch=BATCH), "after", pool=render_pool).complete == len(RENDERED_AGAIN)
    again = render_photos(archive, Scope(batch=BATCH), "again", pool=render_pool)
    assert (again.complete, again.objects_written) == (0, 0)
    page = migrated.page()
    for name, photo_id in migrated.ids.items():
        (served,) = query(
            archive.database,
            "select array_agg(distinct crop_signature) as signatures from core.media_asset_variants"
            " where media_asset_id = %s and crop_signature <> '' and superseded_at is null",
            photo_id,
        )
        assert served["signatures"] == [page[photo_id]["crop"]["signature"]], name
        assert (page[photo_id]["crop_display_url"] in migrated.urls[name]) == (name not in RENDERED_AGAIN)
    for check in (invariants.active_crops_are_rendered, invariants.variant_sets_are_complete):
        assert check(archive, BATCH).broken_count == 0, check.__name__


def test_sets_that_have_the_frame_of_another_stay_superseded(migrated: Migrated) -> None:
    rows = query(
        migrated.archive.database,
        "select crop_signature, bool_and(superseded_at is null) as is_served from core.media_asset_variants"
        " where media_asset_id = %s and crop_signature <> '' group by crop_signature order by 2 desc",
        migrated.ids["twins"],
    )
    size, (older, _) = PHOTOS["twins"]
    assert [row["is_served"] for row in rows] == [True, False]
    assert rows[0]["crop_signature"] == migrated.crops("twins")[-1]["crop_signature"]
    assert len({row["crop_signature"] for row in migrated.crops("twins")}) == 1
    assert rows[1]["crop_signature"] == older.signature(migrated.crops("twins")[0]["source_version"])
    assert size.width < size.height * 4 / 5
