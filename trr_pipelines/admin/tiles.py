"""A gallery photo as its tile shows it: files, captions, state.

The tile shows the first available of crop, base and original. Nothing here sends a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trr_pipelines.admin.placeholders import placeholder_url
from trr_pipelines.admin.templating import http_only, human_bytes
from trr_pipelines.web.payloads import File, Item

Mode = Literal["crop", "full"]
CARD_WIDTH = 700  # pixels; a card has 720, or the width of its source

REASONS = {
    "empty_file": "empty file",
    "not_an_image": "not an image",
    "unsupported_format": "unsupported format",
    "corrupt": "corrupt file",
    "truncated": "the file is truncated",
    "too_many_bytes": "file too large",
    "too_many_pixels": "too many pixels",
    "side_too_long": "side too long",
    "decode_timeout": "decoding timed out",
    "decode_oom": "decoding ran out of memory",
    "decode_crash": "decoder crashed",
    "blocked_address": "fetching from this address is not allowed",
    "fetch_not_found": "not found at its address",
    "fetch_forbidden": "access denied by its source",
    "fetch_timeout": "source timed out",
    "fetch_failed": "fetching failed",
    "storage_unavailable": "object store unavailable",
    "storage_timeout": "object store too slow",
    "storage_denied": "access denied by the object store",
    "disk_full": "disk full",
    "internal": "internal error",
}


@dataclass(frozen=True)
class Tile:
    """Values of the tile template; `sources` are type and srcset of each `<source>`, best first."""

    item: Item
    mode: Mode
    is_cropped: bool
    sources: list[tuple[str, str]]
    src: str
    detail: str
    original: str
    placeholder: str
    state: Literal["ok", "pending", "failed"]
    message: str

    @property
    def label(self) -> str:
        """The accessible name of the photo."""
        return self.item.caption or f"Photo from {self.item.source}"

    @property
    def saved(self) -> str:
        """Bytes of the original and of the large file shown, if both are known."""
        before, after = self.item.bytes, _bytes_of(self.item, self.detail)
        if not before:
            return ""
        if not after or self.detail == self.original:
            return f"original {human_bytes(before)}"
        share = f", {round(100 * (1 - after / before))} % less" if after < before else ""
        return f"{human_bytes(after)} instead of {human_bytes(before)}{share}"


def tile(item: Item, mode: Mode) -> Tile:
    """The tile of one gallery item."""
    cropped, detail_crop = http_only(item.crop_display_url), http_only(item.crop_detail_url)
    original = http_only(item.original_url)
    is_cropped = mode == "crop" and bool(cropped)
    files = item.crop_srcset if is_cropped else item.srcset
    sources = _sources(files)
    generation = item.generation
    state: Literal["ok", "pending", "failed"] = "ok"
    message = ""
    if generation.reason or "failed" in (generation.base, generation.crop):
        state, message = "failed", REASONS.get(generation.reason or "", generation.reason or "it failed")
    elif "pending" in (generation.base, generation.crop):
        state, message = "pending", "being rendered" if original else "waiting to be fetched"
    return Tile(
        item=item,
        mode=mode,
        is_cropped=is_cropped,
        sources=sources[:-1],
        src=_last_of(files) or (cropped if is_cropped else http_only(item.display_url) or original),
        detail=(detail_crop if is_cropped else "") or http_only(item.detail_url) or original,
        original=original,
        placeholder=placeholder_url(item.placeholder),
        state=state,
        message=message,
    )


def _sources(files: Sequence[File]) -> list[tuple[str, str]]:
    """Type and srcset of each format, in the order of the files."""
    candidates_of: dict[str, list[str]] = {}
    for file in files:
        if http_only(file.url):
            candidates_of.setdefault(file.format, []).append(f"{file.url} {file.width}w")
    return [(f"image/{name}", ", ".join(candidates)) for name, candidates in candidates_of.items()]


def _last_of(files: Sequence[File]) -> str:
    """The card of the last format, for browsers that support none of the others."""
    same_format = [file for file in files if file.format == files[-1].format]
    wide_enough = [file for file in same_format if file.width >= CARD_WIDTH] or same_format[-1:]
    return http_only(wide_enough[0].url) if wide_enough else ""


def _bytes_of(item: Item, url: str) -> int | None:
    return next((file.bytes for file in (*item.srcset, *item.crop_srcset) if file.url == url), None)
