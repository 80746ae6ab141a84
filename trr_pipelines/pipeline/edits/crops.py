"""Crop edits: set a manual crop, return to the proposal, or roll back. Nothing is rendered here.

An edit is recorded at once and served as soon as its files exist: immediately if they exist already, otherwise after
the `crop_changes` sensor has requested their rendering. Until then the last complete set is served.
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
    """The crop changed since its author read it; `current` is its signature (empty: no active crop)."""

    def __init__(self, message: str, current: str) -> None:
        super().__init__(message)
        self.current = current


@dataclass(frozen=True)
class CropEdit:
    """The result of an edit: the wanted signature (empty: a proposal will be made), and whether it is served."""

    photo_id: UUID
    signature: str
    changed: bool
    served: bool
    crop: CropRow | None


def set_crop(
    database: Database, photo_id: UUID, crop: Crop, *, author: Author, reason: str = "", expected: str | None = None
) -> CropEdit:
    """Make `crop` the photo's active crop.

    `expected` is the signature that the author read (empty: none); a different active crop raises CropChangedError.
    Setting the active crop again changes nothing. Raises NotFoundError for an unknown photo, and InputError for a photo
    without a usable original.
    """

    def edit(conn: Connection, version: str) -> CropEdit:
        return _activate(conn, photo_id, crop, version, author=author.actor, reason=reason)

    return _edit(database, photo_id, author, expected, edit)


def activate_crop(
    database: Database, photo_id: UUID, signature: str, *, author: Author, expected: str | None = None
) -> CropEdit:
    """Roll back to an earlier crop; it gets a new signature if the original was replaced since.

    Raises like `set_crop`, and NotFoundError for a signature that this photo never had.
    """

    def edit(conn: Connection, version: str) -> CropEdit:
        earlier = crops.newest_with_signature(conn, photo_id, signature)
        if earlier is None:
            raise NotFoundError(f"photo {photo_id} never had the crop {signature[:80]}")
        return _activate(conn, photo_id, _crop(earlier), version, author=author.actor, reason="rolled back")

    return _edit(database, photo_id, author, expected, edit)


def return_to_auto(database: Database, photo_id: UUID, *, author: Author, expected: str | None = None) -> CropEdit:
    """Return to the proposal for the current original; the next render makes one if there is none."""

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
    """The newest `limit` crops of the photo, newest first. Raises NotFoundError for an unknown photo."""

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
    """Check preconditions, apply one edit under the photo's lock, and audit it."""
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
        current_signature = "" if current is None else current.signature
        if expected is not None and expected != current_signature:
            read = expected[:80] or "none"
            raise CropChangedError(
                f"the crop of photo {photo_id} changed: it is {current_signature or 'none'}, not {read}",
                current_signature,
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
