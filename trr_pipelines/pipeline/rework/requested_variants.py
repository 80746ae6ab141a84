"""Variants of one photo that a caller waits for: the base set, or the set of a crop.

Nothing is rendered here: an edit or a request makes the work pending, and Dagster's sensors request its run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue import application, crops, requested_variants
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.photos import CropRow
from trr_pipelines.catalogue.requested_variants import PhotoProgress, SetFile
from trr_pipelines.errors import ConflictError, NotFoundError
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.rework.reprocessing import reprocess_photo


class NothingToRenderError(ConflictError):
    """A photo has no original to render from, or one that cannot be rendered; `reason` is the code of that failure."""

    def __init__(self, message: str, reason: str | None) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class RequestedSet:
    """The base set of a photo, or the set of a crop."""

    photo_id: UUID
    crop: CropRow | None

    @property
    def kind(self) -> str:
        """The kind of work in the ledger."""
        return "base" if self.crop is None else "crop"

    @property
    def label(self) -> str:
        """The set's name in the application: `base`, or `mode:x:y:zoom` with three decimals."""
        if self.crop is None:
            return "base"
        return ":".join((self.crop.mode, *(f"{value:.3f}" for value in (self.crop.x, self.crop.y, self.crop.zoom))))


def photo_of(database: Database, given: UUID, *, is_cast_photo: bool = False) -> UUID:
    """The photo with this id, or of the row of the application with it: rows may share a photo. Raises NotFoundError.

    `is_cast_photo`: the row is one of `cast_photos`.
    """

    def find(conn: Connection) -> UUID | None:
        of_row = application.photo_of(conn, given, "cast_photos" if is_cast_photo else "media_assets")
        if of_row is None and crops.photo_exists(conn, given):
            return given
        return of_row

    photo_id = database.read(find)
    if photo_id is None:
        raise NotFoundError(f"no photo {given}")
    return photo_id


def request_variants(
    database: Database, photo_id: UUID, crop: Crop | None, *, force: bool, author: Author
) -> RequestedSet:
    """Make the base set of a photo pending where it is missing, or set a crop; with `force`, render it again.

    An automatic crop leaves a manual one as it is, and the manual one's set is returned. Raises NotFoundError for an
    unknown photo, and NothingToRenderError for a crop of a photo without an original.
    """
    requested = RequestedSet(photo_id, None)
    if crop is not None:
        requested = RequestedSet(photo_id, _set(database, photo_id, crop, author))
    if force:
        reprocess_photo(database, photo_id, author=author)
    return requested


def are_complete(
    database: Database, requested: Collection[RequestedSet]
) -> dict[RequestedSet, bool | NotFoundError | ConflictError]:
    """For each set whether it is complete, or why it never will be, in one statement."""
    found = database.read(lambda conn: requested_variants.progress(conn, sorted({one.photo_id for one in requested})))
    return {one: _is_complete(one, found.get(one.photo_id)) for one in requested}


def files_of(database: Database, requested: RequestedSet) -> list[SetFile]:
    """The current files of the set, the narrowest first."""
    signature = "" if requested.crop is None else requested.crop.signature
    return database.read(lambda conn: requested_variants.files(conn, requested.photo_id, signature))


def _set(database: Database, photo_id: UUID, crop: Crop, author: Author) -> CropRow:
    def read(conn: Connection) -> tuple[PhotoProgress | None, CropRow | None]:
        return requested_variants.progress(conn, [photo_id]).get(photo_id), crops.active(conn, photo_id)

    photo, active = database.read(read)
    if photo is None:
        raise NotFoundError(f"no photo {photo_id}")
    if photo.state != "mirrored":
        raise NothingToRenderError(_state_of(photo_id, photo), photo.reason)
    if crop.mode == "auto" and active is not None and active.mode == "manual":
        return active
    # Of the photo, also where its links have crops of their own: a render is asked for, no link is edited.
    edited = set_crop(database, photo_id, crop, author=author, is_of_photo=True).crop
    assert edited is not None
    return edited


def _is_complete(requested: RequestedSet, photo: PhotoProgress | None) -> bool | NotFoundError | ConflictError:
    if photo is None:
        return NotFoundError(f"no photo {requested.photo_id}")
    own = photo.work.get(requested.kind)
    for work in (photo.work.get("original"), own):
        if work is not None and work.state == "failed" and not work.is_retried:
            detail = f" ({work.reason}{f': {work.detail}' if work.detail else ''})"
            return NothingToRenderError(f"photo {requested.photo_id} cannot be rendered{detail}", work.reason)
    if own is None and photo.state == "failed":
        return NothingToRenderError(_state_of(requested.photo_id, photo), photo.reason)
    return own is not None and own.state == "complete"


def _state_of(photo_id: UUID, photo: PhotoProgress) -> str:
    reason = f" ({photo.reason})" if photo.reason else ""
    return f"photo {photo_id} is {photo.state}{reason}: it has no original to render from"
