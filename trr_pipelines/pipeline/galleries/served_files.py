"""The choice of served files of a photo: the smallest that fits, never a larger one than the original without need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypedDict

from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.imaging.recipes import BASE, CROP

_BASE_KEYS = frozenset(target.key for target in BASE.targets)
_CROP_KEYS = frozenset(target.key for target in CROP.targets)


class PhotoFields(Protocol):
    """What decides the choice: bytes of the original, whether it may be served directly, and the active crop.

    `original_unfit` is None until the original was decoded, and empty when it may be served directly.
    """

    @property
    def bytes(self) -> int | None: ...
    @property
    def original_unfit(self) -> list[str] | None: ...
    @property
    def crop_mode(self) -> str | None: ...
    @property
    def crop_signature(self) -> str | None: ...


class FileFields(Protocol):
    """A file of the base set or of the served crop set; `source_version` is the SHA-256 of its original."""

    @property
    def variant_key(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def hosted_url(self) -> str: ...
    @property
    def source_version(self) -> str: ...


class ListedFile(TypedDict):
    """A served file; sides in pixels."""

    url: str
    format: str
    width: int
    height: int
    bytes: int


class PictureSource(TypedDict):
    """The attributes of one `<source>` of `<picture>`."""

    type: str
    srcset: str


class ServedFiles(TypedDict):
    """The fields of a gallery item that name files: URLs by purpose, and every width of each format."""

    display_url: str | None
    detail_url: str | None
    crop_display_url: str | None
    crop_detail_url: str | None
    srcset: list[ListedFile]
    crop_srcset: list[ListedFile]
    sources: list[PictureSource]


def choose_served_files(photo: PhotoFields, files: Sequence[FileFields], *, original_url: str | None) -> ServedFiles:
    """Choose among the files of a photo's base set and served crop set, and its original."""
    base = [file for file in files if file.variant_key in _BASE_KEYS]
    crop = [file for file in files if file.variant_key in _CROP_KEYS]
    # After a replacement the old sets are served until the new ones are complete; never mix sets of two originals.
    if base and crop and crop[0].source_version != base[0].source_version:
        crop = []
    limit = _size_limit(photo)
    if limit is not None:
        base = [file for file in base if file.bytes <= limit]
        if photo.crop_mode != "manual":  # the original cannot replace a frame that a person chose
            crop = [file for file in crop if file.bytes <= limit]
    if photo.crop_signature is None:
        crop = []
    by_format = _by_format(base)
    return {
        "display_url": _smallest(base, "card") or original_url,
        "detail_url": _smallest(base, "detail") or original_url,
        "crop_display_url": _smallest(crop, "crop_card"),
        "crop_detail_url": _smallest(crop, "crop_detail") or _smallest(crop, "crop_card"),
        "srcset": _listed(by_format),
        "crop_srcset": _listed(_by_format(crop)),
        "sources": [
            {
                "type": FILE_TYPES[of_format[0].format].content_type,
                "srcset": ", ".join(f"{file.hosted_url} {file.width}w" for file in of_format),
            }
            for of_format in by_format
        ],
    }


def _listed(by_format: list[list[FileFields]]) -> list[ListedFile]:
    return [
        {"url": file.hosted_url, "format": file.format, "width": file.width, "height": file.height, "bytes": file.bytes}
        for of_format in by_format
        for file in of_format
    ]


def _size_limit(photo: PhotoFields) -> int | None:
    """Maximum bytes of a file; None when the original cannot replace it, or when that is not known yet."""
    return photo.bytes if photo.original_unfit == [] else None


def _by_format(files: Iterable[FileFields]) -> list[list[FileFields]]:
    """The files of each format by width, one per width; the format with the smallest total comes first.

    A format that lacks a width (its file was larger than the original) comes after the complete ones.
    """
    by_format: dict[str, dict[int, FileFields]] = {}
    for file in files:
        widths = by_format.setdefault(file.format, {})
        other = widths.get(file.width)
        if other is None or file.bytes < other.bytes:
            widths[file.width] = file
    by_width = ([widths[width] for width in sorted(widths)] for widths in by_format.values())
    return sorted(by_width, key=lambda same: (-len(same), sum(file.bytes for file in same)))


def _smallest(files: Iterable[FileFields], key: str) -> str | None:
    of_key = [(file.bytes, file.hosted_url) for file in files if file.variant_key == key]
    return min(of_key)[1] if of_key else None
