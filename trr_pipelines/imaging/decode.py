"""From the bytes of a file to a picture: the authenticator that everything untrusted comes through.

Magic bytes first, then the header read by ourselves and the limits, then exactly one of Pillow's plugins, and every
way in which a decoder fails turned into one of our reasons. What colours mean is in `colour`, how a picture lies in
`orientation`, the structure of containers in `headers`, where Pillow errs in `quirks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from trr_pipelines.errors import MediaError, PermanentError, Reason
from trr_pipelines.imaging.colour import to_srgb
from trr_pipelines.imaging.direct_serving import reasons_not_to_serve
from trr_pipelines.imaging.formats import sniff
from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers import HeaderError, ends_too_soon, read_header
from trr_pipelines.imaging.headers.header import UPRIGHT
from trr_pipelines.imaging.orientation import oriented_size
from trr_pipelines.imaging.pillow_fixes import as_meant, bare_file, refuse_misread, release_decoder

MAX_BYTES = 50_000_000
MAX_PIXELS = 75_000_000
MAX_SIDE = 30_000

# Pillow's TIFF plugin and libheif turn the picture themselves while they load it.
_TURNED_BY_DECODER = {"tiff", "heic"}


@dataclass(frozen=True)
class SourceInfo:
    """What a file holds: `format` is a key of `formats.FILE_TYPES`, sides are in pixels as shown (oriented)."""

    format: str
    width: int
    height: int
    frames: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)


@dataclass(frozen=True)
class Picture:
    """The decoded first frame, still as it lies in the file.

    `image` is sRGB in mode L, RGB or RGBA. It may be reduced: one of its pixels covers `reduction` pixels of the
    source on each side, and its last row and column may cover fewer. `unfit` says why the file itself had better not
    be shown; see `fitness`.
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
    """Reads what a file's header says: a few microseconds, no decoder, no pixels.

    Raises:
        PermanentError: an empty or foreign file, one above a limit, or a header that makes no sense.
    """
    return _inspect(data)[0]


def decode(data: bytes, reduction: int = 1) -> Picture:
    """Decodes the first frame of `data`.

    Args:
        data: the whole file.
        reduction: by how much (1, 2, 4 or 8) the decoder may reduce the picture; only JPEG does, where it saves most
            of the inverse cosine transform.

    Raises:
        PermanentError: as `inspect`, and for pixels that are damaged or missing.
    """
    info, orientation = _inspect(data)
    bare = bare_file(info.format, data)
    with _reasons_for_failures(info.format, data):
        if info.format == "png":
            PngImagePlugin.PngImageFile(BytesIO(bare.data)).verify()  # checksums: loading skips those of the pixels
        file = _OPENERS[info.format](BytesIO(bare.data))
        # A decoder that sees another size than we did must not get around the limits.
        _check_size(Size(*file.size))
        reduction = _reduce(file, reduction) if info.format == "jpeg" else 1
        refuse_misread(file)
        file.load()
        release_decoder(file)
    profile = bare.profile or file.info.get("icc_profile")
    image, warnings, is_as_stored = to_srgb(as_meant(info.format, data, file), profile)
    shown = oriented_size(Size(*image.size), orientation)
    if reduction == 1 and shown != info.size:
        info = replace(info, width=shown.width, height=shown.height)
    image.info = {}  # else encoders copy comments and profiles from it
    warnings = bare.warnings + warnings
    unfit = reasons_not_to_serve(info.format, data, orientation=orientation, is_srgb=is_as_stored and not warnings)
    return Picture(image, info, orientation, reduction, warnings, unfit)


def _inspect(data: bytes) -> tuple[SourceInfo, int]:
    """What the header says, and the orientation that is left to us to apply."""
    image_format = sniff(data)
    if len(data) > MAX_BYTES:
        raise PermanentError(Reason.TOO_MANY_BYTES, f"{len(data):,} bytes, the limit is {MAX_BYTES:,}")
    try:
        header = read_header(image_format, data)
    except HeaderError as error:
        reason = Reason.TRUNCATED if ends_too_soon(image_format, data) else Reason.CORRUPT
        raise PermanentError(reason, f"{image_format}: {error}") from error
    _check_size(header.stored)
    shown = oriented_size(header.stored, header.orientation)
    orientation = UPRIGHT if image_format in _TURNED_BY_DECODER else header.orientation
    return SourceInfo(image_format, shown.width, shown.height, header.frames), orientation


def _check_size(size: Size) -> None:
    if size.width < 1 or size.height < 1:
        raise PermanentError(Reason.CORRUPT, f"{size.width} × {size.height} pixels")
    if max(size.width, size.height) > MAX_SIDE:
        raise PermanentError(Reason.SIDE_TOO_LONG, f"{size.width} × {size.height} pixels, the limit is {MAX_SIDE:,}")
    if size.pixels > MAX_PIXELS:
        raise PermanentError(Reason.TOO_MANY_PIXELS, f"{size.pixels:,} pixels, the limit is {MAX_PIXELS:,}")


def _reduce(image: ImageFile.ImageFile, largest: int) -> int:
    """Asks the JPEG decoder for the largest reduction up to `largest`; returns what it will do."""
    if largest <= 1:
        return 1
    stored = Size(*image.size)
    if image.draft(None, (stored.width // largest or 1, stored.height // largest or 1)) is None:
        return 1
    return next(by for by in (8, 4, 2, 1) if -(-stored.width // by) == image.width)


# How Pillow's plugins say that a file is whole but of a kind they do not read.
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
    """Decoders raise whatever damaged bytes lead them to: each becomes one of our reasons."""
    try:
        yield
    except MediaError:
        raise
    except MemoryError as error:
        raise PermanentError(
            Reason.DECODE_OOM, f"decoding this {image_format} takes more memory than allowed"
        ) from error
    except Exception as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        if "memory" in text.lower() and "limit" not in text.lower():  # a limit of libheif's is for damaged counts
            raise PermanentError(Reason.DECODE_OOM, text) from error
        if any(phrase in text for phrase in _UNSUPPORTED_PHRASES):
            raise PermanentError(Reason.UNSUPPORTED_FORMAT, f"this kind of {image_format}: {text}") from error
        is_short = isinstance(error, EOFError) or "truncated" in text.lower() or ends_too_soon(image_format, data)
        raise PermanentError(Reason.TRUNCATED if is_short else Reason.CORRUPT, text) from error


def _open_heic(file: BytesIO) -> ImageFile.ImageFile:
    from pillow_heif import HeifImageFile  # 60 ms that only the few HEIC files should cost

    image: ImageFile.ImageFile = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


_OPENERS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "heic": _open_heic,
}
