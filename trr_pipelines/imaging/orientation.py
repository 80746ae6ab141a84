"""The eight orientations of a stored picture, and the conversion from stored to shown.

Pictures are resized in their stored orientation and turned afterwards, because turning 1440 pixels costs a tenth of
turning 5000; so frames are converted from shown to stored coordinates. The numbering is that of EXIF tag 274.
"""

from __future__ import annotations

from PIL import Image

from trr_pipelines.imaging.geometry import Frame, Size

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def swaps_sides(orientation: int) -> bool:
    return orientation in (5, 6, 7, 8)


def oriented_size(stored: Size, orientation: int) -> Size:
    """The size as shown of a picture of `stored` size; its own inverse."""
    return Size(stored.height, stored.width) if swaps_sides(orientation) else stored


def oriented_image(image: Image.Image, orientation: int) -> Image.Image:
    """The picture as shown; `image` itself if it is upright."""
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def stored_frame(frame: Frame, shown: Size, orientation: int) -> Frame:
    """`frame`, given on the picture as shown (of size `shown`), in coordinates of the picture as stored."""
    right = shown.width - frame.left - frame.width
    bottom = shown.height - frame.top - frame.height
    left, top = {
        1: (frame.left, frame.top),
        2: (right, frame.top),
        3: (right, bottom),
        4: (frame.left, bottom),
        5: (frame.top, frame.left),
        6: (frame.top, right),
        7: (bottom, right),
        8: (bottom, frame.left),
    }[orientation]
    if swaps_sides(orientation):
        return Frame(left, top, frame.height, frame.width)
    return Frame(left, top, frame.width, frame.height)
