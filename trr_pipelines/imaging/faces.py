"""Detecting faces with the Haar cascades that ship with OpenCV.

Crops around them are made in `autocrop`. The result is the same in every process: one thread, no OpenCL, and pictures
scaled by Pillow, whose integer arithmetic does not depend on the processor.

The constants were measured (docs/measurements/crops.md) on 312 faces of 223 pictures and on 78 pictures without a face.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import cv2

# Finer steps (1.1) find 1 % more faces and take a third more time.
_SCALE_STEP = 1.15
_SMALLEST_FACE = 26

# A frontal face needs three hits of one cascade and six of another, which searches that place only, in finer steps. The
# first alone finds as many faces, but 17 false ones instead of 2.
_CANDIDATE, _CANDIDATE_HITS = "frontalface_alt2", 3
_CONFIRMING, _CONFIRMING_HITS, _CONFIRMING_STEP = "frontalface_alt", 6, 1.08
_CONFIRMING_MARGIN = 0.25
_CONFIRMING_SIDES = (0.7, 1.4)
_CONFIRMING_PIXELS = 80

# Profiles are searched only without a frontal face, at a third of the size: that takes half the time of half the size,
# and small profiles are not worth it.
_PROFILE, _PROFILE_HITS, _PROFILE_REDUCTION = "profileface", 4, 3
_SMALLEST_PROFILE = 24


@dataclass(frozen=True)
class Face:
    """A square from forehead to chin, in pixels of the picture; hair, ears and neck are outside it."""

    left: float
    top: float
    side: float


def find_faces(picture: Image.Image) -> list[Face]:
    """The faces of a picture as shown, largest first: frontal ones, or else profiles to either side.

    Args:
        picture: mode L, upright, and small: 512 × 384 take 30 to 50 ms. Faces below 26 pixels and profiles below 72
            are not detected.
    """
    if min(picture.size) < _SMALLEST_FACE:
        return []
    faces = _frontal(picture) or _profiles(picture)
    return sorted(faces, key=lambda face: (-face.side, face.top, face.left))


def _frontal(picture: Image.Image) -> list[Face]:
    candidates = _hits(_CANDIDATE, picture, _CANDIDATE_HITS, (_SMALLEST_FACE, max(picture.size)), _SCALE_STEP)
    return [face for face in candidates if _is_confirmed(face, picture)]


def _is_confirmed(face: Face, picture: Image.Image) -> bool:
    margin = face.side * _CONFIRMING_MARGIN
    box = (
        max(0.0, face.left - margin),
        max(0.0, face.top - margin),
        min(float(picture.width), face.left + face.side + margin),
        min(float(picture.height), face.top + face.side + margin),
    )
    scale = min(1.0, _CONFIRMING_PIXELS / face.side)
    size = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    place = picture.resize(size, Image.Resampling.BOX, box=box)
    least, most = (round(face.side * scale * part) for part in _CONFIRMING_SIDES)
    return any(_hits(_CONFIRMING, place, _CONFIRMING_HITS, (least, most), _CONFIRMING_STEP))


def _profiles(picture: Image.Image) -> Iterator[Face]:
    """Profiles facing left, which the cascade detects, and right, in the mirrored picture."""
    small = picture.reduce(_PROFILE_REDUCTION)
    sides = (_SMALLEST_PROFILE, max(small.size))
    for face in _hits(_PROFILE, small, _PROFILE_HITS, sides, _SCALE_STEP):
        yield _enlarged(face)
    mirrored = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for face in _hits(_PROFILE, mirrored, _PROFILE_HITS, sides, _SCALE_STEP):
        yield _enlarged(Face(small.width - face.left - face.side, face.top, face.side))


def _enlarged(face: Face) -> Face:
    return Face(face.left * _PROFILE_REDUCTION, face.top * _PROFILE_REDUCTION, face.side * _PROFILE_REDUCTION)


def _hits(name: str, picture: Image.Image, neighbours: int, sides: Sequence[int], step: float) -> list[Face]:
    """Squares with at least `neighbours` hits of the cascade `name`; `sides` are the least and greatest, in pixels."""
    least, most = sides
    boxes = _cascade(name).detectMultiScale(
        np.asarray(picture), scaleFactor=step, minNeighbors=neighbours, minSize=(least, least), maxSize=(most, most)
    )
    return [Face(float(left), float(top), float(side)) for left, top, side, _ in boxes]


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    import cv2.data  # takes 0.04 to 0.08 s and 20 MB, so only when crops are proposed

    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)
    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")
