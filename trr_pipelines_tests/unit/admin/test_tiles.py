"""Tiles of gallery items, also with reason codes of a newer backend."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from trr_pipelines.admin.tiles import tile
from trr_pipelines.web.payloads import Item

ABSENT = (
    "hosted_url", "width", "height", "bytes", "crop", "facebank_seed_changed", "season", "original_url", "display_url",
    "detail_url", "crop_display_url", "crop_detail_url", "placeholder", "dominant_color",
)  # fmt: skip


def failed(reason: Any) -> Item:
    """A photo without any file whose base set failed."""
    return Item.model_validate(
        {
            **dict.fromkeys(ABSENT),
            "link_id": str(uuid4()),
            "media_asset_id": str(uuid4()),
            "source": "deadline",
            "caption": "Photo 1",
            "tags": [],
            "kind": "photo",
            "facebank_seed": False,
            "has_own_crop": False,
            "position": 1,
            "created_at": "2026-02-12T14:05:09Z",
            "srcset": [],
            "crop_srcset": [],
            "sources": [],
            "generation": {"base": "failed", "crop": "pending", "reason": reason},
        }
    )


@pytest.mark.parametrize(
    ("reason", "message"),
    [("truncated", "the file is truncated"), ("colour_space_unknown", "colour_space_unknown"), (None, "it failed")],
)
def test_a_failed_photo_shows_its_reason_even_with_an_unknown_code(reason: str | None, message: str) -> None:
    shown = tile(failed(reason), "crop")
    assert (shown.state, shown.message) == ("failed", message)


def test_a_reason_that_is_not_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="reason"):
        failed({"code": "truncated"})
