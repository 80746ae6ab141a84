"""The kinds of TIFF (samples, colours, planes, compression) that Pillow misreads: refused by name, or corrected.

Pillow refuses most kinds that it does not know. Those that it knows were compared with the values written, one by one;
the test of this module repeats that.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.imaging.headers import tiff

_BITS_TAG, _COMPRESSION_TAG, _FILL_ORDER_TAG, _SAMPLES_TAG = 258, 259, 266, 277
_PLANAR_TAG, _COLOUR_MAP_TAG, _INK_SET_TAG, _EXTRA_TAG, _FORMAT_TAG, _INDEXED_TAG = 284, 320, 332, 338, 339, 346
_COEFFICIENTS_TAG, _SUBSAMPLING_TAG, _REFERENCE_TAG = 529, 530, 532

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_NAME_OF_FORMAT = {_UNSIGNED: "unsigned", _SIGNED: "signed", _FLOAT: "floating"}
_UNCOMPRESSED = 1
# CCITT (2, 3, 4), LZW, JPEG (6, 7), deflate (8, 32946), PackBits, LZMA, Zstandard: what Pillow's libtiff is built with.
_COMPRESSIONS = {_UNCOMPRESSED, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000}
_CMYK_INKS = 1
_ONE_PLANE, _SEPARATE_PLANES = 1, 2

_REC_601 = (0.299, 0.587, 0.114)
_FULL_RANGE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)

_COLOURS = {_RGB: 3, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_MOST_SAMPLES = 64


@dataclass(frozen=True)
class _Kind:
    """The tags of a directory that say how its samples are stored, with TIFF's defaults."""

    directory: tiff.Directory

    @property
    def is_big_endian(self) -> bool:
        return self.directory.order == ">"

    @property
    def photometric(self) -> int:
        return self.directory.value(tiff.PHOTOMETRIC_TAG, _WHITE_IS_ZERO)

    @property
    def bits(self) -> int:
        return max(self.directory.values(_BITS_TAG, _MOST_SAMPLES), default=1)

    @property
    def sample_format(self) -> int:
        return self.directory.value(_FORMAT_TAG, _UNSIGNED)

    @property
    def compression(self) -> int:
        return self.directory.value(_COMPRESSION_TAG, _UNCOMPRESSED)

    @property
    def samples(self) -> int:
        return self.directory.value(_SAMPLES_TAG, 1)

    @property
    def extra(self) -> tuple[int, ...]:
        """The declared meaning of samples after the colours: 0 unspecified, 1 premultiplied alpha, 2 straight alpha."""
        return self.directory.values(_EXTRA_TAG, _MOST_SAMPLES)

    @property
    def is_planar(self) -> bool:
        return self.directory.value(_PLANAR_TAG, _ONE_PLANE) == _SEPARATE_PLANES and self.samples > 1

    @property
    def description(self) -> str:
        name = _NAME_OF_FORMAT.get(self.sample_format, f"format {self.sample_format}")
        order = "big" if self.is_big_endian else "little"
        bits = "/".join(str(bits) for bits in dict.fromkeys(self.directory.values(_BITS_TAG, _MOST_SAMPLES))) or "1"
        return (
            f"{self.samples} × {bits}-bit {name} samples, photometric {self.photometric}, "
            f"extra samples {self.extra or 'none'}, {order}-endian"
        )

    @property
    def has_white_at_zero(self) -> bool:
        """Whether it is 16-bit grey with white at zero, which Pillow does not invert."""
        return self.photometric == _WHITE_IS_ZERO and self.bits == 16


def opened(file: BytesIO) -> ImageFile.ImageFile:
    """The opened file.

    Raises:
        PermanentError: `unsupported_format` for a kind that Pillow does not know, with its tags.
    """
    try:
        return TiffImagePlugin.TiffImageFile(file)
    except SyntaxError as error:
        if "unknown pixel mode" not in str(error):
            raise
        kind = _Kind(tiff.first_directory(file.getvalue()))
        raise PermanentError(Reason.UNSUPPORTED_FORMAT, f"this kind of tiff: {kind.description}") from error


def readable(data: bytes) -> bytes:
    """The file for Pillow: its header points at the picture, and tags that Pillow misreads have other values.

    Grey with white at zero is marked as black at zero, and a single plane as such; `corrected` inverts the former.

    Raises:
        HeaderError: a damaged header.
        PermanentError: `unsupported_format` for a kind that Pillow misreads: no picture is better than a wrong one.
    """
    kind = _Kind(tiff.picture_directory(data))
    if problem := _problem(kind):
        raise PermanentError(Reason.UNSUPPORTED_FORMAT, f"this kind of tiff: {problem}")
    replaced = {}
    if kind.has_white_at_zero and kind.directory.values(tiff.PHOTOMETRIC_TAG, 1):
        replaced[tiff.PHOTOMETRIC_TAG] = _BLACK_IS_ZERO
    if kind.samples == 1 and kind.directory.value(_PLANAR_TAG, _ONE_PLANE) == _SEPARATE_PLANES:
        replaced[_PLANAR_TAG] = _ONE_PLANE
    if not replaced and kind.directory.at == tiff.first_directory(data).at:
        return data
    return tiff.as_first(kind.directory, replaced)


