"""Corrections for files that Pillow misreads, and removal of parts that it should not parse.

Each function names the error and the affected files.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import AvifImagePlugin, Image, ImageFile, TiffImagePlugin, WebPImagePlugin

from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.imaging.headers import base_media, gif, jpeg, png

NO_END_MARKER = "the end marker is missing; all pixels are present"

_BITS_PER_SAMPLE, _COMPRESSION, _SAMPLES_PER_PIXEL, _PLANAR_CONFIGURATION, _COLOUR_MAP = 258, 259, 277, 284, 320


@dataclass(frozen=True)
class BareFile:
    """A file without metadata, its ICC profile, and warnings."""

    data: bytes
    profile: bytes | None
    warnings: tuple[str, ...] = ()


def without_metadata(image_format: str, data: bytes) -> BareFile:
    """The file without metadata that Pillow would parse in Python or unpack; only JPEG and PNG are changed."""
    if image_format == "jpeg":
        return BareFile(*jpeg.bare(data))
    if image_format == "png":
        whole = png.with_end(data)
        stripped, profile, problem = png.bare(whole)
        warnings = (NO_END_MARKER,) if whole is not data else ()
        return BareFile(stripped, profile, (*warnings, *((f"colour profile ignored: {problem}",) if problem else ())))
    return BareFile(data, None)


def refuse_misread(file: ImageFile.ImageFile) -> None:
    """Refuse TIFFs with separate planes that Pillow misreads: no picture is better than a wrong one.

    Affected are grey with alpha, and uncompressed samples of other than 8 bits; all others go through libtiff.

    Raises:
        PermanentError: `unsupported_format`.
    """
    if not isinstance(file, TiffImagePlugin.TiffImageFile):
        return
    is_apart = file.tag_v2.get(_PLANAR_CONFIGURATION) == 2 and file.tag_v2.get(_SAMPLES_PER_PIXEL, 1) > 1
    is_plain = file.tag_v2.get(_COMPRESSION, 1) == 1 and max(file.tag_v2.get(_BITS_PER_SAMPLE, (1,))) != 8
    if is_apart and (is_plain or file.mode in ("LA", "La")):
        raise PermanentError(Reason.UNSUPPORTED_FORMAT, f"this kind of tiff: {file.mode} in separate planes")


def release_decoder(file: ImageFile.ImageFile) -> None:
    """Free the memory that the WebP and AVIF plugins keep after loading: 8 bytes per pixel for WebP."""
    if isinstance(file, WebPImagePlugin.WebPImageFile | AvifImagePlugin.AvifImageFile):
        file._decoder = None


def corrected(image_format: str, data: bytes, file: ImageFile.ImageFile) -> Image.Image:
    """The loaded picture, corrected where Pillow misreads the file."""
    if image_format == "png" and "transparency" in file.info:
        file.info["transparency"] = _eight_bit_key(file.info["transparency"], png.bit_depth(data))
    if isinstance(file, TiffImagePlugin.TiffImageFile) and file.mode == "P":
        _correct_palette(file)
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


def _correct_palette(file: TiffImagePlugin.TiffImageFile) -> None:
    """TIFF palettes have 16 bits per colour; some writers use 8, which Pillow reads as nearly black."""
    colours = file.tag_v2.get(_COLOUR_MAP, ())
    if colours and max(colours) < 256:
        third = len(colours) // 3
        channels = (colours[start : start + third] for start in (0, third, 2 * third))
        file.putpalette(bytes(value for entry in zip(*channels, strict=True) for value in entry))


def _with_transparent_rest(file: ImageFile.ImageFile, box: tuple[int, int, int, int]) -> Image.Image:
    """The GIF's screen, transparent around its first picture, as browsers show it."""
    if box == (0, 0, *file.size):
        return file
    screen = Image.new("RGBA", file.size)
    screen.paste(file.convert("RGBA").crop(box), box)
    return screen
