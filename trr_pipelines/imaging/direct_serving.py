"""Whether an original may be served directly, in place of its derivatives."""

from __future__ import annotations

from typing import Final

from trr_pipelines.imaging.headers import may_have_metadata
from trr_pipelines.imaging.headers.header import UPRIGHT

SHOWN_BY_BROWSERS: Final = frozenset({"jpeg", "png", "webp", "gif", "avif"})


def reasons_not_to_serve(image_format: str, data: bytes, *, orientation: int, is_srgb: bool) -> tuple[str, ...]:
    """Reasons not to serve the original directly, in this order; empty if it may be served.

    `orientation`: it is stored in another orientation than shown, which not every viewer corrects. `colour`: its
    samples are not sRGB. `format`: browsers do not show it. `metadata`: it may reveal places and names.
    """
    reasons = {
        "orientation": orientation != UPRIGHT,
        "colour": not is_srgb,
        "format": image_format not in SHOWN_BY_BROWSERS,
        "metadata": may_have_metadata(image_format, data),
    }
    return tuple(reason for reason, applies in reasons.items() if applies)
