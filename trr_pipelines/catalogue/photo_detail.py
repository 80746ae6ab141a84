"""One photo with everything that is known of it: its links, files, work and versions. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import photos
from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("photo_detail.sql")

Row = dict[str, Any]


@dataclass(frozen=True)
class AssetRows:
    """The rows of one photo: itself with its active crop, links, variants (also superseded), ledger, versions."""

    photo: Row
    links: list[Row]
    variants: list[Row]
    generations: list[Row]
    versions: list[Row]


def asset(conn: Connection, photo_id: UUID) -> AssetRows | None:
    """Everything that is known of a photo; None when there is none of this id."""
    photo = _queries.asset(conn, photo_id=photo_id)
    if photo is None:
        return None
    return AssetRows(
        photo,
        list(_queries.links(conn, photo_id=photo_id)),
        list(_queries.variants(conn, photo_id=photo_id)),
        list(_queries.generations(conn, photo_id=photo_id)),
        photos.versions(conn, photo_id),
    )
