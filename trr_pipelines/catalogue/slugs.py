"""The registry of slugs: each belongs to one show or person for ever; the current slug of an entity may change.

Transliteration is python-slugify's. Names of entities are in `entities`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from slugify import slugify

from trr_pipelines.catalogue.database import Connection, load_queries, row_as

_queries = load_queries("slugs.sql")

EntityKind = Literal["show", "person"]

MAX_SLUG = 100  # one character of a name may become eighteen in its slug

RESERVED = frozenset({
    "admin", "all", "api", "assets", "delete", "edit", "gallery", "healthz", "index", "login", "logout", "media",
    "media-brand", "media-gallery", "media-videos", "metrics", "new", "news", "null", "operations", "people", "readyz",
    "search", "season", "seasons", "shows", "social", "static", "trr-people", "trr-shows", "undefined",
})  # fmt: skip
"""Path segments that the admin app and the API use, or may use: never a slug, so that no slug hides a page."""

_RESERVED_FORMS = re.compile(r"season-\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")


@dataclass(frozen=True)
class FoundSlug:
    """The entity of a slug, and its current slug."""

    entity_id: UUID
    slug: str
    current_slug: str


def slug_of(name: str, kind: EntityKind) -> str:
    """The slug of a name; the kind itself when no character of the name can be transliterated."""
    return slugify(name, max_length=MAX_SLUG) or kind


def is_slug(name: str) -> bool:
    """Whether a name has the form of a slug."""
    return re.fullmatch(r"[a-z0-9-]+", name) is not None


def is_reserved(slug: str) -> bool:
    """Whether a slug is never given: a path segment of ours, the form of a season, or the form of an id."""
    return slug in RESERVED or _RESERVED_FORMS.fullmatch(slug) is not None


def lock(conn: Connection) -> None:
    """Serialise naming of entities, to the end of the transaction."""
    _queries.lock(conn)


def give(conn: Connection, kind: EntityKind, entity_id: UUID, name: str) -> str:
    """Make the slug of `name` the entity's current one, and return it; the caller holds the lock.

    A slug that another entity has or had gets the suffix `-2`, `-3`, … Earlier slugs of the entity still find it.
    """
    (slug,) = _free(conn, kind, [_base(name, kind)], owner=entity_id)
    _queries.retire(conn, entity_kind=kind, entity_id=entity_id)
    _queries.give(conn, entity_kind=kind, entity_id=entity_id, slug=slug)
    return slug


def give_new(conn: Connection, kind: EntityKind, names: Mapping[UUID, str]) -> None:
    """Give new entities, by id, the slugs of their names, numbered as in `give`; the caller holds the lock."""
    left = {entity_id: _base(name, kind) for entity_id, name in names.items()}
    while left:  # of `a-2` and the second `a`, one gets its slug in the next round
        slugs = _free(conn, kind, list(left.values()))
        for row in _queries.give_new(conn, entity_kind=kind, slugs=slugs, entity_ids=list(left)):
            del left[row["entity_id"]]


def _base(name: str, kind: EntityKind) -> str:
    """The slug of a name, of which at least the forms with a number can be given."""
    slug = slug_of(name, kind)
    return f"{slug}-{kind}" if is_reserved(f"{slug}-2") else slug


def _free(conn: Connection, kind: EntityKind, bases: Sequence[str], *, owner: UUID | None = None) -> list[str]:
    """A slug for each base that no entity but `owner` has or had; equal bases get different ones."""
    wanted = Counter(bases)
    firsts = [2 if is_reserved(base) else 1 for base in wanted]
    rows = _queries.free_numbers(
        conn, entity_kind=kind, entity_id=owner, bases=list(wanted), firsts=firsts, counts=list(wanted.values())
    )
    free: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row["number"], reverse=True):
        free.setdefault(row["base"], []).append(row["base"] if row["number"] == 1 else f"{row['base']}-{row['number']}")
    return [free[base].pop() for base in bases]


def find(conn: Connection, kind: EntityKind, slugs: Sequence[str]) -> FoundSlug | None:
    """The entity of the first of these slugs that was ever given."""
    return row_as(FoundSlug, _queries.find(conn, entity_kind=kind, slugs=list(slugs)))


def candidates(given: str) -> list[str]:
    """Slugs that `given` may mean: itself, its slugified form, and its leading part of slug characters."""
    folded = given.casefold()
    plain = re.match(r"[a-z0-9-]*", folded)
    forms = [given, slugify(given, max_length=MAX_SLUG), plain.group().strip("-") if plain else ""]
    return [slug for slug in dict.fromkeys(forms) if slug]
