"""Shows and people in the catalogue: lists of them with what their galleries hold, and their names.

Their slugs are `slugs`'; that a name in a manifest makes one is `imports`'.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.catalogue.slugs import EntityKind

_queries = load_queries("entities.sql")

KINDS = ("photo", "video_still", "brand", "social", "news")


def exists(conn: Connection, kind: EntityKind, entity_id: UUID) -> bool:
    """Whether there is a show or person of this id."""
    return bool(_queries.exists(conn, entity_kind=kind, entity_id=entity_id))


def listed(
    conn: Connection,
    kind: EntityKind,
    *,
    entity_id: UUID | None = None,
    q: str | None = None,
    after: UUID | None = None,
    limit: int = 1,
) -> list[dict[str, Any]]:
    """Shows or people in the order of their names, after the entity `after`; or the one of this id."""
    query = {"show": _queries.shows, "person": _queries.people}[kind]
    return list(query(conn, entity_id=entity_id, q=q, after=after, limit=limit, kinds=list(KINDS)))


def seasons(conn: Connection, show_id: UUID) -> list[dict[str, Any]]:
    """The seasons of a show with their counts, by number."""
    return list(_queries.seasons(conn, show_id=show_id, kinds=list(KINDS)))


def lock_name(conn: Connection, kind: EntityKind, entity_id: UUID) -> str | None:
    """The name of an entity, locked to the end of the transaction; None when there is none of this id."""
    query = {"show": _queries.lock_show, "person": _queries.lock_person}[kind]
    name: str | None = query(conn, entity_id=entity_id)
    return name


def with_name(conn: Connection, kind: EntityKind, name: str) -> UUID | None:
    """The entity that has this name, in whatever letters."""
    query = {"show": _queries.show_with_title, "person": _queries.person_with_name}[kind]
    found: UUID | None = query(conn, name=name)
    return found


def rename(conn: Connection, kind: EntityKind, entity_id: UUID, name: str) -> None:
    """Give an entity, which the caller holds locked, another name."""
    query = {"show": _queries.rename_show, "person": _queries.rename_person}[kind]
    query(conn, entity_id=entity_id, name=name)
