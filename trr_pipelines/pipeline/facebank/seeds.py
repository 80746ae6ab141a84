"""Face-bank seeds: which photos of a person Screenalytics should learn from, flagged by admins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import audit, seeds
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.errors import NotFoundError


@dataclass(frozen=True)
class PersonPhotos:
    """A page of a person's served photos; `next_after` is the last link of it where there are more."""

    photos: Sequence[dict[str, Any]]
    unserved: int
    next_after: UUID | None


def set_facebank_seed(
    database: Database, person_id: UUID, link_id: UUID, facebank_seed: bool, *, author: Author
) -> bool:
    """Flag or unflag a photo of a person; returns whether that changed anything.

    Raises NotFoundError when `link_id` is no gallery link of `person_id`.
    """

    def work(conn: Connection) -> bool:
        before = seeds.lock_seed(conn, person_id, link_id)
        if before is None:
            raise NotFoundError(f"person {person_id} has no gallery link {link_id}")
        if before == facebank_seed:
            return False
        seeds.set_seed(conn, link_id, facebank_seed, author=author.actor)
        audit.record(
            conn,
            author,
            "facebank_seed",
            "link",
            link_id,
            old={"facebank_seed": before, "person_id": person_id},
            new={"facebank_seed": facebank_seed, "person_id": person_id},
        )
        return True

    return database.run(work)


def person_photos(
    database: Database, person_id: UUID, *, seed_only: bool, after: UUID | None = None, limit: int | None = None
) -> PersonPhotos:
    """The person's photos that this system serves, in one snapshot. Raises NotFoundError for an unknown person."""

    def work(conn: Connection) -> PersonPhotos:
        if not seeds.person_exists(conn, person_id):
            raise NotFoundError(f"no person {person_id}")
        one_more = None if limit is None else limit + 1
        found = seeds.served_photos(conn, person_id, seed_only=seed_only, after=after, limit=one_more)
        page = found if limit is None else found[:limit]
        more = page[-1]["link_id"] if len(page) < len(found) else None
        return PersonPhotos(page, seeds.unserved(conn, person_id, seed_only=seed_only), more)

    return database.read(work)
