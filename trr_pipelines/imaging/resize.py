"""Scaling down in one chain from the largest to the smallest size, in premultiplied alpha.

The caller decides on the frame and the sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cykooz_resizer import AlphaMulDiv, CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image, ImageChops

from trr_pipelines.imaging.geometry import Frame, Size

# The Lanczos filter of Pillow, but with SIMD and in Pillow's own memory: 2560 × 1440 to 1440 × 810 takes 5.7 ms against
# Pillow's 35.8 and libvips' 10.4. It uses integer arithmetic: SSE4.1, AVX2 and plain code give equal pixels.
_LANCZOS = ResizeAlg.convolution(FilterType.lanczos3)

# Beside an edge of alpha, Lanczos exceeds 255 by up to 1.5 times over two axes, and 8 bits clip colour and alpha by
# different amounts. Clipped pixels are taken from a second scaling at this share of the values, which is never clipped.
_SHARE = 0.6
_TO_SHARE = [round(value * _SHARE) for value in range(256)]
_FROM_SHARE = [min(255, round(value / _SHARE)) for value in range(256)]

# This is done in strips with a margin of 4 rows of the result above and below, of which Lanczos uses 3.
_PIXELS_AT_A_TIME = 8_000_000
_LEAST_ROWS = 16
_MARGIN = 4

# Rounding alone makes the two alphas differ by 1.
_IS_CLIPPED = [255 * (difference > 1) for difference in range(256)]


def premultiplied(image: Image.Image) -> Image.Image:
    """The picture as it must be scaled: the colour of invisible pixels must not bleed into visible neighbours."""
    return _multiplied(image) if image.mode == "RGBA" else image


def straight(image: Image.Image) -> Image.Image:
    """The picture in straight alpha, as encoders need it."""
    return _divided(image) if image.mode == "RGBa" else image


def scaled_chain(image: Image.Image, frame: Frame, sizes: Sequence[Size]) -> list[Image.Image]:
    """The part `frame` of `image` (premultiplied, like the results) at each of `sizes`, from large to small.

    Each size is scaled from the previous one, so that only the first reads all pixels of the source.
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
                _restore_clipped(resizer, source, box, result)
        results.append(result)
        source, box = result, CropBox(0.0, 0.0, float(size.width), float(size.height))
    return results


def _scaled(resizer: Resizer, source: Image.Image, box: CropBox, size: Size) -> Image.Image:
    result = Image.new(source.mode, (size.width, size.height), None)  # not filled: every pixel is written
    resizer.resize_pil(source, result, ResizeOptions(resize_alg=_LANCZOS, use_alpha=False, crop_box=box))
    return result


def _restore_clipped(resizer: Resizer, source: Image.Image, box: CropBox, result: Image.Image) -> None:
    """Replace pixels of `result` whose alpha was clipped at 255 by those of a scaled share of `source`.

    Otherwise colour that was clipped less is divided by too small an alpha: a red of 200 became 230 along its edges.
    sharp and libvips' thumbnails have this error; libvips in floating point does not. It works in strips, because
    another copy of the whole would not fit: a WebP of 75 Mpx takes 1.35 GB without it.
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
        if lowest == highest:  # without an edge of alpha nothing exceeds 255
            continue
        part_box = _box_within(Frame(box.left - left, begin - math.floor(begin), box.width, end - begin), part)
        share = _scaled(resizer, part.point(_TO_SHARE * 4), part_box, Size(result.width, below - above))
        _restore_rows(result, share.crop((0, top - above, result.width, bottom - above)), top)


def _restore_rows(result: Image.Image, share: Image.Image, top: int) -> None:
    """Replace clipped pixels in the rows from `top` that `share` covers."""
    whole = result.getchannel("a").crop((0, top, result.width, top + share.height))
    alpha = share.getchannel("a")
    clipped = ImageChops.subtract(alpha, whole.point(_TO_SHARE)).point(_IS_CLIPPED)
    if clipped.getbbox() is None:
        return
    restored = straight(share)  # dividing colour by alpha cancels the share
    restored.putalpha(alpha.point(_FROM_SHARE))
    result.paste(premultiplied(restored), (0, top), clipped)


def _multiplied(image: Image.Image) -> Image.Image:
    """The same bits as Pillow, in half the time."""
    result: Image.Image = AlphaMulDiv().multiply_alpha_pil(image)
    return result


def _divided(image: Image.Image) -> Image.Image:
    """A quarter of Pillow's time, without its rounding down: a colour of 200 becomes 199 to 201, not 196 to 200."""
    result: Image.Image = AlphaMulDiv().divide_alpha_pil(image)
    return result


def _box_within(frame: Frame, image: Image.Image) -> CropBox:
    """`frame` clamped to `image` against floating-point errors."""
    left, top = max(0.0, frame.left), max(0.0, frame.top)
    return CropBox(left, top, min(frame.width, image.width - left), min(frame.height, image.height - top))
