"""From the bytes of a file to a picture: the door that everything untrusted comes through.

Magic bytes first, then exactly one of Pillow's plugins, limits before allocation, and every way in which a decoder
fails turned into one of our reasons. What colours mean is in `colour`, how a picture lies in `orientation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from trr_pipelines.imaging import headers
from trr_pipelines.imaging.colour import to_srgb
from trr_pipelines.imaging.formats import sniff
from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.orientation import UPRIGHT, orientation_of, oriented_size

MAX_BYTES = 50_000_000
MAX_PIXELS = 75_000_000
MAX_SIDE = 30_000


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
    source on each side, and its last row and column may cover fewer.
    """

    image: Image.Image
    info: SourceInfo
    orientation: int
    reduction: int
    warnings: tuple[str, ...]

    @property
    def is_transparent(self) -> bool:
        return self.image.mode == "RGBA"


@dataclass(frozen=True)
class _Opened:
    image: ImageFile.ImageFile
    info: SourceInfo
    orientation: int


def inspect(data: bytes) -> SourceInfo:
    """Reads what a file's header says, without decoding or allocating pixels.

    Raises:
        PermanentError: an empty or foreign file, one above a limit, or a header that makes no sense.
    """
    kind = sniff(data)
    with _reasons_for_failures(kind, data):
        return _open(kind, data).info


def decode(data: bytes, largest_reduction: Callable[[Size], int] = lambda _: 1) -> Picture:
    """Decodes the first frame of `data`.

    Args:
        data: the whole file.
        largest_reduction: told the size as shown, says by how much (1, 2, 4 or 8) the decoder may reduce it; only
            JPEG does, where it saves most of the inverse cosine transform.

    Raises:
        PermanentError: as `inspect`, and for pixels that are damaged or missing.
    """
    kind = sniff(data)
    with _reasons_for_failures(kind, data):
        _verify(kind, data)
        opened = _open(kind, data)
        reduction = _reduce(opened.image, largest_reduction(opened.info.size)) if kind == "jpeg" else 1
        opened.image.load()
        profile = opened.image.info.get("icc_profile")
        image, warnings = to_srgb(opened.image, profile)
        image.info = {}  # else encoders copy comments and profiles from it
        return Picture(image, opened.info, opened.orientation, reduction, warnings)


def _open(kind: str, data: bytes) -> _Opened:
    if len(data) > MAX_BYTES:
        raise PermanentError(Reason.TOO_MANY_BYTES, f"{len(data):,} bytes, the limit is {MAX_BYTES:,}")
    if kind == "webp" and (canvas := headers.webp_size(data)):
        _check_size(canvas)
    image = _OPENERS[kind](BytesIO(data))
    stored = Size(*image.size)
    _check_size(stored)
    # Pillow's TIFF plugin turns the picture itself while loading, and says the turned size at once.
    orientation = UPRIGHT if kind == "tiff" else orientation_of(image.info.get("exif"))
    shown = oriented_size(stored, orientation)
    return _Opened(image, SourceInfo(kind, shown.width, shown.height, _frames(kind, data, image)), orientation)


def _check_size(size: Size) -> None:
    if size.width < 1 or size.height < 1:
        raise PermanentError(Reason.CORRUPT, f"{size.width} × {size.height} pixels")
    if max(size.width, size.height) > MAX_SIDE:
        raise PermanentError(Reason.SIDE_TOO_LONG, f"{size.width} × {size.height} pixels, the limit is {MAX_SIDE:,}")
    if size.pixels > MAX_PIXELS:
        raise PermanentError(Reason.TOO_MANY_PIXELS, f"{size.pixels:,} pixels, the limit is {MAX_PIXELS:,}")


def _frames(kind: str, data: bytes, image: ImageFile.ImageFile) -> int:
    if kind == "gif":
        return headers.gif_frames(data)
    if kind == "tiff":
        return headers.tiff_pages(data)
    return int(getattr(image, "n_frames", 1))


def _verify(kind: str, data: bytes) -> None:
    """PNG's checksums: loading skips those of the pixel data."""
    if kind == "png":
        PngImagePlugin.PngImageFile(BytesIO(data)).verify()


def _reduce(image: ImageFile.ImageFile, largest: int) -> int:
    """Asks the JPEG decoder for the largest reduction up to `largest`; returns what it will do."""
    if largest <= 1 or not isinstance(image, JpegImagePlugin.JpegImageFile):
        return 1
    stored = Size(*image.size)
    if image.draft(None, (stored.width // largest or 1, stored.height // largest or 1)) is None:
        return 1
    return next(by for by in (8, 4, 2, 1) if -(-stored.width // by) == image.width)


@contextmanager
def _reasons_for_failures(kind: str, data: bytes) -> Iterator[None]:
    """Decoders raise whatever damaged bytes lead them to: each becomes one of our reasons."""
    try:
        yield
    except MediaError:
        raise
    except MemoryError as error:
        raise PermanentError(Reason.DECODE_OOM, f"decoding this {kind} takes more memory than allowed") from error
    except Exception as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        if "memory" in text.lower():
            raise PermanentError(Reason.DECODE_OOM, text) from error
        is_short = isinstance(error, EOFError) or "truncated" in text.lower() or headers.ends_too_soon(data, kind)
        raise PermanentError(Reason.TRUNCATED if is_short else Reason.CORRUPT, text) from error


def _open_heic(file: BytesIO) -> ImageFile.ImageFile:
    from pillow_heif import HeifImageFile  # 60 ms that only the few HEIC files should cost

    image: ImageFile.ImageFile = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


_OPENERS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.jpeg_factory,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "heic": _open_heic,
}
