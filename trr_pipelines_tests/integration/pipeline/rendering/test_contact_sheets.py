"""Contact sheets of a batch: their content, that they are made once, and that a missing file is no error."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging import decode
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rendering.contact_sheets import ContactSheet, make_contact_sheet, make_least_saved_sheet
from trr_pipelines.storage.keys import ORIGINALS, VARIANTS
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, query, run


@pytest.fixture
def batch(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> str:
    """A batch of a red photo whose variants save almost no bytes and a blue one whose variants save many."""
    files = {
        "red.webp": pictures.saved(Image.new("RGB", (400, 300), "red"), "WEBP", quality=80),
        "blue.png": pictures.saved(pictures.photo(1200, 900), "PNG"),
    }
    name = import_files(archive, tmp_path / "in", files)
    run(archive, name, pool=render_pool)
    return name


def pixels(sheet: ContactSheet | None) -> Image.Image:
    assert sheet is not None
    data = base64.b64decode(sheet.data_uri.partition("base64,")[2])
    return Image.open(io.BytesIO(data), formats=["WEBP"]).convert("RGB")


def test_the_photo_that_saves_least_comes_first_beside_its_original(
    archive: Archive, batch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("an original was decoded in the run's own process")

    monkeypatch.setattr(decode, "decode", refuse)
    sheet = pixels(make_least_saved_sheet(archive, batch))
    cell = sheet.width // 4
    for column in (0, 1):
        red, green, blue = sheet.getpixel((column * cell + cell // 2, cell // 2))  # type: ignore[misc]
        assert red > 200
        assert max(green, blue) < 60
    for column in (2, 3):
        red, green, blue = sheet.getpixel((column * cell + cell // 2, cell // 2))  # type: ignore[misc]
        assert not (red > 200 and max(green, blue) < 60)


def test_a_sheet_is_made_once_and_its_files_are_not_read_again(archive: Archive, batch: str) -> None:
    first = [make_contact_sheet(archive, batch, "thumb"), make_least_saved_sheet(archive, batch)]
    shown = [item.key for prefix in ORIGINALS + VARIANTS for item in archive.store.list(prefix)]
    archive.store.delete(shown)
    assert [make_contact_sheet(archive, batch, "thumb"), make_least_saved_sheet(archive, batch)] == first
    query(archive.database, "update core.media_asset_variants set hosted_key = 'media-variants/gone/' || id || '.webp'")
    assert make_contact_sheet(archive, batch, "thumb") is None
    assert make_least_saved_sheet(archive, batch) is None


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"rotten",
        pictures.jpeg()[:3000],
        pictures.png_of_zeros(30_000, 30_000, bit_depth=1, colour_type=0),  # more pixels than Pillow opens
        pictures.saved(pictures.photo(20, 20), "WEBP")[:-8],
    ],
    ids=["empty", "rotten", "cut", "bomb", "cut webp"],
)
def test_a_damaged_picture_costs_the_sheet_and_never_the_run(
    archive: Archive, batch: str, tmp_path: Path, damage: bytes
) -> None:
    archive.store.delete([item.key for item in archive.store.list("contact_sheets/")])
    for row in query(archive.database, "select hosted_key from core.media_asset_variants"):
        (tmp_path / "media" / row["hosted_key"]).write_bytes(damage)
    assert make_contact_sheet(archive, batch, "thumb") is None
    assert make_least_saved_sheet(archive, batch) is None


class TakingDownStore:
    """A store that deletes all photos from the catalogue when it gets a picture."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive.store, name)

    def put_if_absent(self, *arguments: Any, **options: Any) -> Any:
        query(self._archive.database, "delete from core.media_assets")
        return self._archive.store.put_if_absent(*arguments, **options)


def test_a_photo_taken_down_meanwhile_is_on_no_sheet(archive: Archive, batch: str) -> None:
    assert make_contact_sheet(replace(archive, store=TakingDownStore(archive)), batch, "thumb") is None
    assert list(archive.store.list("contact_sheets/")) == []


def test_a_batch_without_pictures_has_no_sheet(archive: Archive, tmp_path: Path) -> None:
    new = import_files(archive, tmp_path / "new", {"a.jpg": pictures.jpeg()})
    assert make_contact_sheet(archive, new, "thumb") is None
    assert make_least_saved_sheet(archive, new) is None