def corrected(data: bytes, file: ImageFile.ImageFile) -> Image.Image:
    """The loaded picture of `data`, the whole file, corrected where Pillow misreads the samples."""
    kind = _Kind(tiff.picture_directory(data))
    if file.mode == "P":
        _correct_palette(kind, file)
    if kind.bits == 12:
        samples = np.asarray(file).astype(np.uint16)
        return Image.fromarray(samples << 4 | samples >> 8)  # Pillow does not scale them to 16 bits
    if kind.has_white_at_zero:
        return Image.fromarray(~np.asarray(file).astype(np.uint16))
    if file.mode == "I":
        return _without_sign(kind, file)
    return file


def _problem(kind: _Kind) -> str | None:
    """Why Pillow cannot read this kind, or misreads it; None if it does not."""
    if kind.is_big_endian and kind.directory.is_big:
        return "big-endian BigTIFF"
    if kind.compression not in _COMPRESSIONS:
        return f"compression {kind.compression}"
    if kind.sample_format == _SIGNED and kind.bits == 8:
        return "signed 8-bit samples"
    if kind.photometric == _WHITE_IS_ZERO and (kind.bits > 16 or kind.sample_format != _UNSIGNED):
        return f"{kind.bits}-bit {_NAME_OF_FORMAT.get(kind.sample_format, 'other')} samples with white at zero"
    if kind.photometric != _PALETTE and kind.directory.value(_INDEXED_TAG, 0) == 1:
        return "a palette of another colour model than RGB"
    if kind.photometric == _CMYK and kind.directory.value(_INK_SET_TAG, _CMYK_INKS) != _CMYK_INKS:
        return "inks other than CMYK"
    is_compressed = kind.compression != _UNCOMPRESSED
    if is_compressed and kind.is_big_endian and kind.sample_format in (_SIGNED, _FLOAT):
        return "compressed big-endian signed or floating samples"
    if not is_compressed and kind.photometric == _YCBCR:
        return _problem_of_stored_ycbcr(kind)
    return _problem_of_planes(kind) if kind.is_planar else None


def _problem_of_planes(kind: _Kind) -> str | None:
    colours = _COLOURS.get(kind.photometric, 1)
    if kind.photometric == _LAB:
        return "Lab in separate planes"
    if kind.photometric == _YCBCR and kind.samples > colours:
        return "YCbCr and other samples in separate planes"
    if kind.samples != colours + len(kind.extra):
        return f"{kind.samples} separate planes, of which {colours + len(kind.extra)} have a meaning"
    if colours == 1 and max(kind.extra, default=0) > 0:
        return "grey or palette with alpha in separate planes"
    if kind.compression == _UNCOMPRESSED:
        if kind.bits != 8:
            return f"uncompressed {kind.bits}-bit samples in separate planes"
        if kind.directory.value(_FILL_ORDER_TAG, 1) != 1:
            return "uncompressed separate planes with reversed bits"
        if kind.extra and max(kind.extra) == 0:
            return "uncompressed separate planes of which some are unspecified"
    return None


def _problem_of_stored_ycbcr(kind: _Kind) -> str | None:
    """Pillow takes one triple of full range per pixel and the coefficients of Rec. 601, whatever the tags say."""
    if kind.is_planar:
        return "YCbCr in separate planes"
    if kind.directory.values(_SUBSAMPLING_TAG, 2) != (1, 1):
        return "uncompressed YCbCr with reduced chroma"
    for tag, usual in ((_COEFFICIENTS_TAG, _REC_601), (_REFERENCE_TAG, _FULL_RANGE)):
        if tag in kind.directory and kind.directory.rationals(tag, len(usual)) != usual:
            return "uncompressed YCbCr with other coefficients or range than usual"
    return None


def _without_sign(kind: _Kind, file: ImageFile.ImageFile) -> Image.Image:
    """32-bit samples, which Pillow reads as signed: negative ones of unsigned files are large, others are black."""
    samples = np.asarray(file)
    if samples.min(initial=0) >= 0:
        return file
    if kind.sample_format == _SIGNED:
        return Image.fromarray(np.maximum(samples, 0))
    return Image.fromarray((samples.view(np.uint32) >> 16).astype(np.uint16))


def _correct_palette(kind: _Kind, file: ImageFile.ImageFile) -> None:
    """TIFF palettes have 16 bits per colour; some writers use 8, which Pillow reads as nearly black."""
    colours = kind.directory.values(_COLOUR_MAP_TAG, 3 << 8)
    if colours and max(colours) < 256:
        third = len(colours) // 3
        channels = (colours[start : start + third] for start in (0, third, 2 * third))
        file.putpalette(bytes(value for entry in zip(*channels, strict=True) for value in entry))
