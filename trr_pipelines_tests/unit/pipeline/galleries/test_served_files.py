"""The choice of served files of a photo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from trr_pipelines.catalogue.galleries import ServedFile
from trr_pipelines.pipeline.galleries.served_files import ServedFiles, choose_served_files

WIDTHS = {"thumb": 320, "card": 720, "detail": 1440, "crop_card": 720, "crop_detail": 1440}
BASE_KEYS, CROP_KEYS = ("thumb", "card", "detail"), ("crop_card", "crop_detail")


@dataclass(frozen=True)
class Photo:
    hosted_url: str | None = "original"
    bytes: int | None = 1_000_000
    original_unfit: list[str] | None = None
    crop_mode: str | None = "auto"
    crop_signature: str | None = "signed"


def photo(**changes: Any) -> Photo:
    return Photo(**{"original_unfit": [], **changes})


def delivered(of: Photo, files: list[ServedFile]) -> ServedFiles:
    return choose_served_files(of, files, original_url=of.hosted_url)


def files(keys: tuple[str, ...] = BASE_KEYS + CROP_KEYS, source: str = "v1", **sizes: int) -> list[ServedFile]:
    """WebP and JPEG of each key; `sizes` are bytes by `key_format`, the rest is 20 bytes a pixel column, or 30."""
    return [
        ServedFile(
            media_asset_id=UUID(int=1),
            variant_key=key,
            format=image_format,
            width=WIDTHS[key],
            height=100,
            bytes=sizes.get(f"{key}_{image_format}", WIDTHS[key] * (20 if image_format == "webp" else 30)),
            hosted_url=f"{key}.{image_format}",
            crop_signature="signed" if key.startswith("crop_") else "",
            source_version=source,
        )
        for key in keys
        for image_format in ("jpeg", "webp")
    ]


def urls(item: ServedFiles) -> list[str | None]:
    return [item["display_url"], item["detail_url"], item["crop_display_url"], item["crop_detail_url"]]


def test_each_purpose_gets_its_smallest_file() -> None:
    item = delivered(photo(), files(card_jpeg=100))
    assert urls(item) == ["card.jpeg", "detail.webp", "crop_card.webp", "crop_detail.webp"]


def test_the_format_that_is_smallest_in_all_comes_first() -> None:
    assert [source["type"] for source in delivered(photo(), files())["sources"]] == ["image/webp", "image/jpeg"]
    smaller = delivered(photo(), files(detail_jpeg=100))
    assert [source["type"] for source in smaller["sources"]] == ["image/jpeg", "image/webp"]
    assert [(file["format"], file["width"]) for file in smaller["srcset"]][:3] == [
        ("jpeg", 320), ("jpeg", 720), ("jpeg", 1440),
    ]  # fmt: skip


def test_without_files_the_original_is_served_and_no_crop() -> None:
    item = delivered(photo(), [])
    assert urls(item) == ["original", "original", None, None]
    assert (item["srcset"], item["sources"]) == ([], [])
    assert urls(delivered(photo(hosted_url=None), [])) == [None] * 4


def test_no_file_larger_than_the_original_is_served() -> None:
    item = delivered(photo(bytes=15_000), files())
    assert urls(item) == ["card.webp", "original", "crop_card.webp", "crop_card.webp"]
    assert max(file["bytes"] for file in item["srcset"]) <= 15_000
    assert urls(delivered(photo(bytes=10), files())) == ["original", "original", None, None]


@pytest.mark.parametrize("unfit", [["orientation"], ["colour"], ["format"], ["metadata"], None])
def test_larger_files_are_served_when_the_original_may_not_be_or_that_is_unknown(unfit: list[str] | None) -> None:
    item = delivered(photo(bytes=10, original_unfit=unfit), files())
    assert urls(item) == ["card.webp", "detail.webp", "crop_card.webp", "crop_detail.webp"]
    assert len(item["srcset"]) == 6


def test_a_manual_crop_is_served_even_when_it_is_larger_than_the_original() -> None:
    item = delivered(photo(bytes=10, crop_mode="manual"), files())
    assert urls(item) == ["original", "original", "crop_card.webp", "crop_detail.webp"]


def test_a_crop_of_another_original_than_the_base_set_is_not_served() -> None:
    item = delivered(photo(), files(BASE_KEYS, "v2") + files(CROP_KEYS, "v1"))
    assert urls(item) == ["card.webp", "detail.webp", None, None]


def test_no_crop_is_served_while_none_is_active() -> None:
    assert urls(delivered(photo(crop_mode=None, crop_signature=None), files()))[2:] == [None, None]


def test_files_of_the_same_width_are_listed_once() -> None:
    small = [replace(file, width=300, bytes=file.width) for file in files(BASE_KEYS)]
    item = delivered(photo(), small)
    assert [(file["format"], file["width"]) for file in item["srcset"]] == [("jpeg", 300), ("webp", 300)]
