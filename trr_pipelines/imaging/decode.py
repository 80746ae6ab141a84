"""Decoding the bytes of a file: the only way in for untrusted images.

Magic bytes first, then our own header reader and the limits, then exactly one of Pillow's plugins, with every failure
of a decoder mapped to a reason code. Colour is handled in `colour`, orientation in `orientation`, containers in
`headers`, errors of Pillow in `pillow_fixes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from trr_pipelines.errors import MediaError, PermanentError, Reason
from trr_pipelines.imaging import headers, tiff_kinds
from trr_pipelines.imaging.colour import to_srgb
from trr_pipelines.imaging.colour_signals import source_colour
from trr_pipelines.imaging.deep import deep_picture
from trr_pipelines.imaging.direct_serving import reasons_not_to_serve
from trr_pipelines.imaging.formats import sniff
from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers import HeaderError, is_truncated, read_header
from trr_pipelines.imaging.headers.header import UPRIGHT
from trr_pipelines.imaging.jpeg_pixels import load_pixels
from trr_pipelines.imaging.orientation import oriented_size
from trr_pipelines.imaging.pillow_fixes import corrected, prepared, release_decoder

MAX_BYTES = 50_000_000
MAX_PIXELS = 75_000_000
MAX_SIDE = 30_000

# Pillow's TIFF plugin and libheif apply the orientation while they load the picture.
_ORIENTED_BY_DECODER = {"tiff", "heic"}


@dataclass(frozen=True)
class SourceInfo:
    """A file's header: `format` is a key of `formats.FILE_TYPES`, sides are in pixels as shown (oriented)."""

    format: str
    width: int
    height: int
    frames: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)


@dataclass(frozen=True)
class Picture:
    """The decoded first frame in its stored orientation.

    `image` is sRGB in mode L, RGB or RGBA. It may be reduced: one of its pixels covers `reduction` pixels of the
    source on each side, and its last row and column may cover fewer. `unfit` lists the reasons not to serve the
    original directly; see `direct_serving`.
    """

    image: Image.Image
    info: SourceInfo
    orientation: int
    reduction: int
    warnings: tuple[str, ...]
    unfit: tuple[str, ...]

    @property
    def is_transparent(self) -> bool:
        return self.image.mode == "RGBA"


def inspect(data: bytes) -> SourceInfo:
    """Read the header of a file, in microseconds and without a decoder.

    Raises:
        PermanentError: an empty file, one of another format, one above a limit, or an invalid header.
    """
    return _inspect(data)[0]


def decode(data: bytes, reduction: int = 1) -> Picture:
    """Decode the first frame of `data`.

    Args:
        data: the whole file.
        reduction: the factor (1, 2, 4 or 8) by which the decoder may reduce the picture; only JPEG does, which saves
            most of the inverse cosine transform.

    Raises:
        PermanentError: as `inspect`, and for damaged or missing pixels.
    """
    info, orientation = _inspect(data)
    with _reasons_for_failures(info.format, data):
        bare = prepared(info.format, data)
        if info.format == "png":
            PngImagePlugin.PngImageFile(BytesIO(bare.data)).verify()  # checksums: loading skips those of pixel chunks
        file = _OPENERS[info.format](BytesIO(bare.data))
        # The limits also hold if the decoder finds another size than our header reader.
        _check_size(Size(*file.size))
        reduction = _reduce(file, reduction) if info.format == "jpeg" else 1
        loaded, damage = _load(info.format, file, data, bare.data)
        release_decoder(file)
    colour = source_colour(info.format, data, bare.profile or file.info.get("icc_profile"))
    deep = partial(deep_picture, info.format, bare.data, file)
    image, warnings, is_as_stored = to_srgb(loaded, colour.profile, colour.signal, deep)
    shown = oriented_size(Size(*image.size), orientation)
    if reduction == 1 and shown != info.size:
        info = replace(info, width=shown.width, height=shown.height)
    image.info = {}  # encoders would copy comments and profiles from it
    warnings = bare.warnings + damage + colour.warnings + warnings
    unfit = reasons_not_to_serve(info.format, data, orientation=orientation, is_srgb=is_as_stored and not warnings)
    warnings += headers.warnings(info.format, data)
    return Picture(image, info, orientation, reduction, warnings, unfit)


