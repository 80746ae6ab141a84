"""Crop edits: set a manual crop, return to the proposal, or roll back. Nothing is rendered here.

An edit changes the photo's active crop, or the own crop of one link. A link of the application never shows the photo's
active crop, so an edit of a photo that has only such links changes the crop of its link.

An edit is recorded at once and served as soon as its files exist: immediately if they exist already, otherwise after
the `crop_changes` sensor has requested their rendering. Until then the last complete set is served.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast
from uuid import UUID

from trr_pipelines.catalogue import application, audit, crops
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.crops import HistoryEntry, LinkCrop
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
    """The result of an edit: the wanted signature, and whether it is served.

    The signature is empty while a proposal is being made, and for a link of the application without a crop.
    """

    photo_id: UUID
    signature: str
    changed: bool
    served: bool
    crop: CropRow | None


def set_crop(
    database: Database,
    photo_id: UUID,
    crop: Crop,
    *,
    author: Author,
    reason: str = "",
    expected: str | None = None,
    link_id: UUID | None = None,
    is_of_photo: bool = False,
) -> CropEdit:
    """Make `crop` the photo's active crop, or the own crop of `link_id`.

    With `is_of_photo` it is the photo's, also where its only link has a crop of its own.

    `expected` is the signature that the author read (empty: none); a different crop raises CropChangedError. Setting
    the same crop again changes nothing. Raises NotFoundError for an unknown photo or a link of another one, and
    InputError for a photo without a usable original, or with several links of the application and no `link_id`.
    """

    def edit(conn: Connection, version: str, link: LinkCrop | None) -> CropEdit:
        if link is not None:
            return _set_own_crop(conn, photo_id, link, crop)
        return _activate(conn, photo_id, crop, version, author=author.actor, reason=reason)

    return _edit(database, photo_id, author, expected, edit, link_id=link_id, is_of_photo=is_of_photo)


def activate_crop(
    database: Database, photo_id: UUID, signature: str, *, author: Author, expected: str | None = None
) -> CropEdit:
    """Roll back to an earlier crop; it gets a new signature if the original was replaced since.

    Raises like `set_crop`, and NotFoundError for a signature that this photo never had.
    """

    def edit(conn: Connection, version: str, _: LinkCrop | None) -> CropEdit:
        earlier = crops.newest_with_signature(conn, photo_id, signature)
        if earlier is None:
            raise NotFoundError(f"photo {photo_id} never had the crop {signature[:80]}")
        return _activate(conn, photo_id, _crop(earlier), version, author=author.actor, reason="rolled back")

    return _edit(database, photo_id, author, expected, edit, is_of_photo=True)


def return_to_auto(
    database: Database,
    photo_id: UUID,
    *,
    author: Author,
    expected: str | None = None,
    link_id: UUID | None = None,
) -> CropEdit:
    """Return to the proposal for the current original; the next render makes one if there is none.

    With `link_id` the link loses its own crop: it shows the photo's active crop again, or as a link of the application
    none. Raises like `set_crop`.
    """

    def edit(conn: Connection, version: str, link: LinkCrop | None) -> CropEdit:
        if link is not None:
            return _set_own_crop(conn, photo_id, link, None)
        proposal = crops.newest_proposal(conn, photo_id, version)
        if proposal is not None:
            reason = "back to the proposal"
            return _activate(conn, photo_id, _crop(proposal), version, author=author.actor, reason=reason)
        if crops.active(conn, photo_id) is None:
            return CropEdit(photo_id, "", False, False, None)
        crops.want_proposal(conn, photo_id)
        return CropEdit(photo_id, "", True, False, None)

    return _edit(database, photo_id, author, expected, edit, link_id=link_id)


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
    edit: Callable[[Connection, str, LinkCrop | None], CropEdit],
    *,
    link_id: UUID | None = None,
    is_of_photo: bool = False,
) -> CropEdit:
    """Check preconditions, apply one edit under the photo's lock, and audit it.

    `edit` gets the link whose own crop it changes, if any; with `is_of_photo` it always changes the active crop.
    """
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
        link = None if is_of_photo else _edited_link(conn, photo_id, link_id)
        current = crops.active(conn, photo_id) if link is None else link.crop
        current_signature = "" if current is None else current.signature
        if expected is not None and expected != current_signature:
            read = expected[:80] or "none"
            raise CropChangedError(
                f"the crop of {f'photo {photo_id}' if link is None else f'link {link.link_id}'} changed: "
                f"it is {current_signature or 'none'}, not {read}",
                current_signature,
            )
        done = edit(conn, photo.sha256, link)
        if done.changed and link is None:
            old, new = _audited(current), _audited(done.crop)
            audit.record(conn, author, "crop", "media_asset", photo_id, old=old, new=new)
        elif done.changed and link is not None:
            of_photo = {"media_asset_id": photo_id}
            old, new = _audited(current) | of_photo, _audited(done.crop) | of_photo
            audit.record(conn, author, "crop", "media_link", link.link_id, old=old, new=new)
        return done

    return database.run(work)


def _edited_link(conn: Connection, photo_id: UUID, link_id: UUID | None) -> LinkCrop | None:
    """The link whose own crop an edit changes; None if the edit is of the photo's active crop.

    Raises NotFoundError if `link_id` is no link of the photo, and InputError if several links come into question.
    """
    if link_id is None:
        links = crops.links_of_photo(conn, photo_id)
        if not links or not all(is_external for _, is_external in links):
            return None
        if len(links) > 1:
            raise InputError(
                f"photo {photo_id} has {len(links)} links, each with a crop of its own: name one by its id"
            )
        ((link_id, _),) = links
    link = crops.link_crop(conn, photo_id, link_id)
    if link is None:
        raise NotFoundError(f"photo {photo_id} has no link {link_id}")
    return link


def _set_own_crop(conn: Connection, photo_id: UUID, link: LinkCrop, crop: Crop | None) -> CropEdit:
    """Give the link a crop of its own, or take it away; the result has the crop that the link shows then."""
    changed = crops.set_link_crop(conn, link.link_id, crop)
    if changed:
        application.mark_edited(conn, link.link_id)
    after = crops.link_crop(conn, photo_id, link.link_id)
    shown = None if after is None else after.crop
    if after is None or shown is None:
        return CropEdit(photo_id, "", changed, True, None)
    served = after.served if after.is_own else crops.served(conn, photo_id)
    return CropEdit(photo_id, shown.signature, changed, served == shown.signature, shown)


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
