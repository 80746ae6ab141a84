"""The shows, seasons, people and tags that rows name: found or created before the rows are registered.

Naming takes a lock that all imports and renames share, so it has short transactions of its own. An import that fails
afterwards leaves entities without photos, which the next one finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar
from uuid import UUID

from trr_pipelines.catalogue import imports
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.imports import Target
from trr_pipelines.catalogue.slugs import EntityKind
from trr_pipelines.pipeline.imports.manifest import ImportRow

T = TypeVar("T")

AT_ONCE = 500  # names in one transaction: others wait for 0.1 s


@dataclass(frozen=True)
class Names:
    """Ids of shows and people by the name in a row, of seasons by show and number; tags as they were first spelled."""

    shows: dict[str, UUID]
    people: dict[str, UUID]
    seasons: dict[tuple[UUID, int], UUID]
    tags: dict[str, str]

    def targets(self, row: ImportRow) -> list[Target]:
        """The galleries of a row. One with a season is linked to the season instead of the show; people are added."""
        targets = []
        if row.show:
            show = self.shows[row.show]
            is_season = row.season is not None
            targets.append(
                Target(season_id=self.seasons[show, row.season]) if is_season else Target(show_id=show)  # type: ignore[index]
            )
        return targets + [Target(person_id=self.people[name]) for name in row.people]

    def spelled(self, row: ImportRow) -> tuple[str, ...]:
        """The tags of a row."""
        return tuple(dict.fromkeys(self.tags[tag] for tag in row.tags))


def name_entities(database: Database, rows: Sequence[ImportRow]) -> Names:
    """Find or create what these rows name."""
    shows = _ensure(database, "show", (row.show for row in rows if row.show))
    people = _ensure(database, "person", (name for row in rows for name in row.people))
    wanted = list(dict.fromkeys((shows[row.show], row.season) for row in rows if row.show and row.season is not None))
    seasons: dict[tuple[UUID, int], UUID] = {}
    for some in _parts(wanted):
        seasons |= database.run(lambda conn, some=some: imports.ensure_seasons(conn, some))  # type: ignore[misc]
    tags: dict[str, str] = {}
    for some_tags in _parts(tag for row in rows for tag in row.tags):
        tags |= database.run(lambda conn, some=some_tags: imports.first_spellings(conn, some))  # type: ignore[misc]
    return Names(shows, people, seasons, tags)


def _ensure(database: Database, kind: EntityKind, names: Iterable[str]) -> dict[str, UUID]:
    found: dict[str, UUID] = {}
    for some in _parts(names):
        found |= database.run(lambda conn, some=some: imports.ensure_entities(conn, kind, some))  # type: ignore[misc]
    return found


def _parts(values: Iterable[T]) -> Iterator[list[T]]:
    """The different values, at most AT_ONCE at a time."""
    different = iter(dict.fromkeys(values))
    while part := list(islice(different, AT_ONCE)):
        yield part
