"""A frame in coordinates of the stored picture, for each of the eight orientations."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trr_pipelines.imaging.geometry import Frame, Size
from trr_pipelines.imaging.headers.tiff import exif_orientation
from trr_pipelines.imaging.orientation import oriented_image, oriented_size, stored_frame

EIGHT = range(1, 9)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


@pytest.mark.parametrize("orientation", EIGHT)
def test_a_frame_has_the_same_pixels_on_the_shown_and_the_stored_picture(orientation: int) -> None:
    stored = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7))
    shown = oriented_image(stored, orientation)
    frame = Frame(1, 2, 3, 2)

    at = stored_frame(frame, Size(*shown.size), orientation)
    cut = stored.crop((int(at.left), int(at.top), int(at.left + at.width), int(at.top + at.height)))

    assert oriented_image(cut, orientation).tobytes() == shown.crop((1, 2, 4, 4)).tobytes()


@pytest.mark.parametrize("orientation", EIGHT)
def test_a_size_turned_twice_is_itself(orientation: int) -> None:
    size = Size(7, 5)
    shown = oriented_image(Image.new("L", (7, 5)), orientation)

    assert oriented_size(size, orientation) == Size(*shown.size)
    assert oriented_size(oriented_size(size, orientation), orientation) == size


@pytest.mark.parametrize("orientation", EIGHT)
def test_the_tag_is_read(orientation: int) -> None:
    assert exif_orientation(exif(orientation)) == orientation


@pytest.mark.parametrize(
    "data",
    [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", exif(0), exif(9), exif(6)[:14], b"nonsense"],
)
def test_a_tag_that_is_missing_broken_or_out_of_range_means_upright(data: bytes) -> None:
    assert exif_orientation(data) == 1
