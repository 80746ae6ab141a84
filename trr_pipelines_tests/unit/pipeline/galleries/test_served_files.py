"""Which of its files stands for a photo."""

from __future__ import annotations

from typing import Any

import pytest

from trr_pipelines.pipeline.galleries.served_files import delivered

WIDTHS = {"thumb": 320, "card": 720, "detail": 1440, "crop_card": 720, "crop_detail": 1440}
BASE_KEYS, CROP_KEYS = ("thumb", "card", "detail"), ("crop_card", "crop_detail")


def photo(**changes: Any) -> dict[str, Any]:
    values = {"hosted_url": "original", "bytes": 1_000_000, "original_unfit": [], "crop_mode": "auto"}
    return {**values, "crop_signature": "signed", **changes}


def files(keys: tuple[str, ...] = BASE_KEYS + CROP_KEYS, source: str = "v1", **sizes: int) -> list[dict[str, Any]]:
    """WebP and JPEG of each key; `sizes` are bytes by `key_format`, the rest is 20 bytes a pixel column, or 30."""
    return [
        {
            "variant_key": key,
            "format": image_format,
            "width": WIDTHS[key],
            "height": 100,
            "bytes": sizes.get(f"{key}_{image_format}", WIDTHS[key] * (20 if image_format == "webp" else 30)),
            "hosted_url": f"{key}.{image_format}",
            "source_version": source,
        }
        for key in keys
        for image_format in ("jpeg", "webp")
    ]


def urls(item: dict[str, Any]) -> list[str | None]:
    return [item[name] for name in ("display_url", "detail_url", "crop_display_url", "crop_detail_url")]


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


def test_without_files_the_original_stands_for_the_photo_and_nothing_for_its_crop() -> None:
    item = delivered(photo(), [])
    assert urls(item) == ["original", "original", None, None]
    assert (item["srcset"], item["sources"]) == ([], [])
    assert urls(delivered(photo(hosted_url=None), [])) == [None] * 4


def test_no_file_bigger_than_the_original_is_named() -> None:
    item = delivered(photo(bytes=15_000), files())
    assert urls(item) == ["card.webp", "original", "crop_card.webp", "crop_card.webp"]
    assert max(file["bytes"] for file in item["srcset"]) <= 15_000
    assert urls(delivered(photo(bytes=10), files())) == ["original", "original", None, None]


@pytest.mark.parametrize("unfit", [["orientation"], ["colour"], ["format"], ["metadata"], None])
def test_where_the_original_cannot_be_shown_or_nobody_knows_bigger_files_are(unfit: list[str] | None) -> None:
    item = delivered(photo(bytes=10, original_unfit=unfit), files())
    assert urls(item) == ["card.webp", "detail.webp", "crop_card.webp", "crop_detail.webp"]
    assert len(item["srcset"]) == 6


def test_what_somebody_cut_out_by_hand_the_original_cannot_show() -> None:
    item = delivered(photo(bytes=10, crop_mode="manual"), files())
    assert urls(item) == ["original", "original", "crop_card.webp", "crop_detail.webp"]


def test_a_crop_of_another_original_than_the_base_set_is_not_named() -> None:
    item = delivered(photo(), files(BASE_KEYS, "v2") + files(CROP_KEYS, "v1"))
    assert urls(item) == ["card.webp", "detail.webp", None, None]


def test_no_crop_is_named_while_none_is_active() -> None:
    assert urls(delivered(photo(crop_mode=None, crop_signature=None), files()))[2:] == [None, None]


def test_files_of_one_width_are_named_once() -> None:
    small = [{**file, "width": 300, "bytes": file["width"]} for file in files(BASE_KEYS)]
    item = delivered(photo(), small)
    assert [(file["format"], file["width"]) for file in item["srcset"]] == [("jpeg", 300), ("webp", 300)]
