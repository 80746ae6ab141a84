"""Corrections for files that Pillow misreads, and removal of parts that it should not parse.

Each function names the error and the affected files. Those of TIFF are in `tiff_kinds`.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import AvifImagePlugin, Image, ImageFile, WebPImagePlugin

from trr_pipelines.imaging import tiff_kinds
from trr_pipelines.imaging.headers import base_media, gif, jpeg, png

NO_END_MARKER = "the end marker is missing; all pixels are present"


@dataclass(frozen=True)
class PreparedFile:
    """A file as Pillow should read it, its ICC profile if that was taken out, and warnings."""

    data: bytes
    profile: bytes | None
    warnings: tuple[str, ...] = ()


def prepared(image_format: str, data: bytes) -> PreparedFile:
    """The file for Pillow: JPEG and PNG without metadata that it would parse in Python or unpack, TIFF of its picture.

    Raises:
        HeaderError: a damaged header.
        PermanentError: `unsupported_format` for a kind of TIFF that Pillow misreads.
    """
    if image_format == "jpeg":
        return PreparedFile(*jpeg.bare(data))
    if image_format == "png":
        whole = png.with_end(data)
        stripped, profile, problem = png.bare(whole)
        warnings = (NO_END_MARKER,) if whole is not data else ()
        return PreparedFile(
            stripped, profile, (*warnings, *((f"colour profile ignored: {problem}",) if problem else ()))
        )
    if image_format == "tiff":
        return PreparedFile(tiff_kinds.readable(data), None)
    return PreparedFile(data, None)


def release_decoder(file: ImageFile.ImageFile) -> None:
    """Free the memory that the WebP and AVIF plugins keep after loading: 8 bytes per pixel for WebP."""
    if isinstance(file, WebPImagePlugin.WebPImageFile | AvifImagePlugin.AvifImageFile):
        file._decoder = None


def corrected(image_format: str, data: bytes, file: ImageFile.ImageFile) -> Image.Image:
    """The loaded picture, corrected where Pillow misreads the file."""
    if image_format == "png" and "transparency" in file.info:
        file.info["transparency"] = _eight_bit_key(file.info["transparency"], png.bit_depth(data))
    if image_format == "tiff":
        return tiff_kinds.corrected(data, file)
    if image_format == "avif" and (aperture := base_media.clean_aperture(data)):
        return file.crop(aperture)  # libavif leaves cropping to its caller
    if image_format == "gif":
        return _with_transparent_rest(file, gif.first_frame_box(data))
    return file


def _eight_bit_key(key: int | bytes | tuple[int, ...], depth: int) -> int | bytes | tuple[int, ...]:
    """PNG's transparent colour scaled to the decoded samples; Pillow keeps the scale of the file."""
    if isinstance(key, tuple):
        return tuple(value >> 8 for value in key) if depth == 16 else key
    if isinstance(key, int):
        return key * {2: 85, 4: 17}.get(depth, 1)
    return key


def _with_transparent_rest(file: ImageFile.ImageFile, box: tuple[int, int, int, int]) -> Image.Image:
    """The GIF's screen, transparent around its first picture, as browsers show it."""
    if box == (0, 0, *file.size):
        return file
    screen = Image.new("RGBA", file.size)
    screen.paste(file.convert("RGBA").crop(box), box)
    return screen
