"""How far the variants of photos are whose callers wait for them, and the files of one set. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("requested_variants.sql")


@dataclass(frozen=True)
class WorkState:
    """A kind of work of a photo: its state, its last failure, and whether that is retried by itself."""

    state: str
    reason: str | None
    detail: str | None
    is_retried: bool


@dataclass(frozen=True)
class PhotoProgress:
    """A photo's state, and its work by kind."""

    state: str
    reason: str | None
    work: dict[str, WorkState]


@dataclass(frozen=True)
class SetFile:
    """A file of a set; sides in pixels."""

    variant_key: str
    format: str
    hosted_url: str
    width: int
    height: int
    bytes: int


def progress(conn: Connection, photo_ids: Sequence[UUID]) -> dict[UUID, PhotoProgress]:
    """The photos of these ids that exist."""
    found: dict[UUID, PhotoProgress] = {}
    for row in _queries.progress(conn, photo_ids=list(photo_ids)):
        photo = found.setdefault(row["id"], PhotoProgress(row["photo_state"], row["photo_reason"], {}))
        if row["kind"] is not None:
            photo.work[row["kind"]] = WorkState(row["state"], row["reason"], row["detail"], row["is_retried"])
    return found


def files(conn: Connection, photo_id: UUID, crop_signature: str) -> list[SetFile]:
    """The current files of a set, the narrowest first; of the base with an empty signature."""
    return rows_as(SetFile, _queries.files(conn, photo_id=photo_id, crop_signature=crop_signature))
