"""Face detection: positions, sizes, numbers, and no false faces."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from trr_pipelines.imaging.faces import Face, find_faces
from trr_pipelines_tests import pictures
from trr_pipelines_tests.drawn_faces import crowd


def middles(faces: list[Face]) -> list[tuple[int, int]]:
    return [(round(face.left + face.side / 2), round(face.top + face.side / 2)) for face in faces]


@pytest.mark.parametrize("side", [70, 100, 200, 400])
@pytest.mark.parametrize("corner", [(0, 0), (60, 40), (240, 80)])
def test_a_face_is_found_at_its_place_and_size(corner: tuple[int, int], side: int) -> None:
    left, top = corner
    faces = find_faces(crowd(640, 480, [(left, top, side)]).convert("L"))
    assert len(faces) == 1
    assert faces[0].side == pytest.approx(side * 0.75, rel=0.12)
    assert middles(faces)[0] == pytest.approx((left + side * 0.5, top + side * 0.53), abs=side * 0.06)


def test_several_faces_are_sorted_by_size() -> None:
    faces = find_faces(crowd(640, 480, [(10, 20, 90), (200, 100, 300), (510, 30, 120)]).convert("L"))
    assert [middle[0] for middle in middles(faces)] == pytest.approx([350, 570, 55], abs=15)


def test_a_face_is_found_in_poor_light() -> None:
    dim = crowd(640, 480, [(200, 100, 200)]).convert("L").point(lambda value: 20 + value // 4)
    assert len(find_faces(dim)) == 1


def test_no_face_is_found_in_pictures_without_faces() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (480, 640), dtype=np.uint8)
    stripes = np.tile(np.array([20, 20, 200, 200], dtype=np.uint8), (480, 160))
    for picture in (Image.fromarray(noise), Image.fromarray(stripes), pictures.photo(640, 480).convert("L")):
        assert find_faces(picture) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (24, 24), (31, 9000), (9000, 33), (32, 32)])
def test_pictures_of_any_shape_can_be_searched(size: tuple[int, int]) -> None:
    assert find_faces(Image.new("L", size, 77)) == []


def test_detection_is_the_same_in_every_process() -> None:
    picture = crowd(640, 480, [(10, 20, 90), (200, 100, 300)]).convert("L")
    script = (
        "import sys; from PIL import Image; from trr_pipelines.imaging.faces import find_faces;"
        "print(find_faces(Image.frombytes('L', (640, 480), sys.stdin.buffer.read())))"
    )
    command = [sys.executable, "-c", script]
    other = subprocess.run(command, input=picture.tobytes(), capture_output=True, check=True).stdout
    assert other.decode().strip() == repr(find_faces(picture))


def test_opencv_is_imported_only_to_find_faces() -> None:
    script = "import sys; import trr_pipelines.imaging.render; sys.exit('cv2' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
