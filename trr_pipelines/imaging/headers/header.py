"""The result of every header reader, and its error."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from trr_pipelines.imaging.geometry import Size

UPRIGHT = 1
"""The orientation of a picture that is stored as it is shown."""


@dataclass(frozen=True)
class Header:
    """The size as stored (pixels), the orientation (1 to 8, as in EXIF), and the number of frames or pages."""

    stored: Size
    orientation: int = UPRIGHT
    frames: int = 1


class HeaderError(ValueError):
    """The header of a file is missing or invalid."""


def unpack_at(layout: str, data: bytes, at: int) -> tuple[int, ...]:
    """Integers at an offset.

    Raises:
        HeaderError: they are outside `data`.
    """
    if at < 0 or at + struct.calcsize(layout) > len(data):
        raise HeaderError(f"the header points at byte {at:,} of {len(data):,}")
    return struct.unpack_from(layout, data, at)
