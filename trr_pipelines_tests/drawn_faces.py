"""Faces drawn from ellipses that a detector recognises, so that tests need no photos of people."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageDraw, ImageFilter

_SIDE = 400
_SKIN, _SHADE, _DARK = (205, 160, 135), (140, 95, 80), (60, 40, 32)


def drawn_head(side: int) -> Image.Image:
    """A head with hair, RGB, `side` pixels wide and high; its face takes the middle 55 % of the width."""
    head = Image.new("RGB", (_SIDE, _SIDE), (120, 130, 140))
    draw = ImageDraw.Draw(head)
    draw.ellipse((70, 10, 330, 300), fill=_DARK)
    draw.ellipse((90, 60, 310, 380), fill=_SKIN)
    for left in (115, 210):
        draw.ellipse((left, 150, left + 75, 200), fill=_SHADE)
        draw.rectangle((left + 4, 148, left + 72, 160), fill=_DARK)
        draw.ellipse((left + 15, 172, left + 59, 192), fill=(235, 230, 225))
        draw.ellipse((left + 27, 171, left + 47, 193), fill=_DARK)
    draw.polygon([(200, 165), (188, 250), (212, 250)], fill=(230, 190, 165))
    draw.ellipse((178, 240, 222, 262), fill=(175, 120, 100))
    draw.ellipse((150, 290, 250, 320), fill=_SHADE)
    draw.rectangle((155, 303, 245, 308), fill=_DARK)
    return head.filter(ImageFilter.GaussianBlur(5)).resize((side, side), Image.Resampling.LANCZOS)


def crowd(width: int, height: int, heads: Iterable[tuple[int, int, int]]) -> Image.Image:
    """A grey picture with a head at each (left, top, side), in pixels."""
    picture = Image.new("RGB", (width, height), (120, 130, 140))
    for left, top, side in heads:
        picture.paste(drawn_head(side), (left, top))
    return picture
