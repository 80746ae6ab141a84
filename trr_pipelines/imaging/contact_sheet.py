"""Contact sheets: many small pictures in one, to review a batch.

Only for our own derivatives; untrusted photos must go through `decode`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont, ImageOps

_BACKGROUND = (32, 32, 32)
_LABEL_COLOUR = (235, 235, 235)
_LABEL_SIZE = 11
_LABEL_HEIGHT = 15


def contact_sheet(
    thumbs: Sequence[bytes], *, cell: int, columns: int, max_bytes: int, labels: Sequence[str] = ()
) -> bytes:
    """A WebP of `thumbs` in rows of `columns`, each fitted into a square of `cell` pixels, of at most `max_bytes`.

    `labels`, one per thumb or none, are drawn below them (Latin letters). To fit `max_bytes`, quality is reduced first,
    then the size of the cells. Raises ValueError without thumbs, or if they do not fit.
    """
    if not thumbs:
        raise ValueError("a contact sheet requires at least one picture")
    while True:
        sheet = _paste(thumbs, cell, columns, labels)
        for quality in (75, 60, 45, 30):
            encoded = BytesIO()
            sheet.save(encoded, "WEBP", quality=quality, method=4)
            if encoded.tell() <= max_bytes:
                return encoded.getvalue()
        cell = cell * 3 // 4
        if cell < 8:
            raise ValueError(f"{len(thumbs)} pictures do not fit into {max_bytes} bytes")


def _paste(thumbs: Sequence[bytes], cell: int, columns: int, labels: Sequence[str]) -> Image.Image:
    columns = min(columns, len(thumbs))
    rows = math.ceil(len(thumbs) / columns)
    height = cell + (_LABEL_HEIGHT if labels else 0)
    sheet = Image.new("RGB", (columns * cell, rows * height), _BACKGROUND)
    for index, data in enumerate(thumbs):
        with Image.open(BytesIO(data), formats=["WEBP", "JPEG", "PNG"]) as opened:
            picture = ImageOps.contain(opened.convert("RGBA"), (cell - 4, cell - 4))
        left = index % columns * cell + (cell - picture.width) // 2
        top = index // columns * height + (cell - picture.height) // 2
        sheet.paste(picture, (left, top), picture)
    font = ImageFont.load_default(_LABEL_SIZE)
    for index, label in enumerate(labels):
        middle, bottom = (index % columns + 0.5) * cell, (index // columns + 1) * height
        ImageDraw.Draw(sheet).text((middle, bottom - 2), label, _LABEL_COLOUR, font, anchor="mb")
    return sheet
