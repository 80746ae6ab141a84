"""Flat graphics (posters, charts, screenshots, logos): few colours and hard edges, for which lossy encoders are bad."""

from __future__ import annotations

from typing import Final

from PIL import Image

# Shades along edges add colours, but the frequent ones must cover this share of the picture: gradients have as few
# colours as graphics, in equal parts.
_FREQUENT: Final = 8
_SHARE: Final = 0.6
_STEP: Final = 4
_SATURATED: Final = 64


def is_graphic(image: Image.Image, max_colours: int) -> bool:
    """Whether a picture (L, RGB or RGBA) has few colours, of which the most frequent ones cover most of it.

    A sixteenth of the pixels is counted first, since counting takes long for gradients.
    """
    size = (max(1, image.width // _STEP), max(1, image.height // _STEP))
    sample = image.resize(size, Image.Resampling.NEAREST)
    return _has_frequent_colours(sample, max_colours) and _has_frequent_colours(image, max_colours)


def _has_frequent_colours(image: Image.Image, max_colours: int) -> bool:
    counts = sorted((count for count, _ in image.getcolors(max_colours) or ()), reverse=True)
    return sum(counts[:_FREQUENT]) >= _SHARE * image.width * image.height


def has_saturated_colours(image: Image.Image, max_colours: int) -> bool:
    """Whether a graphic has a saturated colour: halved chroma would smear its edges."""
    if image.mode == "L" or not is_graphic(image, max_colours):
        return False
    values = [value for _, value in image.getcolors(max_colours) or () if isinstance(value, tuple)]
    return any(max(value[:3]) - min(value[:3]) >= _SATURATED for value in values)
