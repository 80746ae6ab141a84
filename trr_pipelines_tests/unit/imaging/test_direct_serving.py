"""Reasons not to serve an original directly: orientation, colour, format and metadata."""

from __future__ import annotations

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from trr_pipelines.imaging.decode import decode
from trr_pipelines_tests import pictures

SCENE = pictures.photo(64, 48)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WIDE = pictures.icc_profile(pictures.DISPLAY_P3, 2.2)


def exif(orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = "a description"
    return tags


def commented_png() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "an author")
    return pictures.saved(SCENE, "PNG", pnginfo=text)


JPEG = pictures.saved(SCENE, "JPEG")
GIF = pictures.saved(SCENE.convert("P"), "GIF")
FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "jpeg": (JPEG, ()),
    "png": (pictures.saved(SCENE, "PNG"), ()),
    "png, transparent": (pictures.saved(Image.new("RGBA", (40, 30), (1, 2, 3, 99)), "PNG"), ()),
    "png, 16 bits": (pictures.saved(Image.new("I;16", (40, 30), 40_000), "PNG"), ()),
    "webp": (pictures.saved(SCENE, "WEBP"), ()),
    "webp, animated": (
        pictures.saved(SCENE, "WEBP", save_all=True, append_images=[pictures.photo(64, 48, seed=1)]),
        (),
    ),
    "gif": (GIF, ()),
    "gif, repeated": (
        pictures.saved(SCENE.convert("P"), "GIF", save_all=True, append_images=[Image.new("P", (64, 48))], loop=0),
        (),
    ),
    "avif": (pictures.saved(SCENE, "AVIF"), ()),
    "sRGB by profile": (pictures.saved(SCENE, "JPEG", icc_profile=SRGB), ()),
    "grey": (pictures.saved(SCENE.convert("L"), "JPEG"), ()),
    "tiff": (pictures.saved(SCENE, "TIFF"), ("format", "metadata")),
    "bmp": (pictures.saved(SCENE, "BMP"), ("format", "metadata")),
    "turned": (pictures.saved(SCENE, "JPEG", exif=exif(6)), ("orientation", "metadata")),
    "wide colours": (pictures.saved(SCENE, "PNG", icc_profile=WIDE), ("colour",)),
    "a profile of another kind": (pictures.saved(SCENE.convert("L"), "JPEG", icc_profile=WIDE), ("colour",)),
    "ink": (pictures.saved(SCENE.convert("CMYK"), "JPEG"), ("colour",)),
    "jpeg with EXIF": (pictures.saved(SCENE, "JPEG", exif=exif()), ("metadata",)),
    "jpeg with XMP": (pictures.saved(SCENE, "JPEG", xmp=b"<x/>"), ("metadata",)),
    "jpeg with a comment": (pictures.saved(SCENE, "JPEG", comment=b"a comment"), ("metadata",)),
    "jpeg with IPTC": (pictures.with_jpeg_segment(JPEG, 0xED, b"Photoshop 3.0\0"), ("metadata",)),
    "png with EXIF": (pictures.saved(SCENE, "PNG", exif=exif()), ("metadata",)),
    "png with a comment": (commented_png(), ("metadata",)),
    "webp with EXIF": (pictures.saved(SCENE, "WEBP", exif=exif()), ("metadata",)),
    "webp with XMP": (pictures.saved(SCENE, "WEBP", xmp=b"<x/>"), ("metadata",)),
    "gif with a comment": (pictures.saved(SCENE.convert("P"), "GIF", comment=b"a comment"), ("metadata",)),
    "avif with EXIF": (pictures.saved(SCENE, "AVIF", exif=exif()), ("metadata",)),
}


@pytest.mark.parametrize("name", FILES)
def test_reasons_not_to_serve_an_original(name: str) -> None:
    data, expected = FILES[name]
    assert decode(data).unfit == expected
