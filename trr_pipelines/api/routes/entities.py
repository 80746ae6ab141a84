"""Shows and people: lists, details, renaming, and resolving slugs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, StrictStr

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, GuardedRoute, open_to
from trr_pipelines.api.cursors import decode_id, encode_cursor
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor
from trr_pipelines.api.parameters import Line, Name, PageSize, id_or_slug
from trr_pipelines.catalogue.slugs import EntityKind
from trr_pipelines.pipeline.galleries.entities import EntityPage, list_entities, one_entity, rename_entity, resolve_slug

router = APIRouter(route_class=GuardedRoute, tags=["shows and people"])


class LinkCounts(BaseModel):
    """Links of a gallery by kind, each counted up to 10,000, and in total."""

    photo: int
    video_still: int
    brand: int
    social: int
    news: int
    total: int


class ShowCounts(LinkCounts):
    """Links of a show and of its seasons, and how many seasons there are."""

    seasons: int


class PersonCounts(LinkCounts):
    """Links of a person, and how many of them are face-bank seeds."""

    facebank_seeds: int


class Show(BaseModel):
    """A show."""

    id: UUID
    slug: str
    title: str
    counts: ShowCounts
    created_at: datetime


class Season(BaseModel):
    """A season of a show."""

    id: UUID
    number: int
    counts: LinkCounts


class ShowWithSeasons(Show):
    """A show and its seasons by number."""

    seasons: list[Season]


class Person(BaseModel):
    """A person."""

    id: UUID
    slug: str
    full_name: str
    counts: PersonCounts
    created_at: datetime


class Shows(BaseModel):
    """A page of shows by title."""

    items: list[Show]
    next_cursor: str | None


class People(BaseModel):
    """A page of people by name."""

    items: list[Person]
    next_cursor: str | None


class ShowChange(BaseModel):
    """Another title for a show."""

    model_config = ConfigDict(extra="forbid")

    title: StrictStr


class PersonChange(BaseModel):
    """Another name for a person."""

    model_config = ConfigDict(extra="forbid")

    full_name: StrictStr


class Slug(BaseModel):
    """The entity of a slug; an address with a slug that is not canonical should redirect to `canonical_slug`."""

    id: UUID
    slug: str
    canonical: bool
    canonical_slug: str


Search = Annotated[Line | None, Query(description="text in the name, in any case")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the previous page")]
_KINDS: dict[str, EntityKind] = {"shows": "show", "people": "person"}


@router.get("/api/v1/admin/shows", **open_to(ADMIN, ADMIN_APP))
def shows(archive: CurrentArchive, q: Search = None, limit: PageSize = 50, cursor: Cursor = None) -> Shows:
    """Shows by title."""
    page = _page(archive, "show", q, limit, cursor)
    return Shows(items=[_show(row) for row in page.rows], next_cursor=_next(page))


@router.get("/api/v1/admin/shows/{show}", **open_to(ADMIN, ADMIN_APP, errors=(404,)))
def show(show: Name, archive: CurrentArchive) -> ShowWithSeasons:
    """A show with its seasons. `show` is an id or a slug."""
    return _with_seasons(one_entity(archive.database, "show", id_or_slug(show)))


@router.patch("/api/v1/admin/shows/{show}", **open_to(ADMIN, errors=(404, 409, 413, 415)))
def rename_show(show: Name, change: ShowChange, archive: CurrentArchive, author: CurrentAuthor) -> ShowWithSeasons:
    """Rename a show. It gets a new slug, and the old one resolves to it."""
    return _with_seasons(rename_entity(archive.database, "show", id_or_slug(show), change.title, author=author))


@router.get("/api/v1/admin/people", **open_to(ADMIN, ADMIN_APP))
def people(archive: CurrentArchive, q: Search = None, limit: PageSize = 50, cursor: Cursor = None) -> People:
    """People by name."""
    page = _page(archive, "person", q, limit, cursor)
    return People(items=[_person(row) for row in page.rows], next_cursor=_next(page))


@router.get("/api/v1/admin/people/{person}", **open_to(ADMIN, ADMIN_APP, errors=(404,)))
def person(person: Name, archive: CurrentArchive) -> Person:
    """A person. `person` is an id or a slug."""
    return _person(one_entity(archive.database, "person", id_or_slug(person)))


@router.patch("/api/v1/admin/people/{person}", **open_to(ADMIN, errors=(404, 409, 413, 415)))
def rename_person(person: Name, change: PersonChange, archive: CurrentArchive, author: CurrentAuthor) -> Person:
    """Rename a person. They get a new slug, and the old one resolves to them."""
    return _person(rename_entity(archive.database, "person", id_or_slug(person), change.full_name, author=author))


@router.get("/api/v1/admin/slugs/{kind}/{slug}", **open_to(ADMIN, ADMIN_APP, errors=(404,)))
def slug(kind: Literal["shows", "people"], slug: Name, archive: CurrentArchive) -> Slug:
    """The show or person of a slug: current, earlier, in other case, or followed by junk."""
    resolved = resolve_slug(archive.database, _KINDS[kind], slug)
    return Slug(
        id=resolved.entity_id, slug=slug, canonical=resolved.is_canonical, canonical_slug=resolved.canonical_slug
    )


def _page(archive: CurrentArchive, kind: EntityKind, q: str | None, limit: int, cursor: str | None) -> EntityPage:
    after = None if cursor is None else decode_id(cursor)
    return list_entities(archive.database, kind, q=q or None, after=after, limit=limit)


def _next(page: EntityPage) -> str | None:
    return None if page.next_after is None else encode_cursor(str(page.next_after))


def _links(row: Mapping[str, Any]) -> dict[str, int]:
    by_kind: dict[str, int] = row["by_kind"]
    return {**by_kind, "total": sum(by_kind.values())}


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "slug", "title", "full_name", "created_at") if name in row}


def _show(row: Mapping[str, Any]) -> Show:
    return Show(**_named(row), counts=ShowCounts(**_links(row), seasons=row["seasons"]))


def _with_seasons(row: Mapping[str, Any]) -> ShowWithSeasons:
    seasons = [
        Season(id=season["id"], number=season["number"], counts=LinkCounts(**_links(season)))
        for season in row["seasons_listed"]
    ]
    return ShowWithSeasons(**_named(row), counts=ShowCounts(**_links(row), seasons=row["seasons"]), seasons=seasons)


def _person(row: Mapping[str, Any]) -> Person:
    return Person(**_named(row), counts=PersonCounts(**_links(row), facebank_seeds=row["seeds"]))
