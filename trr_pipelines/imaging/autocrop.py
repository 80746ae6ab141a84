"""Proposing a crop for a photo that has none.

The seam for anything cleverer: a function from the picture as shown to a crop and the reason for it.
"""

from __future__ import annotations

from PIL import Image

from trr_pipelines.imaging.geometry import Crop, Size

# A proposal never zooms: so the decoder may reduce a JPEG before the proposal is known.
AUTO_ZOOM = 1.0

# People look out of the upper third of a photo: a taller picture than 4:5 loses twice as much below as above.
_UPPER_THIRD = Crop("auto", 50.0, 33.3333, AUTO_ZOOM)


def propose_crop(source: Size, picture: Image.Image) -> tuple[Crop, str]:  # noqa: ARG001  the seam for looking at it
    """The crop to use for a photo of size `source`, shown in `picture` (small, oriented, sRGB), and why."""
    return _UPPER_THIRD, "upper third"
