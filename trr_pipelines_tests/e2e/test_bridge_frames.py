"""What galleries of the application show of a crop is what a browser draws by the arithmetic of its crop editor.

Intents are stored there as its programs store them, go through the bridge, and come back as published files. The real
photos are in `benchmarks/crop_frames.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from playwright.sync_api import Page

from trr_pipelines.bridge.publishing import publish_due
from trr_pipelines.bridge.sync import sync
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.samples import encodings
from trr_pipelines.samples.scenes import photograph
from trr_pipelines_tests.pictures import saved
from trr_pipelines_tests.support.applications import Reader, Rows, new_application, opened, set_name
from trr_pipelines_tests.support.archives import query
from trr_pipelines_tests.support.crop_frames import Comparison, compare, on_white, shown_by_browser

# Keys of originals, as the application has them, with the encoder and the picture.
PHOTOS = {
    "images/people/Wide (1).JPG": (encodings.jpeg, ("valley", 1100, 700)),
    "images/shows/The Valley/tall.jpg": (encodings.jpeg, ("portrait", 620, 1300)),
    "media/ab/turned.bin": (encodings.turned_jpeg(6), ("shore", 760, 1040)),
    "media/cd/mirrored.jpg": (encodings.turned_jpeg(5), ("stage", 900, 700)),
    "images/logos/tiny.png": (encodings.png, ("portrait", 90, 61)),
    "images/logos/transparent.png": (encodings.transparent_png, ("stage", 800, 640)),
}
# Each gallery of a photo has an intent: numbers or text, with two decimals, some out of range.
INTENTS: dict[str, list[dict[str, Any]]] = {
    "images/people/Wide (1).JPG": [
        {"x": 23.41, "y": 61.07, "zoom": 1, "mode": "manual"},
        {"x": "77.16", "y": "38.5", "zoom": "2.35", "mode": "manual"},
        {"x": 100, "y": 0, "zoom": 4, "mode": "manual"},
        {"x": 120.5, "y": -3, "zoom": 0.4, "mode": "manual"},
    ],
    "images/shows/The Valley/tall.jpg": [
        {"x": 50, "y": 31.83, "mode": "auto", "strategy": "face", "generated_at": "2026-03-01T10:00:00Z"},
        {"x": 0, "y": 100, "zoom": 1.77, "mode": "manual"},
        {"x": "51.25", "y": "72.94", "zoom": 9, "mode": "manual"},
    ],
    "media/ab/turned.bin": [
        {"x": 12.68, "y": 17.3, "zoom": 1.4, "mode": "manual"},
        {"x": 88.02, "y": 79.99, "zoom": 3.21, "mode": "manual"},
    ],
    "media/cd/mirrored.jpg": [
        {"x": 31.09, "y": 64.2, "zoom": 1.12, "mode": "auto"},
        {"x": 70.5, "y": 22.22, "zoom": 2.6, "mode": "manual"},
    ],
    "images/logos/tiny.png": [
        {"x": 66.67, "y": 40, "zoom": 1, "mode": "manual"},
        {"x": 33.33, "y": 58.1, "zoom": 1.9, "mode": "manual"},
    ],
    "images/logos/transparent.png": [
        {"x": 18.4, "y": 50, "zoom": 1, "mode": "manual"},
        {"x": 52.77, "y": 88.8, "zoom": 1.5, "mode": "manual"},
    ],
}
WITH_FLAT_KEYS = "media/ab/turned.bin"
OF_THE_PHOTO = {"x": "41.5", "y": 20.25, "zoom": 1.25, "mode": "manual"}


@dataclass
class Published:
    """An application whose crops are published; `photos` by key, `galleries` of one photo and one intent each."""

    folder: Path
    base_url: str
    rows: Rows
    reader: Reader
    photos: dict[str, UUID] = field(default_factory=dict)
    galleries: list[tuple[str, dict[str, Any], UUID]] = field(default_factory=list)

    def file(self, url: str) -> bytes:
        return (self.folder / url.removeprefix(self.base_url).lstrip("/")).read_bytes()


@pytest.fixture
def published(
    postgres: EmbeddedPostgres, archive: Archive, render_pool: RenderPool, tmp_path: Path
) -> Iterator[Published]:
    """Photos of `PHOTOS` with a gallery for each of `INTENTS`, synchronised, rendered and published."""
    with new_application(postgres) as url, opened(url) as application:
        made = Published(tmp_path / "media", archive.store.base_url, Rows(url), Reader(url))
        for key, (encode, drawing) in PHOTOS.items():
            (made.folder / key).parent.mkdir(parents=True, exist_ok=True)
            (made.folder / key).write_bytes(encode(photograph(*drawing, seed=len(key))))
            metadata = {"thumbnail_crop": OF_THE_PHOTO} if key == WITH_FLAT_KEYS else {}
            made.photos[key] = made.rows.asset(key, metadata=metadata)
            for number, intent in enumerate(INTENTS[key]):
                person = made.rows.person(f"{key} {number}")
                made.rows.link(made.photos[key], "person", person, context={"thumbnail_crop": intent})
                made.galleries.append((key, intent, person))
        sync(archive, application, lane="live")
        for row in query(archive.database, "select key from core.import_batches"):
            scope = Scope(batch=row["key"])
            mirror_originals(archive, scope, "test")
            render_photos(archive, scope, "test", pool=render_pool)
        assert publish_due(archive.database, application) == {"published": len(PHOTOS)}
        yield made


def test_each_gallery_shows_the_frame_that_a_browser_draws(page: Page, published: Published) -> None:
    differing: dict[tuple[str, str], Comparison] = {}

    def check(key: str, intent: dict[str, Any], url: str) -> None:
        file = published.file(url)
        shown = shown_by_browser(page, published.folder / key, intent, on_white(file).size)
        if not (comparison := compare(file, shown)).is_same_frame:
            differing[set_name(intent), url] = comparison

    urls = set()
    for key, intent, person in published.galleries:
        (photo,) = published.reader.gallery(person)
        assert photo["signature"] == set_name(intent)
        urls.add(photo["crop_detail"])
        check(key, intent, photo["crop_detail"])
    assert len(urls) == len(published.galleries)

    flat = published.reader.asset(published.photos[WITH_FLAT_KEYS])
    assert flat["signature"] == set_name(OF_THE_PHOTO)
    for rendition in ("crop_card", "crop_detail"):
        check(WITH_FLAT_KEYS, OF_THE_PHOTO, flat[rendition])
    # Readers without WebP take the JPEG of the same set.
    (row,) = published.rows.execute(
        "select metadata -> 'variants' as sets from core.media_assets where id = %s", published.photos[WITH_FLAT_KEYS]
    )
    for intent in INTENTS[WITH_FLAT_KEYS]:
        check(WITH_FLAT_KEYS, intent, row["sets"][set_name(intent)]["crop_detail"]["jpg"]["url"])
    assert not differing


@pytest.mark.parametrize("pixels", [1, -1])
def test_a_frame_a_pixel_away_is_found(page: Page, tmp_path: Path, pixels: int) -> None:
    """Measured with the browser alone: two frames whose middles are a pixel of the element apart."""
    original = tmp_path / "valley.jpg"
    original.write_bytes(encodings.jpeg(photograph("valley", 800, 500, 1)))
    size = (200, 250)
    here, there = (
        shown_by_browser(page, original, {"x": 50 + 100 * 2 * shift / 800, "y": 50, "zoom": 1}, size)
        for shift in (0, pixels)
    )
    file = saved(here, "WEBP", quality=76)
    assert compare(file, here).is_same_frame
    assert not compare(file, there).is_same_frame
    assert compare(file, there).displacement == pytest.approx(1, abs=0.25)


def test_pictures_without_structure_are_not_located() -> None:
    plain = Image.new("RGB", (40, 50), "grey")
    assert compare(saved(plain, "WEBP"), plain).displacement is None
