"""Queries on a face bank, photos of people inserted by SQL, and responses in the backend's format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from trr_pipelines.catalogue.database import Database
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.client import BackendClient, Patience
from trr_pipelines_tests.support.archives import query
from trr_pipelines_tests.support.backends import SCREENALYTICS_TOKEN
from trr_pipelines_tests.support.scripted_server import Script, answer

CALM = Patience(first_wait=0.01)
HASTY = Patience(connect=0.5, read=0.5, whole=1.0, attempts=3, first_wait=0.01)


def bank_query(bank: FaceBank, sql: str, *parameters: object) -> list[dict[str, Any]]:
    """Run a statement on the face bank; returns its rows."""
    with psycopg.connect(bank.url.get_secret_value(), autocommit=True, row_factory=dict_row) as conn:
        cursor = conn.execute(sql, parameters)  # type: ignore[call-overload]  the tests' own SQL
        return cursor.fetchall() if cursor.description else []


def bank_rows(bank: FaceBank) -> dict[UUID, dict[str, Any]]:
    """Rows of the face bank by link id."""
    return {row["link_id"]: row for row in bank_query(bank, "select * from face_bank_images")}


def client_of(url: str, token: str = SCREENALYTICS_TOKEN, *, patience: Patience = CALM) -> BackendClient:
    """Screenalytics' client; with the patience HASTY it fails within two seconds."""
    return BackendClient(url, SecretStr(token), patience)


def seed_calls(client: BackendClient) -> list[bool]:
    """The requests in order: True for seeds only."""
    return [call.seed_only for call in client.calls]


def json_answer(value: object, status: int = 200, *headers: str) -> Script:
    """A script that responds with JSON."""
    return answer(status, json.dumps(value).encode(), "Content-Type: application/json", *headers)


@dataclass(frozen=True)
class Photo:
    """A photo in the catalogue and its link to a person."""

    link_id: UUID
    media_asset_id: UUID


def add_photos(
    database: Database, person_id: UUID, count: int, *, seeds: int = 0, served: bool = True, start: int = 0
) -> list[Photo]:
    """Insert photos of a person, the first `seeds` of them flagged; `start` offsets their numbers."""
    query(
        database,
        "insert into core.import_batches (key, source, day, number)"
        " values ('20260212-deadline-00001', 'deadline', '2026-02-12', 1) on conflict do nothing",
    )
    rows = query(
        database,
        "with numbers as (select n, encode(sha256(n::text::bytea), 'hex') as sha"
        "  from generate_series(%(start)s::integer + 1, %(start)s::integer + %(count)s::integer) as n),"
        " asset as (insert into core.media_assets (source, source_url, batch_key, state, sha256, bytes, width, height,"
        "  format, frames, hosted_bucket, hosted_key, hosted_url)"
        "  select 'deadline', 'https://photos.example/' || n || '.jpg', '20260212-deadline-00001', %(state)s,"
        "   case when %(served)s then sha end, 1000, 640, 480, 'jpeg', 1, 'local',"
        "   case when %(served)s then 'media/' || left(sha, 2) || '/' || sha || '.jpg' end,"
        "   case when %(served)s then 'http://127.0.0.1:1/media/media/' || left(sha, 2) || '/' || sha || '.jpg' end"
        "  from numbers returning id, source_url),"
        " numbered as (select id, row_number() over (order by length(source_url), source_url) as n from asset)"
        " insert into core.media_links (media_asset_id, person_id, kind, position, caption, facebank_seed)"
        " select id, %(person)s, 'photo', n, 'photo ' || n, n <= %(seeds)s from numbered"
        " returning id as link_id, media_asset_id, position",
        {
            "start": start,
            "count": count,
            "seeds": seeds,
            "served": served,
            "state": "mirrored" if served else "pending",
            "person": person_id,
        },
    )
    return [Photo(row["link_id"], row["media_asset_id"]) for row in sorted(rows, key=lambda row: row["position"])]


def add_person(database: Database, full_name: str = "Person One") -> UUID:
    """Insert a person without photos; returns the id."""
    (row,) = query(database, "insert into core.people (full_name) values (%s) returning id", full_name)
    person_id: UUID = row["id"]
    return person_id
