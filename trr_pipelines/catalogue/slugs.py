"""The registry of slugs: each names one show or person for ever; the current one of an entity may change.

Rules are python-slugify's. Which name an entity has is `entities`'.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from slugify import slugify

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("slugs.sql")

EntityKind = Literal["show", "person"]

MAX_SLUG = 100  # one character of a name may be spelt out in eighteen

RESERVED = frozenset({
    "admin", "all", "api", "assets", "delete", "edit", "gallery", "healthz", "index", "login", "logout", "media",
    "media-brand", "media-gallery", "media-videos", "metrics", "new", "news", "null", "operations", "people", "readyz",
    "search", "season", "seasons", "shows", "social", "static", "trr-people", "trr-shows", "undefined",
})  # fmt: skip
"""Words that addresses of the admin app and the API use, or may use: no slug, so that none ever hides a page."""

_RESERVED_FORMS = re.compile(r"season-\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")


@dataclass(frozen=True)
class FoundSlug:
    """The entity that a slug stands for, and the slug that it has now."""

    entity_id: UUID
    slug: str
    current_slug: str


def slug_of(name: str, kind: EntityKind) -> str:
    """The slug that a name asks for; that of its kind where no letter of the name can be spelt."""
    return slugify(name, max_length=MAX_SLUG) or kind


def is_reserved(slug: str) -> bool:
    """Whether the slug is never given: a word of our addresses, a season's name, the form of an id."""
    return slug in RESERVED or _RESERVED_FORMS.fullmatch(slug) is not None


def lock(conn: Connection) -> None:
    """Keep everybody else from naming an entity, to the end of the transaction."""
    _queries.lock(conn)


def give(conn: Connection, kind: EntityKind, entity_id: UUID, name: str) -> str:
    """Make the slug of `name` the entity's current one, and return it; the caller holds the lock.

    One that another entity has, or had, gets `-2`, `-3`, … at its end. Slugs that the entity had before still find it.
    """
    wanted = slug_of(name, kind)
    owners = {row["slug"]: row["entity_id"] for row in _queries.taken(conn, entity_kind=kind, slug=wanted)}
    slug, number = wanted, 1
    while is_reserved(slug) or owners.get(slug, entity_id) != entity_id:
        number += 1
        slug = f"{wanted}-{number}"
    _queries.retire(conn, entity_kind=kind, entity_id=entity_id)
    _queries.give(conn, entity_kind=kind, entity_id=entity_id, slug=slug)
    return slug


def find(conn: Connection, kind: EntityKind, slugs: Sequence[str]) -> FoundSlug | None:
    """The entity that the first of these slugs that was ever given stands for."""
    row = _queries.find(conn, entity_kind=kind, slugs=list(slugs))
    return row and FoundSlug(row["entity_id"], row["slug"], row["current_slug"])


def meant_by(given: str) -> list[str]:
    """What somebody may have meant who wrote `given`: itself, with other letters, or without what follows it."""
    folded = given.casefold()
    plain = re.match(r"[a-z0-9-]*", folded)
    candidates = [given, slugify(given, max_length=MAX_SLUG), plain.group().strip("-") if plain else ""]
    return [slug for slug in dict.fromkeys(candidates) if slug]
