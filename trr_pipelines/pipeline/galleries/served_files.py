"""Which of its files stands for a photo: the smallest that fits, never a bigger one than the original without need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.imaging.recipes import BASE, CROP

Row = dict[str, Any]

_BASE_KEYS = frozenset(target.key for target in BASE.targets)
_CROP_KEYS = frozenset(target.key for target in CROP.targets)


def delivered(photo: Row, files: list[Row]) -> Row:
    """The fields of an item that name files: URLs by purpose, and every width of each format for `<picture>`.

    `photo` is a row of the gallery, `files` are the rows of its base set and of its served crop set.
    """
    base = [file for file in files if file["variant_key"] in _BASE_KEYS]
    crop = [file for file in files if file["variant_key"] in _CROP_KEYS]
    # After a replacement the old sets are served until the new ones stand; of two originals, never both at once.
    if base and crop and crop[0]["source_version"] != base[0]["source_version"]:
        crop = []
    limit = _size_limit(photo)
    if limit is not None:
        base = [file for file in base if file["bytes"] <= limit]
        if photo["crop_mode"] != "manual":  # what somebody cut out by hand, the original cannot show
            crop = [file for file in crop if file["bytes"] <= limit]
    if photo["crop_signature"] is None:
        crop = []
    by_format = _by_format(base)
    original = photo["hosted_url"]
    return {
        "display_url": _smallest(base, "card") or original,
        "detail_url": _smallest(base, "detail") or original,
        "crop_display_url": _smallest(crop, "crop_card"),
        "crop_detail_url": _smallest(crop, "crop_detail") or _smallest(crop, "crop_card"),
        "srcset": _listed(by_format),
        "crop_srcset": _listed(_by_format(crop)),
        "sources": [
            {
                "type": FILE_TYPES[of_format[0]["format"]].content_type,
                "srcset": ", ".join(f"{file['hosted_url']} {file['width']}w" for file in of_format),
            }
            for of_format in by_format
        ],
    }


def _listed(by_format: list[list[Row]]) -> list[Row]:
    return [
        {
            "url": file["hosted_url"],
            "format": file["format"],
            "width": file["width"],
            "height": file["height"],
            "bytes": file["bytes"],
        }
        for of_format in by_format
        for file in of_format
    ]


def _size_limit(photo: Row) -> int | None:
    """The bytes that no file may pass; None where the original cannot stand for it, or nobody knows yet."""
    return photo["bytes"] if photo["original_unfit"] == [] else None


def _by_format(files: Iterable[Row]) -> list[list[Row]]:
    """The files of each format by width, one for each width; the format first whose files are smallest together.

    A format that lacks a width (its file was bigger than the original) is not better for that: it comes later.
    """
    of: dict[str, dict[int, Row]] = {}
    for file in files:
        widths = of.setdefault(file["format"], {})
        other = widths.get(file["width"])
        if other is None or file["bytes"] < other["bytes"]:
            widths[file["width"]] = file
    by_width = ([same[width] for width in sorted(same)] for same in of.values())
    return sorted(by_width, key=lambda same: (-len(same), sum(file["bytes"] for file in same)))


def _smallest(files: Iterable[Row], key: str) -> str | None:
    of_key = [(file["bytes"], file["hosted_url"]) for file in files if file["variant_key"] == key]
    return min(of_key)[1] if of_key else None
