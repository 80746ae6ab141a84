"""Formats by first bytes: accepted, unsupported, and not an image."""

from __future__ import annotations

import pytest

from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.imaging.formats import sniff

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize(
    ("start", "image_format"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\x89PNG\n\x1a\n", "png"),  # converted line ends: the decoder reports it as corrupt
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "bmp"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x18ftypavis\0\0\0\0avis", "avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "avif"),
        (HEIC, "heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic\0\0\0\0", "heic"),
    ],
)
def test_a_format_is_identified_by_its_first_bytes(start: bytes, image_format: str) -> None:
    assert sniff(start + bytes(64)) == image_format


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY_FILE),
        (b"\0", Reason.NOT_AN_IMAGE),
        (b"\xff\xd8", Reason.NOT_AN_IMAGE),
        (b"<!doctype html><svg></svg>", Reason.NOT_AN_IMAGE),
        (b"<html><body>404</body></html>", Reason.NOT_AN_IMAGE),
        (b"BM, said the text", Reason.NOT_AN_IMAGE),
        (b"%PDF-1.7", Reason.NOT_AN_IMAGE),
        (b"PK\x03\x04", Reason.NOT_AN_IMAGE),
        (b"RIFF\0\0\0\0WAVE", Reason.NOT_AN_IMAGE),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", Reason.NOT_AN_IMAGE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.UNSUPPORTED_FORMAT),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn --><svg/>", Reason.UNSUPPORTED_FORMAT),
        (b"%!PS-Adobe-3.0 EPSF-3.0", Reason.UNSUPPORTED_FORMAT),
        (b"8BPS\0\x01", Reason.UNSUPPORTED_FORMAT),
        (b"P6\n2 2\n255\n", Reason.UNSUPPORTED_FORMAT),
        (b"\0\0\x01\0\x01\0", Reason.UNSUPPORTED_FORMAT),
        (b"\xff\x0a\0", Reason.UNSUPPORTED_FORMAT),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1jpeg", Reason.UNSUPPORTED_FORMAT),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", Reason.UNSUPPORTED_FORMAT),
    ],
)
def test_everything_else_is_refused_with_its_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(PermanentError) as caught:
        sniff(data)
    assert caught.value.reason is reason
