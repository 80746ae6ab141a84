"""Contact sheets: bounded in bytes, with optional labels."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from trr_pipelines.imaging.contact_sheet import contact_sheet
from trr_pipelines_tests.pictures import photo, saved


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data), formats=["WEBP"]).convert("RGB")


def test_a_label_is_below_its_picture() -> None:
    thumb = saved(Image.new("RGB", (60, 60), "black"), "PNG")
    plain, labelled = (
        opened(contact_sheet([thumb] * 3, cell=64, columns=2, max_bytes=50_000, labels=labels))
        for labels in ((), ("3.1 MB", "", "12.0 kB, -99 %"))
    )
    assert plain.size == (128, 128)
    height = labelled.height // 2
    assert labelled.width == 128
    assert height > 64

    def is_lit(left: int, row: int) -> bool:
        strip = labelled.crop((left, row * height + 64, left + 64, (row + 1) * height))
        return max(high for _, high in strip.getextrema()) > 150  # type: ignore[misc]

    assert [is_lit(0, 0), is_lit(64, 0), is_lit(0, 1)] == [True, False, True]


def test_a_sheet_never_exceeds_its_bytes() -> None:
    thumbs = [saved(photo(160, 160, seed=seed), "PNG") for seed in range(24)]
    data = contact_sheet(thumbs, cell=80, columns=8, max_bytes=6_000, labels=["1: 3.1 MB"] * 24)
    assert len(data) <= 6_000
    with pytest.raises(ValueError, match="24 pictures do not fit into 100 bytes"):
        contact_sheet(thumbs, cell=80, columns=8, max_bytes=100)
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([], cell=80, columns=8, max_bytes=100)
