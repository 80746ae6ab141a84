"""Galleries in the catalogue: a page of links with their photos, the files served of them, how many links there are.

What a page looks like to callers is `pipeline.gallery`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("galleries.sql")

Sort = Literal["position", "newest"]


@dataclass(frozen=True)
class Filters:
    """Which links of a gallery: None means all.

    `tags` must all be there, `q` is looked for in caption and tags, `state` is the photo's (pending, mirrored,
    failed) or that of its base set (pending, complete, failed), `crop` is auto, manual or none.
    """

    kind: str | None = None
    tags: list[str] | None = None
    source: str | None = None
    state: str | None = None
    reason: str | None = None
    seed: bool | None = None
    crop: str | None = None
    q: str | None = None

    @property
    def asks_photos(self) -> bool:
        """Whether the rows of the photos themselves must be looked at, beyond what few of them have."""
        return any((self.source, self.state, self.reason)) or self.crop in ("auto", "none")


@dataclass(frozen=True)
class After:
    """The last link of the page before: its place in the order that the page is read in."""

    link_id: UUID
    position: int | None = None
    created_at: datetime | None = None


def seasons(conn: Connection, show_id: UUID) -> dict[UUID, int]:
    """The numbers of a show's seasons by their ids, in order."""
    return {row["id"]: row["number"] for row in _queries.seasons(conn, show_id=show_id)}


def walk_in_order(conn: Connection) -> None:
    """Have `page` and `total` stop when they have enough, to the end of the transaction."""
    _queries.walk_in_order(conn)


def page(
    conn: Connection, entities: Sequence[UUID], filters: Filters, *, sort: Sort, after: After | None, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` links of these entities in order, each with its photo."""
    place = after or After(UUID(int=0))
    return list(
        _queries.page(conn, entities=list(entities), **asdict(filters), sort=sort, limit=limit, **asdict(place))
    )


def total(conn: Connection, entities: Sequence[UUID], filters: Filters, *, most: int) -> int:
    """How many links match; `most` where there are that many or more."""
    return int(_queries.total(conn, entities=list(entities), **asdict(filters), most=most))


def variants(conn: Connection, served_crops: dict[UUID, str]) -> list[dict[str, Any]]:
    """The files that are served of these photos: their base sets, and the crop set of the signature given for each."""
    return list(_queries.variants(conn, photo_ids=list(served_crops), served_crops=list(served_crops.values())))
