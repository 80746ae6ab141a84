"""Shows and people: lists, lookup by id or slug, renaming."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from trr_pipelines.catalogue import audit, entities, slugs
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.entities import Entity, require_entity
from trr_pipelines.catalogue.slugs import EntityKind
from trr_pipelines.errors import ConflictError, NotFoundError
from trr_pipelines.pipeline.names import displayable_name


class SeasonRow(TypedDict):
    """A season of a show, and the links of its gallery by kind."""

    id: UUID
    number: int
    by_kind: dict[str, int]


class EntityRow(TypedDict, total=False):
    """A show or person as the API presents it: a show has `title` and `seasons`, a person `full_name` and `seeds`.

    `seasons_listed` is there for a single show.
    """

    id: UUID
    slug: str
    created_at: datetime
    by_kind: dict[str, int]
    title: str
    seasons: int
    seasons_listed: list[SeasonRow]
    full_name: str
    seeds: int


@dataclass(frozen=True)
class EntityPage:
    """Shows or people; `next_after` is the id of the last one when more follow."""

    rows: list[EntityRow]
    next_after: UUID | None


@dataclass(frozen=True)
class ResolvedSlug:
    """The entity of a slug, whether the slug is canonical, and the canonical slug."""

    entity_id: UUID
    is_canonical: bool
    canonical_slug: str


def list_entities(database: Database, kind: EntityKind, *, q: str | None, after: UUID | None, limit: int) -> EntityPage:
    """A page of shows or people by name, of those with `q` in their names."""
    found = database.read(lambda conn: entities.page(conn, kind, q=q, after=after, limit=limit + 1))
    page = found[:limit]
    return EntityPage([_row(kind, entity) for entity in page], page[-1].id if len(page) < len(found) else None)


def one_entity(database: Database, kind: EntityKind, given: UUID | str) -> EntityRow:
    """The show, with its seasons, or the person with this id or slug. Raises NotFoundError."""

    def work(conn: Connection) -> EntityRow:
        return _read(conn, kind, require_entity(conn, kind, given))

    return database.read(work)


def resolve_slug(database: Database, kind: EntityKind, given: str) -> ResolvedSlug:
    """The entity of a present or earlier slug, also when written differently. Raises NotFoundError."""
    found = database.read(lambda conn: slugs.find(conn, kind, slugs.candidates(given)))
    if found is None:
        raise NotFoundError(f"no {kind} has the slug {given}")
    return ResolvedSlug(found.entity_id, given == found.current_slug, found.current_slug)


def rename_entity(database: Database, kind: EntityKind, given: UUID | str, name: str, *, author: Author) -> EntityRow:
    """Rename a show or person, with a slug of the new name; earlier slugs still find it.

    Its present name changes nothing. Raises NotFoundError; InputError for a name that cannot be displayed;
    ConflictError for a name that another entity has.
    """
    new_name = displayable_name(name)

    def work(conn: Connection) -> EntityRow:
        slugs.lock(conn)
        entity_id = require_entity(conn, kind, given)
        old_name = entities.lock_name(conn, kind, entity_id)
        if old_name != new_name:
            holders = entities.with_name(conn, kind, new_name)
            if holders and entity_id not in holders:
                raise ConflictError(f"{kind} {min(holders)} has the name {new_name} already; nothing was changed")
            old_slug = _read(conn, kind, entity_id)["slug"]
            entities.rename(conn, kind, entity_id, new_name)
            new_slug = slugs.give(conn, kind, entity_id, new_name)
            old, new = {"name": old_name, "slug": old_slug}, {"name": new_name, "slug": new_slug}
            audit.record(conn, author, "rename", kind, entity_id, old=old, new=new)
        return _read(conn, kind, entity_id)

    return database.run(work)


def _read(conn: Connection, kind: EntityKind, entity_id: UUID) -> EntityRow:
    (entity,) = entities.page(conn, kind, entity_id=entity_id)
    row = _row(kind, entity)
    if kind == "show":
        row["seasons_listed"] = [
            {"id": season.id, "number": season.number, "by_kind": season.by_kind}
            for season in entities.seasons(conn, entity_id)
        ]
    return row


def _row(kind: EntityKind, entity: Entity) -> EntityRow:
    row: EntityRow = {
        "id": entity.id,
        "slug": entity.slug,
        "created_at": entity.created_at,
        "by_kind": entity.by_kind,
    }
    if kind == "show":
        return {**row, "title": entity.name, "seasons": entity.seasons}
    return {**row, "full_name": entity.name, "seeds": entity.seeds}
