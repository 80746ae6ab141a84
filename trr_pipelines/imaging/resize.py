"""Scaling down: one chain from the largest size to the smallest, in premultiplied alpha.

What is cut and how large it becomes is decided by the caller; what it is encoded to does not matter here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cykooz_resizer import AlphaMulDiv, CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image, ImageChops

from trr_pipelines.imaging.geometry import Frame, Size

# Lanczos as Pillow has it, but with SIMD, working in Pillow's own memory: 2560 × 1440 to 1440 × 810 takes 5.7 ms
# against Pillow's 35.8 and libvips' 10.4. Its arithmetic is in integers: SSE4.1, AVX2 and plain code give equal pixels.
_LANCZOS = ResizeAlg.convolution(FilterType.lanczos3)

# Lanczos passes 255 beside an edge of alpha, by up to 1.5 times over two axes, and 8 bits cut that off: colour and
# alpha by different amounts. Where that may happen, a picture of this share of the values, which nothing cuts, decides.
_SHARE = 0.6
_TO_SHARE = [round(value * _SHARE) for value in range(256)]
_FROM_SHARE = [min(255, round(value / _SHARE)) for value in range(256)]

# How it is done by rows: with 4 rows of the result above and below, of which Lanczos sees 3.
_PIXELS_AT_A_TIME = 8_000_000
_LEAST_ROWS = 16
_MARGIN = 4

# Rounding alone makes the two alphas differ by 1.
_IS_CUT = [255 * (difference > 1) for difference in range(256)]


def premultiplied(image: Image.Image) -> Image.Image:
    """The picture as it must be scaled: invisible pixels must not lend their colour to visible neighbours."""
    return _multiplied(image) if image.mode == "RGBA" else image


def straight(image: Image.Image) -> Image.Image:
    """The picture as encoders want it."""
    return _divided(image) if image.mode == "RGBa" else image


def scaled_chain(image: Image.Image, frame: Frame, sizes: Sequence[Size]) -> list[Image.Image]:
    """The part `frame` of `image` (premultiplied, as the results), at each of `sizes`, which run from large to small.

    Each size is made from the one before, so that only the first has to look at all the pixels of the source.
    """
    resizer = Resizer()
    results: list[Image.Image] = []
    source, box = image, _box_within(frame, image)
    for size in sizes:
        if (size.width, size.height) == source.size and (box.width, box.height) == source.size:
            result = source
        else:
            result = _scaled(resizer, source, box, size)
            if source.mode == "RGBa":
                _restore_what_was_cut(resizer, source, box, result)
        results.append(result)
        source, box = result, CropBox(0.0, 0.0, float(size.width), float(size.height))
    return results


def _scaled(resizer: Resizer, source: Image.Image, box: CropBox, size: Size) -> Image.Image:
    result = Image.new(source.mode, (size.width, size.height), None)  # not filled: every pixel is written
    resizer.resize_pil(source, result, ResizeOptions(resize_alg=_LANCZOS, use_alpha=False, crop_box=box))
    return result


def _restore_what_was_cut(resizer: Resizer, source: Image.Image, box: CropBox, result: Image.Image) -> None:
    """Takes pixels of `result` whose alpha was cut off at 255 from a share of `source` that is scaled as well.

    Otherwise colour that was not cut, or by less, is divided by too little alpha: a red of 200 came out as 230 along
    its edges. sharp and libvips' thumbnails show the same; libvips in floating point does not. It is done by rows,
    because another copy of the whole would not fit: a WebP of 75 Mpx takes 1.35 GB without it.
    """
    scale = box.height / result.height
    rows = max(_LEAST_ROWS, int(_PIXELS_AT_A_TIME / (scale * box.width)))
    left, right = math.floor(box.left), min(math.ceil(box.left + box.width), source.width)
    for top in range(0, result.height, rows):
        bottom = min(top + rows, result.height)
        above, below = max(0, top - _MARGIN), min(bottom + _MARGIN, result.height)
        begin, end = box.top + above * scale, min(box.top + below * scale, box.top + box.height)
        part = source.crop((left, math.floor(begin), right, min(math.ceil(end), source.height)))
        lowest, highest = part.getchannel("a").getextrema()
        if lowest == highest:  # without an edge there is nothing to pass 255
            continue
        part_box = _box_within(Frame(box.left - left, begin - math.floor(begin), box.width, end - begin), part)
        share = _scaled(resizer, part.point(_TO_SHARE * 4), part_box, Size(result.width, below - above))
        _restore_rows(result, share.crop((0, top - above, result.width, bottom - above)), top)


def _restore_rows(result: Image.Image, share: Image.Image, top: int) -> None:
    """The same for the rows from `top` on that `share` covers."""
    whole = result.getchannel("a").crop((0, top, result.width, top + share.height))
    alpha = share.getchannel("a")
    is_cut = ImageChops.subtract(alpha, whole.point(_TO_SHARE)).point(_IS_CUT)
    if is_cut.getbbox() is None:
        return
    restored = straight(share)  # the share is in colour and alpha: dividing takes it out
    restored.putalpha(alpha.point(_FROM_SHARE))
    result.paste(premultiplied(restored), (0, top), is_cut)


def _multiplied(image: Image.Image) -> Image.Image:
    """As Pillow does it, to the bit, in half the time."""
    result: Image.Image = AlphaMulDiv().multiply_alpha_pil(image)
    return result


def _divided(image: Image.Image) -> Image.Image:
    """In a quarter of Pillow's time, and not always down: 196 to 200 became 199 to 201."""
    result: Image.Image = AlphaMulDiv().divide_alpha_pil(image)
    return result


def _box_within(frame: Frame, image: Image.Image) -> CropBox:
    """`frame` kept inside `image` against the last bit of floating point."""
    left, top = max(0.0, frame.left), max(0.0, frame.top)
    return CropBox(left, top, min(frame.width, image.width - left), min(frame.height, image.height - top))
