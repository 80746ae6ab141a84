"""Parsers of arguments shared by several commands: crops, photo ids, authors."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING
from uuid import UUID

from trr_pipelines.errors import InputError

if TYPE_CHECKING:
    from trr_pipelines.catalogue.audit import Author
    from trr_pipelines.imaging.geometry import Crop


def parse_crop(text: str) -> Crop:
    """Parse `manual,X,Y,ZOOM`. Raises InputError."""
    from trr_pipelines.imaging.geometry import Crop

    try:
        mode, *numbers = text.split(",")
        x, y, zoom = (float(number) for number in numbers)
    except ValueError:
        raise InputError(f"a crop must be manual,X,Y,ZOOM such as manual,50,20,1.5, not {text!r}") from None
    if mode not in ("manual", "auto"):
        raise InputError(f"the mode of a crop must be manual or auto, not {mode!r}")
    return Crop(mode, x, y, zoom)  # type: ignore[arg-type]  # checked above


def parse_photo_id(text: str) -> UUID:
    """Parse the id of a photo. Raises InputError."""
    return _parse_id(text, "photo")


def parse_link_id(text: str) -> UUID:
    """Parse the id of a link. Raises InputError."""
    return _parse_id(text, "link")


def _parse_id(text: str, what: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InputError(f"a {what} id must be a UUID, not {text[:80]!r}") from None


def shell_author(name: str = "") -> Author:
    """The author of a change from the command line: `name`, by default the user of this shell."""
    from trr_pipelines.catalogue.audit import Author

    return Author(name or f"cli:{getpass.getuser()}", "cli")
