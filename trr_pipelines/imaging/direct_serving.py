"""Whether an original can be shown as it is, in place of what would be made of it."""

from __future__ import annotations

from typing import Final

from trr_pipelines.imaging.headers import carries_metadata
from trr_pipelines.imaging.headers.header import UPRIGHT

SHOWN_BY_BROWSERS: Final = frozenset({"jpeg", "png", "webp", "gif", "avif"})


def reasons_not_to_serve(image_format: str, data: bytes, *, orientation: int, is_srgb: bool) -> tuple[str, ...]:
    """Why the file had better not be shown, in this order; empty when it may be.

    `orientation`: it lies otherwise than it is shown, which not every viewer mends. `colour`: its numbers are not
    sRGB. `format`: browsers do not show it. `metadata`: it says more than the picture shows (places, names).
    """
    reasons = {
        "orientation": orientation != UPRIGHT,
        "colour": not is_srgb,
        "format": image_format not in SHOWN_BY_BROWSERS,
        "metadata": carries_metadata(image_format, data),
    }
    return tuple(reason for reason, applies in reasons.items() if applies)
