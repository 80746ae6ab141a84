"""Proposing a crop: whole heads, as many as fit, and a proposal for any picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trr_pipelines.imaging.autocrop import crop_around_faces, crop_by_saliency, proposal_size, propose_crop
from trr_pipelines.imaging.faces import Face
from trr_pipelines.imaging.geometry import Crop, Frame, Size, crop_frame
from trr_pipelines_tests.drawn_faces import crowd

sizes = st.builds(Size, st.integers(1, 4000), st.integers(1, 4000))


def proposed(picture: Image.Image) -> tuple[Crop, str]:
    source = Size(*picture.size)
    size = proposal_size(source)
    return propose_crop(source, picture.resize((size.width, size.height), Image.Resampling.BOX))


def shows(frame: Frame, face: Face, scale: tuple[float, float] = (1, 1)) -> bool:
    """Whether a face, in a picture that is smaller than the photo by `scale`, lies in the frame of the photo."""
    across, down = scale
    return (
        frame.left <= face.left * across + 1e-6
        and frame.top <= face.top * down + 1e-6
        and (face.left + face.side) * across <= frame.left + frame.width + 1e-6
        and (face.top + face.side) * down <= frame.top + frame.height + 1e-6
    )


def place(source: Size, crop: Crop) -> float:
    """How much of the free space beside the frame is before it, in percent."""
    frame = crop_frame(source, crop)
    free = source.width - frame.width, source.height - frame.height
    return 100 * (frame.left / free[0] if free[0] > free[1] else frame.top / free[1])


@pytest.mark.parametrize(
    ("shape", "heads", "reason", "expected"),
    [
        ((1600, 900), [(100, 200, 500)], "1 face", 0),
        ((1600, 900), [(1050, 200, 500)], "1 face", 100),
        ((1600, 900), [(550, 200, 500)], "1 face", 50),
        ((900, 1600), [(200, 1050, 500)], "1 face", 100),
        ((900, 1600), [(200, 0, 500)], "1 face", 0),
        ((1600, 900), [(120, 200, 300), (500, 200, 300)], "2 faces", 12),
        ((1600, 900), [(30, 200, 500), (1200, 200, 300)], "1 of 2 faces", 0),
        ((1600, 900), [(30, 200, 200), (900, 200, 400), (1300, 200, 280)], "2 of 3 faces", 97),
    ],
)
def test_the_frame_moves_to_the_faces(
    shape: tuple[int, int], heads: list[tuple[int, int, int]], reason: str, expected: float
) -> None:
    crop, why = proposed(crowd(*shape, heads))
    assert (crop.mode, crop.zoom, why) == ("auto", 1, reason)
    assert place(Size(*shape), crop) == pytest.approx(expected, abs=6)


def test_a_face_is_above_the_middle_with_space_for_the_hair() -> None:
    source = Size(900, 2000)
    face = Face(300, 900, 300)
    crop, _ = crop_around_faces(source, [face], source)
    frame = crop_frame(source, crop)
    assert (face.top + face.side / 2 - frame.top) / frame.height == pytest.approx(0.42, abs=0.001)
    assert face.top - frame.top > 0.4 * face.side


def test_the_top_of_a_too_high_head_is_kept() -> None:
    source = Size(300, 2000)
    crop, why = crop_around_faces(source, [Face(0, 800, 300)], source)
    assert why == "1 face"
    assert crop_frame(source, crop).top == pytest.approx(800 - 0.4 * 300, abs=0.01)


def test_a_zoom_stays_on_the_face_if_the_frame_cannot_move() -> None:
    source = Size(800, 1000)
    crop, _ = crop_around_faces(source, [Face(500, 100, 200)], source)
    closer = Crop("manual", crop.x, crop.y, 2)
    assert shows(crop_frame(source, closer), Face(500, 100, 200))


@given(
    source=sizes,
    places=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.03, 1)), min_size=1, max_size=6),
)
def test_the_reason_counts_the_faces_in_the_frame(source: Size, places: list[tuple[float, float, float]]) -> None:
    size = proposal_size(source)
    faces = []
    for across, down, part in places:
        side = part * min(size.width, size.height)
        faces.append(Face(across * (size.width - side), down * (size.height - side), side))
    faces.sort(key=lambda face: -face.side)
    crop, why = crop_around_faces(source, faces, size)

    assert crop.zoom == 1
    kept = int(why.split()[0])
    assert 1 <= kept <= len(faces)
    assert why == (f"{kept} of {len(faces)} faces" if kept < len(faces) else f"{kept} face{'s' * (kept > 1)}")
    frame = crop_frame(source, crop)
    scale = source.width / size.width, source.height / size.height
    shown = [face for face in faces if shows(frame, face, scale)]
    head = faces[0].side * 1.55 * max(scale)
    assert len(shown) >= kept or (kept == 1 and head > min(frame.width, frame.height))


@given(source=sizes, start=st.floats(0, 1), part=st.floats(0.05, 1))
def test_rounding_cuts_no_head_that_fills_the_frame(source: Size, start: float, part: float) -> None:
    """Heads as long as the frame, or nearly: only one position, rounded to 3 decimals, holds their faces."""
    frame = crop_frame(source, Crop("auto", 0, 0, 1))
    side = part * min(frame.width / 1.2, frame.height / 1.55)
    left = start * max(0, source.width - frame.width)
    top = start * max(0, source.height - frame.height) + 0.4 * side
    faces = [Face(left + 0.1 * side, top, side), Face(left + frame.width - 1.1 * side, top, side)]
    crop, why = crop_around_faces(source, faces, source)
    shown = [face for face in faces if shows(crop_frame(source, crop), face)]
    assert len(shown) == len(faces) or why == "1 of 2 faces"


@pytest.mark.parametrize(("middle", "position"), [(0.1, 0), (0.5, 50), (0.9, 100)])
def test_the_frame_moves_to_the_salient_part(middle: float, position: float) -> None:
    wide = np.zeros((9, 90))
    wide[3:6, round(middle * 89) - 3 : round(middle * 89) + 4] = 1
    crop, why = crop_by_saliency(Size(1600, 160), wide + 0.001)
    assert why == ("upper third" if position == 50 else "saliency")
    assert place(Size(1600, 160), crop) == pytest.approx(position, abs=12)
    tall, why = crop_by_saliency(Size(160, 1600), wide.T + 0.001)
    assert why == "saliency"
    assert place(Size(160, 1600), tall) == pytest.approx(position, abs=12)


def test_the_frame_does_not_move_without_a_gain() -> None:
    # On the side that the frame fills, the number is that of a later zoom.
    for source, y in ((Size(1600, 900), 33.333), (Size(900, 1600), 45.052), (Size(800, 1000), 33.333)):
        for saliency in (np.zeros((30, 30)), np.ones((30, 30))):
            assert crop_by_saliency(source, saliency) == (Crop("auto", 50, y, 1), "upper third")


@settings(max_examples=40, deadline=None)  # reads 200,000 pixels per example
@given(source=sizes, mode=st.sampled_from(["L", "RGB", "RGBA"]), seed=st.integers(0, 9))
def test_any_picture_gets_a_deterministic_crop(source: Size, mode: str, seed: int) -> None:
    size = proposal_size(source)
    rows = np.random.default_rng(seed).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    picture = Image.fromarray(rows).resize((size.width, size.height)).convert(mode)
    assert propose_crop(source, picture) == propose_crop(source, picture.copy())


@given(source=st.builds(Size, st.integers(1, 30_000), st.integers(1, 30_000)))
def test_the_picture_for_proposals_is_small_and_never_enlarged(source: Size) -> None:
    size = proposal_size(source)
    assert 1 <= size.width <= source.width
    assert 1 <= size.height <= source.height
    assert size.pixels <= 512 * 384 * 1.1
