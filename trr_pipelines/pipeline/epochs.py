"""Epochs: whether the catalogue is as new as its store, or was restored from an older copy.

The epoch advances with every run and every minute of the daemon: first in the catalogue, then in a record of the
store. So the store is never ahead, unless the catalogue lost what it had committed. Then objects without rows may be
originals that the catalogue has forgotten, and nothing may delete them. docs/restore.md has what to do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from trr_pipelines.catalogue import epochs
from trr_pipelines.catalogue.epochs import Epoch
from trr_pipelines.errors import ConflictError
from trr_pipelines.pipeline.archive import Archive

FOLDER: Final = "catalogues"


@dataclass(frozen=True)
class _Recorded:
    """A catalogue's epoch in the store; `adopted_by` is the catalogue that took its objects over, or None.

    `is_shared`: another program has objects in the bucket, so that a restored catalogue knows it as well.
    """

    epoch: int
    adopted_by: UUID | None
    is_shared: bool


def advance(archive: Archive) -> bool:
    """Advance the epoch in the catalogue and in the store; False, without a change, when the store is ahead.

    Raises RetryableError when the store fails.
    """
    if problem_of(archive):
        return False
    is_shared = archive.settings.application_db_url is not None
    _record(archive, archive.database.run(lambda conn: epochs.advance(conn, archive.store.bucket, is_shared=is_shared)))
    return True


def problem_of(archive: Archive) -> str:
    """Why the catalogue is older than the store, in one line; empty when it is not. Raises RetryableError."""
    recorded = _recorded(archive)  # before the catalogue: it is advanced first, so a store that is ahead stays ahead
    own = own_epoch(archive)
    for catalogue_id, one in recorded.items():
        if catalogue_id == own.catalogue_id and one.epoch > own.epoch:
            return f"the store was written at epoch {one.epoch} of this catalogue, which is at epoch {own.epoch}"
        if catalogue_id != own.catalogue_id and one.adopted_by is None:
            return f"the store belongs to the catalogue {catalogue_id}; this one is {own.catalogue_id}"
    return ""


def own_epoch(archive: Archive) -> Epoch:
    """The catalogue's own epoch."""
    return archive.database.run(lambda conn: epochs.current(conn, archive.store.bucket))


def require_not_behind(archive: Archive) -> None:
    """Raise ConflictError when the catalogue is older than the store: deletions are refused until it is adopted."""
    if problem := problem_of(archive):
        raise ConflictError(
            f"{problem}: the catalogue was restored from an older copy, and objects that it does not know may be "
            "originals. Nothing is deleted; see docs/restore.md, then run: trr gc --adopt"
        )


def adopt(archive: Archive) -> Epoch:
    """Declare that this catalogue is the one of the store from now on; returns its epoch. Raises RetryableError."""
    recorded = _recorded(archive)
    latest = max((one.epoch for one in recorded.values()), default=0)
    is_shared = any(one.is_shared for one in recorded.values())
    own = archive.database.run(lambda conn: epochs.adopt(conn, archive.store.bucket, latest + 1, is_shared=is_shared))
    for catalogue_id, one in recorded.items():
        if catalogue_id != own.catalogue_id:
            data = {"epoch": one.epoch, "adopted_by": str(own.catalogue_id), "is_shared": one.is_shared}
            archive.store.put_record(f"{FOLDER}/{catalogue_id}", json.dumps(data).encode())
    _record(archive, own)
    return own


def _record(archive: Archive, own: Epoch) -> None:
    archive.store.put_record(
        f"{FOLDER}/{own.catalogue_id}", json.dumps({"epoch": own.epoch, "is_shared": own.is_shared}).encode()
    )


def _recorded(archive: Archive) -> dict[UUID, _Recorded]:
    recorded = {}
    for name, data in archive.store.records(FOLDER):
        values = json.loads(data)
        adopted_by = values.get("adopted_by")
        recorded[UUID(name.rpartition("/")[2])] = _Recorded(
            values["epoch"], UUID(adopted_by) if adopted_by else None, values.get("is_shared", False)
        )
    return recorded
