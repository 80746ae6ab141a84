"""The application's names: formats, crop signatures, crop intents, kinds of links, keys of its metadata."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Final

from slugify import slugify

from trr_pipelines.catalogue.application import CropIntent
from trr_pipelines.imaging.formats import ON_WHITE

BASE_SET: Final = "base"
FORMATS: Final = {"webp": "webp", "jpeg": "jpg", ON_WHITE: "jpg"}
"""The formats that its readers know, by our names. Others are not published."""

CARD_KEYS: Final = {"thumb_url": "thumb", "display_url": "card", "detail_url": "detail"}
"""Flat keys of a photo, each with the rendition whose URL it holds."""
CROP_KEYS: Final = {"crop_display_url": "crop_card", "crop_detail_url": "crop_detail"}
ACTIVE_SIGNATURE: Final = "active_crop_signature"
LINK_KEYS: Final = (*CROP_KEYS, ACTIVE_SIGNATURE)
"""Keys that a link's context and a photo's metadata may hold for a crop."""
PHOTO_KEYS: Final = (*CARD_KEYS, *LINK_KEYS)

_KINDS: Final = {"logo": "brand", "episode_still": "video_still"}
MAX_SOURCE: Final = 40


def set_name(crop: CropIntent) -> str:
    """The application's signature of a crop: `mode:x:y:zoom`, with exactly three decimals."""
    return f"{crop.mode}:{crop.x:.3f}:{crop.y:.3f}:{crop.zoom:.3f}"


def intent_of(value: Any) -> CropIntent | None:
    """The crop intent in a JSON value; None for anything else.

    Numbers may be strings; those out of range are clamped. x and y are required, zoom defaults to 1, mode to manual.
    """
    if not isinstance(value, dict):
        return None
    x, y = _number(value.get("x"), 0, 100), _number(value.get("y"), 0, 100)
    zoom = _number(value.get("zoom", 1), 1, 4)
    mode = value.get("mode") or "manual"
    if x is None or y is None or zoom is None or mode not in ("manual", "auto"):
        return None
    return CropIntent(mode, x, y, zoom)


def _number(value: Any, low: float, high: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    # Three decimals are what a signature has; -0.0 would be signed as "-0.000".
    return None if math.isnan(number) else float(f"{min(max(number, low), high):.3f}") + 0.0


def intent_json(crop: CropIntent) -> dict[str, Any]:
    """A crop intent as the application's editor writes it."""
    return {"x": crop.x, "y": crop.y, "zoom": crop.zoom, "mode": crop.mode}


def kind_of(kind: str) -> str:
    """The kind of a link here: `brand` for logos, `video_still` for stills of episodes, else `photo`."""
    return _KINDS.get(kind, "photo")


def source_of(source: str) -> str:
    """The source of a photo here: of a-z, 0-9 and '-', since batches are named after it."""
    return slugify(source, max_length=MAX_SOURCE) or "application"


def digest_of(*values: Any) -> str:
    """A digest of JSON values, equal for equal values."""
    text = json.dumps(values, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
