"""Shows and people: finding them by id or slug, looking through them, renaming them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import audit, entities, slugs
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.slugs import EntityKind
from trr_pipelines.errors import ConflictError, InputError, NotFoundError

MAX_NAME = 300
# They turn the text around them, also that of the page. Marks and joiners, which names in Persian need, stay allowed.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class EntityPage:
    """Rows of shows or people; `next_after` is the last one where there are more."""

    rows: list[dict[str, Any]]
    next_after: UUID | None


@dataclass(frozen=True)
class ResolvedSlug:
    """The entity that a slug stands for, whether the slug is the right one, and which one is."""

    entity_id: UUID
    is_canonical: bool
    canonical_slug: str


def require_entity(conn: Connection, kind: EntityKind, given: UUID | str) -> UUID:
    """The id of the entity with this id, or with this slug now or earlier. Raises NotFoundError."""
    if isinstance(given, UUID):
        if entities.exists(conn, kind, given):
            return given
    elif (found := slugs.find(conn, kind, [given])) is not None:
        return found.entity_id
    raise NotFoundError(f"no {kind} {given}")


def list_entities(database: Database, kind: EntityKind, *, q: str | None, after: UUID | None, limit: int) -> EntityPage:
    """A page of shows or people by name, of those that have `q` in their names."""
    rows = database.read(lambda conn: entities.listed(conn, kind, q=q, after=after, limit=limit + 1))
    page = rows[:limit]
    return EntityPage(page, page[-1]["id"] if len(page) < len(rows) else None)


def one_entity(database: Database, kind: EntityKind, given: UUID | str) -> dict[str, Any]:
    """The show, with its seasons, or the person with this id or slug. Raises NotFoundError."""

    def work(conn: Connection) -> dict[str, Any]:
        return _row(conn, kind, require_entity(conn, kind, given))

    return database.read(work)


def resolve_slug(database: Database, kind: EntityKind, given: str) -> ResolvedSlug:
    """Which entity an address means: by its slug, by one that it had, or by one written wrong. Raises NotFoundError."""
    found = database.read(lambda conn: slugs.find(conn, kind, slugs.meant_by(given)))
    if found is None:
        raise NotFoundError(f"no {kind} has the slug {given}")
    return ResolvedSlug(found.entity_id, given == found.current_slug, found.current_slug)


def rename_entity(
    database: Database, kind: EntityKind, given: UUID | str, name: str, *, author: Author
) -> dict[str, Any]:
    """Give a show or person another name, and the slug of that name; the slugs before go on leading there.

    The name that it has already changes nothing. Raises NotFoundError; InputError for a name that cannot be shown;
    ConflictError for one that another entity has.
    """
    clean = _shown_name(name)

    def work(conn: Connection) -> dict[str, Any]:
        slugs.lock(conn)
        entity_id = require_entity(conn, kind, given)
        before = entities.lock_name(conn, kind, entity_id)
        if before != clean:
            holder = entities.with_name(conn, kind, clean)
            if holder not in (None, entity_id):
                raise ConflictError(f"{kind} {holder} has the name {clean} already; nothing was changed")
            old_slug = _row(conn, kind, entity_id)["slug"]
            entities.rename(conn, kind, entity_id, clean)
            slug = slugs.give(conn, kind, entity_id, clean)
            old, new = {"name": before, "slug": old_slug}, {"name": clean, "slug": slug}
            audit.record(conn, author, "rename", kind, entity_id, old=old, new=new)
        return _row(conn, kind, entity_id)

    return database.run(work)


def _row(conn: Connection, kind: EntityKind, entity_id: UUID) -> dict[str, Any]:
    (row,) = entities.listed(conn, kind, entity_id=entity_id)
    return {**row, "seasons_listed": entities.seasons(conn, entity_id)} if kind == "show" else row


def _shown_name(name: str) -> str:
    """`name` in one line and composed letters. Raises InputError for one that is blank, too long or cannot be shown."""
    clean = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(clean) <= MAX_NAME:
        raise InputError(f"the name has {len(clean)} characters; 1 to {MAX_NAME} are needed")
    if any(unicodedata.category(character) in ("Cc", "Cs") or character in _TURNING for character in clean):
        raise InputError("the name has a character that cannot be shown")
    if not any(unicodedata.category(character)[0] in "LNPS" for character in clean):
        raise InputError("the name has no character that is seen")
    return clean
