"""Shows and people in the catalogue: lookup by id, slug or name, lists with the size of their galleries, renaming.

Slugs are in `slugs`; imports create entities in `imports`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from trr_pipelines.catalogue import slugs
from trr_pipelines.catalogue.database import Connection, load_queries, rows_as
from trr_pipelines.catalogue.slugs import EntityKind
from trr_pipelines.errors import NotFoundError

_queries = load_queries("entities.sql")

KINDS = ("photo", "video_still", "brand", "social", "news")


@dataclass(frozen=True)
class Entity:
    """A show or person: `by_kind` are the links of its gallery by kind, each counted up to 10,000.

    `seasons` is 0 for a person, `seeds` (face-bank seeds, up to 10,000) is 0 for a show.
    """

    id: UUID
    name: str
    slug: str
    created_at: datetime
    seasons: int
    seeds: int
    by_kind: dict[str, int]


@dataclass(frozen=True)
class Season:
    """A season of a show, and the links of its gallery by kind, each counted up to 10,000."""

    id: UUID
    number: int
    by_kind: dict[str, int]


def exists(conn: Connection, kind: EntityKind, entity_id: UUID) -> bool:
    """Whether a show or person has this id."""
    return bool(_queries.exists(conn, entity_kind=kind, entity_id=entity_id))


def require_entity(conn: Connection, kind: EntityKind, given: UUID | str) -> UUID:
    """The id of the entity with this id, or with this present or earlier slug. Raises NotFoundError."""
    if isinstance(given, UUID):
        if exists(conn, kind, given):
            return given
    elif (slug := slugs.find(conn, kind, [given])) is not None:
        return slug.entity_id
    raise NotFoundError(f"no {kind} {given}")


def page(
    conn: Connection,
    kind: EntityKind,
    *,
    entity_id: UUID | None = None,
    q: str | None = None,
    after: UUID | None = None,
    limit: int = 1,
) -> list[Entity]:
    """Shows or people by name, after the entity `after`, with `q` in their names; or the one with this id."""
    rows = _queries.page(conn, entity_kind=kind, entity_id=entity_id, q=q, after=after, limit=limit, kinds=list(KINDS))
    return rows_as(Entity, rows)


def seasons(conn: Connection, show_id: UUID) -> list[Season]:
    """The seasons of a show, by number."""
    return rows_as(Season, _queries.seasons(conn, show_id=show_id, kinds=list(KINDS)))


def lock_name(conn: Connection, kind: EntityKind, entity_id: UUID) -> str | None:
    """The name of an entity, locked to the end of the transaction; None for an unknown id."""
    query = {"show": _queries.lock_show, "person": _queries.lock_person}[kind]
    name: str | None = query(conn, entity_id=entity_id)
    return name


def with_name(conn: Connection, kind: EntityKind, name: str) -> set[UUID]:
    """The entities that have this name, in any case and any spelling that looks the same."""
    return {row["id"] for row in _queries.with_name(conn, entity_kind=kind, name=name)}


def rename(conn: Connection, kind: EntityKind, entity_id: UUID, name: str) -> None:
    """Rename an entity that the caller has locked."""
    query = {"show": _queries.rename_show, "person": _queries.rename_person}[kind]
    query(conn, entity_id=entity_id, name=name)
