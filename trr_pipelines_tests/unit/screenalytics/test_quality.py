"""The quality reason for given measurements."""

from __future__ import annotations

import pytest

from trr_pipelines.imaging.face_quality import FaceQuality
from trr_pipelines.screenalytics.quality import QualityReason, reason_for

GOOD = FaceQuality(sharpness=80.0, faces=1, face_share=0.3, preview=b"")


@pytest.mark.parametrize(
    ("portrait", "size", "reason"),
    [
        (GOOD, (640, 480), QualityReason.FINE),
        (GOOD, (159, 900), QualityReason.TOO_SMALL),
        (GOOD, (213, 200), QualityReason.TOO_SMALL),
        (GOOD, (214, 200), QualityReason.FINE),
        (FaceQuality(80.0, 0, 0.0, b""), (640, 480), QualityReason.NO_FACE),
        (FaceQuality(80.0, 2, 0.3, b""), (640, 480), QualityReason.SEVERAL_FACES),
        (FaceQuality(9.9, 1, 0.3, b""), (640, 480), QualityReason.BLURRED),
        (FaceQuality(10.0, 1, 0.3, b""), (640, 480), QualityReason.FINE),
    ],
)
def test_the_first_matching_reason_is_returned(
    portrait: FaceQuality, size: tuple[int, int], reason: QualityReason
) -> None:
    assert reason_for(portrait, width=size[0], height=size[1]) is reason
