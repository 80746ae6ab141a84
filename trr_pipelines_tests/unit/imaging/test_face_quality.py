"""Quality of pictures for learning faces."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image, ImageFilter

from trr_pipelines.imaging.face_quality import PREVIEW_SIDE, examine
from trr_pipelines_tests.drawn_faces import crowd


def webp(picture: Image.Image) -> bytes:
    encoded = BytesIO()
    picture.save(encoded, "WEBP", quality=90)
    return encoded.getvalue()


def test_one_face_is_counted_and_measured_and_shown_alone() -> None:
    portrait = examine(webp(crowd(512, 384, [(140, 60, 240)])))
    assert portrait.faces == 1
    assert portrait.face_share == pytest.approx(240 * 0.75 / 512, rel=0.15)
    preview = Image.open(BytesIO(portrait.preview))
    assert max(preview.size) == PREVIEW_SIDE
    assert preview.width == pytest.approx(preview.height, abs=10)


def test_several_faces_are_counted_and_the_whole_picture_is_shown() -> None:
    portrait = examine(webp(crowd(512, 384, [(10, 60, 200), (280, 80, 200)])))
    assert portrait.faces == 2
    assert Image.open(BytesIO(portrait.preview)).size == (PREVIEW_SIDE, 72)


def test_a_picture_without_a_face_has_none() -> None:
    portrait = examine(webp(Image.new("RGB", (300, 400), (90, 120, 90))))
    assert (portrait.faces, portrait.face_share, portrait.sharpness) == (0, 0.0, 0.0)


def test_blur_lowers_sharpness_of_the_face() -> None:
    picture = crowd(512, 384, [(140, 60, 240)]).filter(ImageFilter.UnsharpMask(radius=2, percent=300))
    sharp, soft = (examine(webp(one)).sharpness for one in (picture, picture.filter(ImageFilter.GaussianBlur(4))))
    assert soft < sharp / 2


@pytest.mark.parametrize("size", [(1, 1), (2, 400), (400, 2), (3, 3)])
def test_tiny_pictures_can_be_measured(size: tuple[int, int]) -> None:
    assert examine(webp(Image.new("RGB", size, (10, 20, 30)))).faces == 0
