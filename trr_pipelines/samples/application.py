"""A made-up application for the bridge: rows of `application.sql` with their objects at foreign keys, faults included.

For the demo, tests and benchmarks. The same arguments make the same rows but for their ids.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import psycopg

from trr_pipelines.samples.copies import numbered

SCHEMA = Path(__file__).with_suffix(".sql")
PEOPLE, SHOWS, SEASONS = 20, 4, 3
# Shares of all rows: those that name another row's object, and those whose object does not exist.
SHARED, MISSING = 0.05, 0.03
SOURCES = ("imdb", "tmdb", "bravotv", "www.deadline.com", "web_scrape", "getty")

Put = Callable[[str, bytes], object]
"""Stores an object at a key of the application."""


@dataclass
class MadeApplication:
    """What was made: ids of rows by what is special about them, and the hash of each object by its key."""

    photos: list[UUID] = field(default_factory=list)
    missing: set[UUID] = field(default_factory=set)
    shared: set[UUID] = field(default_factory=set)
    entities: dict[str, list[UUID]] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    links_with_crop: int = 0
    contradictory: int = 0


def make_application(
    url: str,
    put: Put,
    pictures: Sequence[tuple[str, bytes]],
    *,
    photos: int,
    bucket: str,
    base_url: str,
    crops: int = 0,
    contradictory: int = 0,
    seed: int = 1,
) -> MadeApplication:
    """Fill an empty database with the application's schema, and `photos` rows with byte-distinct copies of `pictures`.

    `crops` links ask for a crop of their own; of `contradictory` photos two links ask for different ones.
    """
    chance = random.Random(seed)  # noqa: S311  made-up rows
    made = MadeApplication()
    with psycopg.connect(url) as conn:
        conn.execute(SCHEMA.read_text(encoding="utf-8"))
        made.entities = _entities(conn)
        _photos(conn, made, put, pictures, photos, chance, bucket, base_url)
        _links(conn, made, crops, contradictory, chance)
        conn.execute("commit")
        conn.autocommit = True
        conn.execute("analyze")
    return made


def _entities(conn: psycopg.Connection[Any]) -> dict[str, list[UUID]]:
    """Shows, two of them namesakes; seasons; people, two of them namesakes."""
    shows = [_insert(conn, "shows", name="The Valley" if number < 2 else f"Show {number}") for number in range(SHOWS)]
    seasons = [
        _insert(conn, "seasons", show_id=show, season_number=number + 1) for show in shows for number in range(SEASONS)
    ]
    people = [
        _insert(conn, "people", full_name="Placeholder A" if number < 2 else f"Placeholder {number}")
        for number in range(PEOPLE)
    ]
    return {"show": shows, "season": seasons, "person": people}


def _photos(
    conn: psycopg.Connection[Any],
    made: MadeApplication,
    put: Put,
    pictures: Sequence[tuple[str, bytes]],
    count: int,
    chance: random.Random,
    bucket: str,
    base_url: str,
) -> None:
    copies = [(name, data) for name, data in pictures if numbered(data, 0) is not None]
    keys: list[str] = []
    for number in range(count):
        name, data = copies[number % len(copies)]
        is_shared = len(keys) > 20 and chance.random() < SHARED
        key = chance.choice(keys) if is_shared else _foreign_key(number, name)
        is_missing = not is_shared and chance.random() < MISSING
        if not is_shared and not is_missing:
            copy = numbered(data, number)
            assert copy is not None
            put(key, copy)
            made.objects[key] = hashlib.sha256(copy).hexdigest()
            keys.append(key)
        asset = _insert(
            conn,
            "media_assets",
            source=SOURCES[number % len(SOURCES)],
            source_url=None if number % 7 == 0 else f"https://photos.example/{number}.jpg",
            hosted_bucket=bucket,
            hosted_key=key,
            hosted_url=f"{base_url.rstrip('/')}/{quote(key)}",
            hosted_etag=f'"{number:032x}"',
            # It may name bytes that are not in the object.
            hosted_sha256=hashlib.sha256(f"wrong {number}".encode()).hexdigest(),
            hosted_bytes=len(data),
            ingest_status="hosted",
            metadata=json.dumps({"tags": ["sample"], "note": number, "rating": {"value": number % 5}}),
        )
        made.photos.append(asset)
        if is_shared:
            made.shared.add(asset)
        if is_missing:
            made.missing.add(asset)


def _foreign_key(number: int, name: str) -> str:
    """Keys as the application has them: capitals, spaces, parentheses, letters beyond ASCII, `.bin`."""
    stem = Path(name).stem
    digest = hashlib.sha256(f"{number}{name}".encode()).hexdigest()
    return (
        f"images/people/{stem} ({number}).JPG",
        f"media/{digest[:2]}/{digest}.bin",
        f"images/shows/The Valley/Poster {number} – été.jpg",
        f"images/seasons/{number}/{stem}+{number}%.jpeg",
    )[number % 4]


def _links(
    conn: psycopg.Connection[Any],
    made: MadeApplication,
    crops: int,
    contradictory: int,
    chance: random.Random,
) -> None:
    order = made.photos.copy()
    chance.shuffle(order)
    with_two, with_crop = set(order[:contradictory]), set(order[: max(0, crops - contradictory)])
    kinds = {"person": "gallery", "show": "poster", "season": "backdrop"}
    for number, asset in enumerate(made.photos):
        groups = ("person", "show", "season")
        chosen = [groups[number % 3]]
        if asset in with_two or number % 5 == 0:
            chosen.append(groups[(number + 1) % 3])
        for place, group in enumerate(chosen):
            has_crop = asset in with_two or (asset in with_crop and place == 0)
            context: dict[str, Any] = {"caption": f"Photo {number}", "tags": ["sample"]}
            if has_crop:
                made.links_with_crop += 1
                context["thumbnail_crop"] = {
                    "x": round(chance.uniform(0, 100), 2),
                    "y": round(chance.uniform(0, 100), 2),
                    "zoom": round(chance.uniform(1, 4), 2),
                    "mode": "manual",
                }
            _insert(
                conn,
                "media_links",
                entity_type=group,
                entity_id=chance.choice(made.entities[group]),
                media_asset_id=asset,
                kind=kinds[group],
                position=None if number % 11 == 0 else number,
                context=json.dumps(context),
                facebank_seed=group == "person" and number % 9 == 0,
            )
    made.contradictory = len(with_two)


def _insert(conn: psycopg.Connection[Any], table: str, **values: Any) -> UUID:
    places = ", ".join(["%s"] * len(values))
    row = conn.execute(
        f"insert into core.{table} ({', '.join(values)}) values ({places}) returning id",  # noqa: S608
        list(values.values()),
    ).fetchone()
    assert row is not None
    identifier: UUID = row[0]
    return identifier
