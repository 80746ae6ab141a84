"""Scaling down: one chain from the largest size to the smallest, in premultiplied alpha.

What is cut and how large it becomes is decided by the caller; what it is encoded to does not matter here.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from trr_pipelines.imaging.geometry import Frame, Size


def premultiplied(image: Image.Image) -> Image.Image:
    """The picture as it must be scaled: invisible pixels must not lend their colour to visible neighbours."""
    return image.convert("RGBa") if image.mode == "RGBA" else image


def straight(image: Image.Image) -> Image.Image:
    """The picture as encoders want it."""
    return image.convert("RGBA") if image.mode == "RGBa" else image


def scaled_chain(image: Image.Image, frame: Frame, sizes: Sequence[Size]) -> list[Image.Image]:
    """The part `frame` of `image` (premultiplied, as the results), at each of `sizes`, which run from large to small.

    Each size is made from the one before, so that only the first has to look at all the pixels of the source.
    """
    results: list[Image.Image] = []
    source, box = image, _box_within(frame, image)
    for size in sizes:
        if (size.width, size.height) == source.size and box == (0, 0, *source.size):
            result = source
        else:
            result = source.resize((size.width, size.height), Image.Resampling.LANCZOS, box=box)
        results.append(result)
        source, box = result, (0.0, 0.0, float(size.width), float(size.height))
    return results


def _box_within(frame: Frame, image: Image.Image) -> tuple[float, float, float, float]:
    """Left, upper, right, lower of `frame`, kept inside `image` against the last bit of floating point."""
    return (
        max(0.0, frame.left),
        max(0.0, frame.top),
        min(float(image.width), frame.left + frame.width),
        min(float(image.height), frame.top + frame.height),
    )
