"""A contact sheet: many small pictures as one, for people who look over a batch.

Takes derivatives that we made ourselves; photos of unknown origin go through `decode` first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageOps

_BACKGROUND = (32, 32, 32)


def contact_sheet(thumbs: Sequence[bytes], *, cell: int, columns: int, max_bytes: int) -> bytes:
    """A WebP of `thumbs` in rows of `columns`, each fitted into a square of `cell` pixels, of at most `max_bytes`.

    Quality gives way first, then the size of the cells. Raises ValueError for no thumbs at all.
    """
    if not thumbs:
        raise ValueError("a contact sheet needs at least one picture")
    while True:
        sheet = _paste(thumbs, cell, columns)
        for quality in (75, 60, 45, 30):
            encoded = BytesIO()
            sheet.save(encoded, "WEBP", quality=quality, method=4)
            if encoded.tell() <= max_bytes:
                return encoded.getvalue()
        cell = cell * 3 // 4
        if cell < 8:
            raise ValueError(f"{len(thumbs)} pictures do not fit into {max_bytes} bytes")


def _paste(thumbs: Sequence[bytes], cell: int, columns: int) -> Image.Image:
    columns = min(columns, len(thumbs))
    rows = math.ceil(len(thumbs) / columns)
    sheet = Image.new("RGB", (columns * cell, rows * cell), _BACKGROUND)
    for index, data in enumerate(thumbs):
        with Image.open(BytesIO(data), formats=["WEBP", "JPEG", "PNG"]) as opened:
            picture = ImageOps.contain(opened.convert("RGBA"), (cell - 4, cell - 4))
        left = index % columns * cell + (cell - picture.width) // 2
        top = index // columns * cell + (cell - picture.height) // 2
        sheet.paste(picture, (left, top), picture)
    return sheet
