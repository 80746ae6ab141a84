"""Editing crops: a manual one, back to the proposal, back to an earlier one. Nothing is rendered here.

An edit is recorded at once and served as soon as its files stand: at once where they do already, otherwise after the
`crop_changes` sensor had them rendered. Until then the last complete set stays served.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast
from uuid import UUID

from trr_pipelines.catalogue import audit, crops
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.crops import HistoryEntry
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.photos import CropRow
from trr_pipelines.errors import ConflictError, InputError, NotFoundError
from trr_pipelines.imaging.geometry import Crop, CropMode
from trr_pipelines.imaging.recipes import CROP
from trr_pipelines.imaging.signature import crop_signature

KEYS = frozenset(target.key for target in CROP.targets)
MAX_AUTHOR = 200


class CropChangedError(ConflictError):
    """The crop is another one than its author saw; `current` is its signature (empty: none is active)."""

    def __init__(self, message: str, current: str) -> None:
        super().__init__(message)
        self.current = current


@dataclass(frozen=True)
class CropEdit:
    """What an edit came to: the signature wanted now (empty: a proposal is to be made), and whether it is served."""

    photo_id: UUID
    signature: str
    changed: bool
    served: bool
    crop: CropRow | None


def set_crop(
    database: Database, photo_id: UUID, crop: Crop, *, author: Author, reason: str = "", expected: str | None = None
) -> CropEdit:
    """Make `crop` the photo's active crop.

    `expected` is the signature that the author saw (empty: none); an edit in between raises CropChangedError. Setting
    the crop that is active already changes nothing. Raises NotFoundError for an unknown photo, and InputError for one
    that has no usable original.
    """

    def edit(conn: Connection, version: str) -> CropEdit:
        return _activate(conn, photo_id, crop, version, author=author.actor, reason=reason)

    return _edit(database, photo_id, author, expected, edit)


def activate_crop(
    database: Database, photo_id: UUID, signature: str, *, author: Author, expected: str | None = None
) -> CropEdit:
    """Go back to a crop that the photo had; signed anew where its original was replaced meanwhile.

    Raises as `set_crop`, and NotFoundError for a signature that this photo never had.
    """

    def edit(conn: Connection, version: str) -> CropEdit:
        earlier = crops.newest_with_signature(conn, photo_id, signature)
        if earlier is None:
            raise NotFoundError(f"photo {photo_id} never had the crop {signature[:80]}")
        return _activate(conn, photo_id, _crop(earlier), version, author=author.actor, reason="rolled back")

    return _edit(database, photo_id, author, expected, edit)


def return_to_auto(database: Database, photo_id: UUID, *, author: Author, expected: str | None = None) -> CropEdit:
    """Go back to the proposal for the photo's present original; the next render makes one where there is none."""

    def edit(conn: Connection, version: str) -> CropEdit:
        proposal = crops.newest_proposal(conn, photo_id, version)
        if proposal is not None:
            reason = "back to the proposal"
            return _activate(conn, photo_id, _crop(proposal), version, author=author.actor, reason=reason)
        if crops.active(conn, photo_id) is None:
            return CropEdit(photo_id, "", False, False, None)
        crops.want_proposal(conn, photo_id)
        return CropEdit(photo_id, "", True, False, None)

    return _edit(database, photo_id, author, expected, edit)


def crop_history(database: Database, photo_id: UUID, *, limit: int | None = None) -> list[HistoryEntry]:
    """The crops of the photo, newest first, `limit` of them. Raises NotFoundError for an unknown photo."""

    def read(conn: Connection) -> list[HistoryEntry]:
        if not crops.photo_exists(conn, photo_id):
            raise NotFoundError(f"no photo {photo_id}")
        return crops.history(conn, photo_id, limit)

    return database.read(read)


def _edit(
    database: Database,
    photo_id: UUID,
    author: Author,
    expected: str | None,
    edit: Callable[[Connection, str], CropEdit],
) -> CropEdit:
    """One edit under the photo's lock, after everything that could refuse it was looked at; audited."""
    if not author.actor.strip() or len(author.actor) > MAX_AUTHOR:
        raise InputError(f"author has {len(author.actor.strip())} characters; 1 to {MAX_AUTHOR} are needed")

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
            raise CropChangedError(
                f"the crop of photo {photo_id} was edited meanwhile: {found or 'none'}, not {seen}", found
            )
        done = edit(conn, photo.sha256)
        if done.changed:
            old, new = _audited(current), _audited(done.crop)
            audit.record(conn, author, "crop", "media_asset", photo_id, old=old, new=new)
        return done

    return database.run(work)


def _audited(crop: CropRow | None) -> dict[str, Any]:
    return {"crop": None if crop is None else asdict(crop)}


def _activate(
    conn: Connection, photo_id: UUID, crop: Crop, source_version: str, *, author: str, reason: str
) -> CropEdit:
    signature = crop_signature(crop, source_version)
    current = crops.active(conn, photo_id)
    if current is not None and current.signature == signature:
        return CropEdit(photo_id, signature, False, crops.served(conn, photo_id) == signature, current)
    row = CropRow(crop.mode, crop.x, crop.y, crop.zoom, signature)
    crops.replace_active(conn, photo_id, row, source_version=source_version, reason=reason, author=author)
    served = crops.serve_existing_set(
        conn, photo_id, signature, recipe=CROP.fingerprint, source_version=source_version, keys=KEYS
    )
    if not served:
        crops.want(conn, photo_id, signature)
    return CropEdit(photo_id, signature, True, served, row)


def _crop(row: CropRow) -> Crop:
    return Crop(cast(CropMode, row.mode), row.x, row.y, row.zoom)
