"""Editing crops: a manual one, back to the proposal, back to an earlier one. Nothing is rendered here.

An edit is recorded at once and served as soon as its files stand: at once where they do already, otherwise after the
`crop_changes` sensor had them rendered. Until then the last complete set stays served.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from trr_pipelines.catalogue import crops
from trr_pipelines.catalogue.crops import HistoryEntry
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.photos import CropRow
from trr_pipelines.errors import ConflictError, InputError, NotFoundError
from trr_pipelines.imaging.geometry import Crop, CropMode
from trr_pipelines.imaging.recipes import CROP
from trr_pipelines.imaging.signature import crop_signature

KEYS = frozenset(target.key for target in CROP.targets)
MAX_AUTHOR = 200


@dataclass(frozen=True)
class CropEdit:
    """What an edit came to: the signature wanted now (empty: a proposal is to be made), and whether it is served."""

    photo_id: UUID
    signature: str
    changed: bool
    served: bool


def set_crop(
    database: Database, photo_id: UUID, crop: Crop, *, author: str, reason: str = "", expected: str | None = None
) -> CropEdit:
    """Make `crop` the photo's active crop.

    `expected` is the signature that the author saw (empty: none); an edit in between raises ConflictError. Setting
    the crop that is active already changes nothing. Raises NotFoundError for an unknown photo, and InputError for one
    that has no usable original.
    """

    def edit(conn: Connection, version: str) -> CropEdit:
        return _activate(conn, photo_id, crop, version, author=author, reason=reason)

    return _edit(database, photo_id, author, expected, edit)


def activate_crop(
    database: Database, photo_id: UUID, signature: str, *, author: str, expected: str | None = None
) -> CropEdit:
    """Go back to a crop that the photo had; signed anew where its original was replaced meanwhile.

    Raises as `set_crop`, and NotFoundError for a signature that this photo never had.
    """

    def edit(conn: Connection, version: str) -> CropEdit:
        earlier = crops.newest_with_signature(conn, photo_id, signature)
        if earlier is None:
            raise NotFoundError(f"photo {photo_id} never had the crop {signature[:80]}")
        return _activate(conn, photo_id, _crop(earlier), version, author=author, reason="rolled back")

    return _edit(database, photo_id, author, expected, edit)


def return_to_auto(database: Database, photo_id: UUID, *, author: str, expected: str | None = None) -> CropEdit:
    """Go back to the proposal for the photo's present original; the next render makes one where there is none."""

    def edit(conn: Connection, version: str) -> CropEdit:
        proposal = crops.newest_proposal(conn, photo_id, version)
        if proposal is not None:
            return _activate(conn, photo_id, _crop(proposal), version, author=author, reason="back to the proposal")
        if crops.active(conn, photo_id) is None:
            return CropEdit(photo_id, "", False, False)
        crops.want_proposal(conn, photo_id)
        return CropEdit(photo_id, "", True, False)

    return _edit(database, photo_id, author, expected, edit)


def crop_history(database: Database, photo_id: UUID) -> list[HistoryEntry]:
    """Every crop of the photo, newest first. Raises NotFoundError for an unknown photo."""

    def read(conn: Connection) -> list[HistoryEntry]:
        if crops.lock_photo(conn, photo_id) is None:
            raise NotFoundError(f"no photo {photo_id}")
        return crops.history(conn, photo_id)

    return database.run(read)


def _edit(
    database: Database,
    photo_id: UUID,
    author: str,
    expected: str | None,
    edit: Callable[[Connection, str], CropEdit],
) -> CropEdit:
    """One edit under the photo's lock, after everything that could refuse it was looked at."""
    if not author.strip() or len(author) > MAX_AUTHOR:
        raise InputError(f"author has {len(author.strip())} characters; 1 to {MAX_AUTHOR} are needed")

    def work(conn: Connection) -> CropEdit:
        photo = crops.lock_photo(conn, photo_id)
        if photo is None:
            raise NotFoundError(f"no photo {photo_id}")
        if photo.state != "mirrored" or photo.sha256 is None:
            raise InputError(
                f"photo {photo_id} is {photo.state}{f' ({photo.reason})' if photo.reason else ''}: no crop"
            )
        current = crops.active(conn, photo_id)
        found = "" if current is None else current.signature
        if expected is not None and expected != found:
            seen = expected[:80] or "none"
            raise ConflictError(f"the crop of photo {photo_id} was edited meanwhile: {found or 'none'}, not {seen}")
        return edit(conn, photo.sha256)

    return database.run(work)


def _activate(
    conn: Connection, photo_id: UUID, crop: Crop, source_version: str, *, author: str, reason: str
) -> CropEdit:
    signature = crop_signature(crop, source_version)
    current = crops.active(conn, photo_id)
    if current is not None and current.signature == signature:
        return CropEdit(photo_id, signature, False, crops.served(conn, photo_id) == signature)
    row = CropRow(crop.mode, crop.x, crop.y, crop.zoom, signature)
    crops.replace_active(conn, photo_id, row, source_version=source_version, reason=reason, author=author)
    served = crops.serve_standing_set(
        conn, photo_id, signature, recipe=CROP.fingerprint, source_version=source_version, keys=KEYS
    )
    if not served:
        crops.want(conn, photo_id, signature)
    return CropEdit(photo_id, signature, True, served)


def _crop(row: CropRow) -> Crop:
    return Crop(cast(CropMode, row.mode), row.x, row.y, row.zoom)
