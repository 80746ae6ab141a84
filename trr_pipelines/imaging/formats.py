"""The accepted image formats, identified by a file's first bytes, and their extensions and content types.

File names and content types of responses are never trusted. Sizes and pixels are read elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from trr_pipelines.errors import PermanentError, Reason


@dataclass(frozen=True)
class FileType:
    """The extension and content type of a format."""

    extension: str
    content_type: str


FILE_TYPES = {
    "jpeg": FileType("jpg", "image/jpeg"),
    "png": FileType("png", "image/png"),
    "webp": FileType("webp", "image/webp"),
    "gif": FileType("gif", "image/gif"),
    "avif": FileType("avif", "image/avif"),
    "tiff": FileType("tiff", "image/tiff"),
    "bmp": FileType("bmp", "image/bmp"),
    "heic": FileType("heic", "image/heic"),
}
"""Every format that is decoded; those we write are a subset."""

ON_WHITE = "jpeg_on_white"
"""A transparent picture as JPEG, on white: for readers of the application that know no PNG, never for our galleries."""

WRITTEN_TYPES = {**FILE_TYPES, ON_WHITE: FILE_TYPES["jpeg"]}
"""Every format of a variant."""

# Text-mode transfers damage PNG's signature after the fourth byte; the decoder then reports the file as corrupt.
_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)

_BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_OTHER_STILL_BRANDS = {b"mif1", b"mif2", b"msf1", b"miaf", b"crx ", b"jp2 ", b"jpx ", b"jxl ", b"avci", b"vvic"}

# Known formats that are not accepted, so that the message can name them.
_UNSUPPORTED = (
    (b"8BPS", "Photoshop"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x02\x00", "CUR"),
    (b"icns", "ICNS"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"gimp xcf", "XCF"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x01\xda", "SGI"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
    (b"\x8aMNG", "MNG"),
    (b"\x8bJNG", "JNG"),
    (b"FUJIFILMCCD-RAW", "Fujifilm raw"),
    (b"IIRO", "Olympus raw"),
    (b"IIRS", "Olympus raw"),
    (b"MMOR", "Olympus raw"),
    (b"II\x1a\x00\x00\x00HEAP", "Canon raw"),
    (b"\x00MRM", "Minolta raw"),
    (b"FOVb", "Sigma raw"),
    (b"IIU\x00", "Panasonic raw"),
    (b"FORM", "IFF"),
    (b"AT&TFORM", "DjVu"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"/* XPM */", "XPM"),
    (b"SIMPLE  =", "FITS"),
    (b"BPG\xfb", "BPG"),
    (b"farbfeld", "farbfeld"),
)


def sniff(data: bytes) -> str:
    """The format of `data`, a key of `FILE_TYPES`.

    Raises:
        PermanentError: `empty_file`, `unsupported_format` for an image of another format, or `not_an_image`.
    """
    if not data:
        raise PermanentError(Reason.EMPTY_FILE, "the file has 0 bytes")
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith(b"BM") and len(data) >= 18 and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if data[4:8] == b"ftyp":
        return _sniff_base_media(data)
    for signature, name in _UNSUPPORTED:
        if data.startswith(signature):
            raise PermanentError(Reason.UNSUPPORTED_FORMAT, f"{name} is not supported")
    if _is_svg(data):
        raise PermanentError(Reason.UNSUPPORTED_FORMAT, "SVG is not supported")
    if _is_portable_anymap(data):
        raise PermanentError(Reason.UNSUPPORTED_FORMAT, "PNM is not supported")
    raise PermanentError(Reason.NOT_AN_IMAGE, f"no image format starts with {data[:8].hex(' ')}")


def _sniff_base_media(data: bytes) -> str:
    """AVIF and HEIC share ISO's base media container with video; the brands identify them."""
    end = min(int.from_bytes(data[:4], "big"), len(data), 4096)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    major = brands[0]
    if major in _AVIF_BRANDS:
        return "avif"
    if major in _HEIC_BRANDS:
        return "heic"
    if major in _OTHER_STILL_BRANDS:
        if _AVIF_BRANDS.intersection(brands):
            return "avif"
        if _HEIC_BRANDS.intersection(brands):
            return "heic"
        raise PermanentError(Reason.UNSUPPORTED_FORMAT, f"container brand {major!r} is not supported")
    raise PermanentError(Reason.NOT_AN_IMAGE, f"container brand {major!r} is not a still image")


def _is_svg(data: bytes) -> bool:
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in start)


def _is_portable_anymap(data: bytes) -> bool:
    return len(data) > 2 and data[:1] == b"P" and data[1:2] in b"1234567fF" and data[2:3] in b" \t\r\n"
