"""The owner's application for tests: its database from `samples/application.sql`, rows, and a reader of its galleries.

The reader knows only the documented keys of the application: nothing of this product.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

import trr_pipelines.samples
from trr_pipelines.bridge.application import Application
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines_tests.support.databases import new_database

SCHEMA = Path(trr_pipelines.samples.__file__).parent / "application.sql"
TABLES = ("shows", "seasons", "people", "media_assets", "media_links", "media_asset_variants", "cast_photos")


@contextmanager
def new_application(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An application database without rows; yields its URL."""
    with new_database(postgres, "template1") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(SCHEMA.read_text())  # type: ignore[arg-type]  our own file
        yield url


@contextmanager
def opened(url: str) -> Iterator[Application]:
    """The application as the bridge opens it."""
    application = Application(url).open()
    yield application
    application.close()


class Rows:
    """Writes and reads rows of an application, as its own programs do."""

    def __init__(self, url: str) -> None:
        self.url = url

    def execute(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Run a statement in its own transaction; returns its rows."""
        with psycopg.connect(self.url, row_factory=dict_row) as conn:
            cursor = conn.execute(sql, parameters)  # type: ignore[arg-type]  the tests' own SQL
            return cursor.fetchall() if cursor.description else []

    def _add(self, table: str, values: Mapping[str, Any]) -> UUID:
        row = {"id": uuid4(), **values}
        packed = [json.dumps(value) if isinstance(value, dict) else value for value in row.values()]
        places = ", ".join(["%s"] * len(row))
        self.execute(f"insert into core.{table} ({', '.join(row)}) values ({places})", *packed)  # noqa: S608
        return UUID(str(row["id"]))

    def show(self, name: str, **values: Any) -> UUID:
        return self._add("shows", {"name": name, **values})

    def season(self, show_id: UUID, number: int) -> UUID:
        return self._add("seasons", {"show_id": show_id, "season_number": number})

    def person(self, name: str) -> UUID:
        return self._add("people", {"full_name": name})

    def asset(self, key: str | None = None, *, bucket: str = "local", **values: Any) -> UUID:
        """A photo; hosted at `key` unless that is None."""
        hosted: dict[str, Any] = {}
        if key is not None:
            hosted = {
                "hosted_bucket": bucket,
                "hosted_key": key,
                "hosted_url": f"https://cdn.example/{key}",
                "ingest_status": "hosted",
            }
        return self._add("media_assets", {"source": "imdb", **hosted, **values})

    def link(self, asset_id: UUID, entity_type: str, entity_id: UUID, kind: str = "gallery", **values: Any) -> UUID:
        return self._add(
            "media_links",
            {
                "media_asset_id": asset_id,
                "entity_type": entity_type,
                "entity_id": entity_id,
                "kind": kind,
                **values,
            },
        )

    def dump(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Every row of every table, without `updated_at`, which a trigger sets."""
        return {
            table: {
                row["id"]: {key: value for key, value in row["row"].items() if key != "updated_at"}
                for row in self.execute(f"select id::text, to_jsonb(t) as row from core.{table} t")  # noqa: S608
            }
            for table in TABLES
        }


class Reader:
    """What a gallery of the application shows, by its documented rules."""

    def __init__(self, url: str) -> None:
        self._rows = Rows(url)

    def gallery(self, entity_id: UUID) -> list[dict[str, Any]]:
        """The photos of an entity: metadata, with each link's context laid over it."""
        rows = self._rows.execute(
            "select l.id, l.media_asset_id, a.hosted_url, a.metadata, l.context"
            " from core.media_links l join core.media_assets a on a.id = l.media_asset_id"
            " where l.entity_id = %s order by l.position nulls last, l.id",
            entity_id,
        )
        return [self._shown(row) for row in rows]

    def asset(self, asset_id: UUID) -> dict[str, Any]:
        """A photo without any link."""
        (row,) = self._rows.execute(
            "select null as id, id as media_asset_id, hosted_url, metadata, null as context"
            " from core.media_assets where id = %s",
            asset_id,
        )
        return self._shown(row)

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        metadata = {**row["metadata"], **(row["context"] or {})}
        sets = metadata.get("variants") or {}
        active = metadata.get("active_crop_signature") or "base"
        base, crop = sets.get("base", {}), sets.get(active, {}) if active != "base" else {}
        card = metadata.get("display_url") or _url(base, "card")
        detail = metadata.get("detail_url") or _url(base, "detail")
        crop_card = metadata.get("crop_display_url") or _url(crop, "crop_card")
        crop_detail = metadata.get("crop_detail_url") or _url(crop, "crop_detail")
        is_missing = not (card and detail) or (active != "base" and not (crop_card and crop_detail))
        return {
            "link_id": row["id"],
            "asset_id": row["media_asset_id"],
            "card": card,
            "detail": detail,
            "thumb": metadata.get("thumb_url") or _url(base, "thumb"),
            "signature": active,
            "crop_card": crop_card,
            "crop_detail": crop_detail,
            "missing_variants": is_missing,
            "shown": crop_card or metadata.get("thumb_url") or card or row["hosted_url"],
        }


def _url(files: Mapping[str, Any], key: str) -> str | None:
    formats = files.get(key, {})
    chosen = formats.get("webp") or formats.get("jpg")
    return None if chosen is None else str(chosen["url"])


def set_name(intent: Mapping[str, Any]) -> str:
    """The application's signature of a crop intent, from its documentation."""
    x, y = (min(max(float(intent[name]), 0), 100) for name in ("x", "y"))
    zoom = min(max(float(intent.get("zoom", 1)), 1), 4)
    return f"{intent.get('mode', 'manual')}:{x:.3f}:{y:.3f}:{zoom:.3f}"