def _load(
    image_format: str, file: ImageFile.ImageFile, data: bytes, bare: bytes
) -> tuple[Image.Image, tuple[str, ...]]:
    """The pixels of an opened file, and warnings about damage that its decoder tolerates."""
    if image_format == "jpeg":
        pixels = load_pixels(file, bare)
        return pixels.image, pixels.warnings
    file.load()
    return corrected(image_format, data, file), ()


def _inspect(data: bytes) -> tuple[SourceInfo, int]:
    """The header, and the orientation that remains to be applied after decoding."""
    image_format = sniff(data)
    if len(data) > MAX_BYTES:
        raise PermanentError(Reason.TOO_MANY_BYTES, f"{len(data):,} bytes, the limit is {MAX_BYTES:,}")
    try:
        header = read_header(image_format, data)
    except HeaderError as error:
        reason = Reason.TRUNCATED if is_truncated(image_format, data) else Reason.CORRUPT
        raise PermanentError(reason, f"{image_format}: {error}") from error
    _check_size(header.stored)
    shown = oriented_size(header.stored, header.orientation)
    orientation = UPRIGHT if image_format in _ORIENTED_BY_DECODER else header.orientation
    frames = min(header.frames, len(data))  # a header may claim four billion, but each takes a byte
    return SourceInfo(image_format, shown.width, shown.height, frames), orientation


def _check_size(size: Size) -> None:
    if size.width < 1 or size.height < 1:
        raise PermanentError(Reason.CORRUPT, f"{size.width} × {size.height} pixels")
    if max(size.width, size.height) > MAX_SIDE:
        raise PermanentError(Reason.SIDE_TOO_LONG, f"{size.width} × {size.height} pixels, the limit is {MAX_SIDE:,}")
    if size.pixels > MAX_PIXELS:
        raise PermanentError(Reason.TOO_MANY_PIXELS, f"{size.pixels:,} pixels, the limit is {MAX_PIXELS:,}")


def _reduce(image: ImageFile.ImageFile, largest: int) -> int:
    """Request the largest reduction up to `largest` from the JPEG decoder; return the actual one."""
    if largest <= 1:
        return 1
    stored = Size(*image.size)
    if image.draft(None, (stored.width // largest or 1, stored.height // largest or 1)) is None:
        return 1
    return next(by for by in (8, 4, 2, 1) if -(-stored.width // by) == image.width)


# Messages of Pillow's plugins for valid files of a kind they do not support.
_UNSUPPORTED_PHRASES = (
    "unknown pixel mode",
    "unknown data organization",
    "unknown raw mode",
    "cannot handle",
    "Unsupported",
    "not implemented",
)


@contextmanager
def _reasons_for_failures(image_format: str, data: bytes) -> Iterator[None]:
    """Map every exception of a decoder to a reason code: damaged bytes can cause any."""
    try:
        yield
    except MediaError:
        raise
    except MemoryError as error:
        raise PermanentError(
            Reason.DECODE_OOM, f"decoding this {image_format} needs more memory than allowed"
        ) from error
    except Exception as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        if "memory" in text.lower() and "limit" not in text.lower():  # libheif's limits are hit by damaged counts
            raise PermanentError(Reason.DECODE_OOM, text) from error
        if any(phrase in text for phrase in _UNSUPPORTED_PHRASES):
            raise PermanentError(Reason.UNSUPPORTED_FORMAT, f"this kind of {image_format}: {text}") from error
        is_short = isinstance(error, EOFError) or "truncated" in text.lower() or is_truncated(image_format, data)
        raise PermanentError(Reason.TRUNCATED if is_short else Reason.CORRUPT, text) from error


def _open_heic(file: BytesIO) -> ImageFile.ImageFile:
    from pillow_heif import HeifImageFile  # takes 60 ms, so only for HEIC

    image: ImageFile.ImageFile = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


_OPENERS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "tiff": tiff_kinds.opened,
    "bmp": BmpImagePlugin.BmpImageFile,
    "heic": _open_heic,
}
