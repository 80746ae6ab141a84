"""Arguments that more than one command reads: crops, ids of photos."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from trr_pipelines.errors import InputError


def parse_crop(text: str) -> Any:
    """`manual,X,Y,ZOOM` as a crop."""
    from trr_pipelines.imaging.geometry import Crop

    try:
        mode, *numbers = text.split(",")
        x, y, zoom = (float(number) for number in numbers)
    except ValueError:
        raise InputError(f"--crop is manual,X,Y,ZOOM such as manual,50,20,1.5, not {text!r}") from None
    if mode not in ("manual", "auto"):
        raise InputError(f"--crop has mode manual or auto, not {mode!r}")
    return Crop(mode, x, y, zoom)  # type: ignore[arg-type]


def parse_photo_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InputError(f"the id of a photo is a UUID, not {text[:80]!r}") from None
