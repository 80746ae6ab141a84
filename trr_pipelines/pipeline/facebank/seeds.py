"""Face-bank seeds: photos of a person that admins flagged for Screenalytics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg

from trr_pipelines.catalogue import application, audit, entities, seeds
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.seeds import PhotoCounts, Place, ServedPhoto
from trr_pipelines.errors import InputError, NotFoundError

# How long the pages of a list can be read; the trigger on moved links keeps their earlier ranks for an hour.
LIST_SECONDS = 2_700


@dataclass(frozen=True)
class PersonPhotos:
    """A page of a person's served photos; `next_after` is the place of its last when more follow."""

    photos: Sequence[ServedPhoto]
    counts: PhotoCounts
    next_after: Place | None


def set_facebank_seed(
    database: Database, person_id: UUID, link_id: UUID, facebank_seed: bool, *, author: Author
) -> bool:
    """Flag or unflag a photo of a person; returns whether that changed anything.

    Raises NotFoundError when `link_id` is no gallery link of `person_id`.
    """

    def work(conn: Connection) -> bool:
        was_seed = seeds.lock_seed(conn, person_id, link_id)
        if was_seed is None:
            raise NotFoundError(f"person {person_id} has no gallery link {link_id}")
        if was_seed == facebank_seed:
            return False
        seeds.set_seed(conn, link_id, facebank_seed, author=author.actor)
        application.mark_edited(conn, link_id)
        audit.record(
            conn,
            author,
            "facebank_seed",
            "link",
            link_id,
            old={"facebank_seed": was_seed, "person_id": person_id},
            new={"facebank_seed": facebank_seed, "person_id": person_id},
        )
        return True

    return database.run(work)


def person_photos(
    database: Database, person_id: UUID, *, seed_only: bool, after: Place | None = None, offset: int = 0, limit: int
) -> PersonPhotos:
    """Served photos of a person, best first, in one snapshot: those after `after`, or from `offset` on.

    Photos that move while a list is read keep the place that they had when it was begun, for an hour. Raises
    NotFoundError for an unknown person, and InputError for a place that is no place of a list, or older than an hour.
    """

    def work(conn: Connection) -> PersonPhotos:
        if not entities.exists(conn, "person", person_id):
            raise NotFoundError(f"no person {person_id}")
        if after is None:
            found = seeds.served_photos(conn, person_id, seed_only=seed_only, offset=offset, limit=limit + 1)
        else:
            found = seeds.served_photos_after(conn, person_id, after, seed_only=seed_only, limit=limit + 1)
        page = found[:limit]
        next_after = seeds.place_of(conn, page[-1], after) if len(page) < len(found) else None
        return PersonPhotos(page, seeds.count_photos(conn, person_id, seed_only=seed_only), next_after)

    if after is not None and abs(time.time() - after.begun / 1e6) > LIST_SECONDS:
        raise InputError(f"cursor: the list was begun more than {LIST_SECONDS // 60} minutes ago; begin it again")
    try:
        return database.read(work)
    except psycopg.errors.InvalidTextRepresentation:
        raise InputError("cursor: not a cursor of this server") from None
