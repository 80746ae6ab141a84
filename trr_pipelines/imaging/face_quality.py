"""The quality of a picture for learning a face: its sharpness, its faces, and a small preview.

The figures are judged in `screenalytics.quality`. Only for our own derivatives, of at most 512 pixels a side; untrusted
photos must go through `decode`.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from trr_pipelines.imaging.faces import Face, find_faces

SIDE = 512
PREVIEW_SIDE = 96
# A face box reaches from forehead to chin; the preview also shows hair and ears, so that people are recognisable.
_PREVIEW_MARGIN = 0.35


@dataclass(frozen=True)
class FaceQuality:
    """`sharpness` is the variance of the Laplacian on a scale of 0 to 255, of the largest face if there is one.

    `face_share` is the side of that face as a fraction of the picture's longer side, 0 without a face; `preview` is a
    WebP of at most 96 pixels a side.
    """

    sharpness: float
    faces: int
    face_share: float
    preview: bytes


def examine(data: bytes) -> FaceQuality:
    """Measure one of our own WebP, JPEG or PNG files."""
    with Image.open(BytesIO(data), formats=["WEBP", "JPEG", "PNG"]) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((SIDE, SIDE))
    grey = picture.convert("L")
    faces = find_faces(grey)
    box = _around(faces[0], picture, 0.0) if faces else (0, 0, picture.width, picture.height)
    share = faces[0].side / max(picture.size) if faces else 0.0
    return FaceQuality(_sharpness(grey.crop(box)), len(faces), share, _preview(picture, faces))


def _sharpness(grey: Image.Image) -> float:
    """The variance of the Laplacian; 0 for pictures below 3 × 3 pixels."""
    if min(grey.size) < 3:
        return 0.0
    values = np.asarray(grey, dtype=np.float32)
    middle = values[1:-1, 1:-1]
    edges = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:] - 4 * middle
    return float(edges.var())


def _preview(picture: Image.Image, faces: list[Face]) -> bytes:
    if len(faces) == 1:
        picture = picture.crop(_around(faces[0], picture, _PREVIEW_MARGIN))
    preview, encoded = picture.copy(), BytesIO()
    preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    preview.save(encoded, "WEBP", quality=70)
    return encoded.getvalue()


def _around(face: Face, picture: Image.Image, margin: float) -> tuple[int, int, int, int]:
    extra = face.side * margin
    return (
        max(0, round(face.left - extra)),
        max(0, round(face.top - extra)),
        min(picture.width, round(face.left + face.side + extra)),
        min(picture.height, round(face.top + face.side + extra)),
    )
