"""The application's table of faces, and a TRR-Backend that answers its six fields only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import psycopg
from pydantic import SecretStr

from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines_tests.support.backends import SCREENALYTICS_TOKEN

PERSON = UUID("3f2a0c66-6a0e-4d0a-9d5a-6c9d1f1f0001")

# The parts that a face bank touches: no unique constraint on faces, row-level security with a policy for one role.
SCHEMA = """
do $$ begin
    create role service_role;
exception when duplicate_object or unique_violation then null;
end $$;
create schema core;
create table core.people (id uuid primary key default gen_random_uuid(), full_name text not null);
create table core.media_assets (
    id uuid primary key default gen_random_uuid(), source text not null, hosted_key text, hosted_url text,
    width int, height int, metadata jsonb not null default '{}', created_at timestamptz not null default now());
create table core.media_links (
    id uuid primary key default gen_random_uuid(), entity_type text not null, entity_id uuid not null,
    media_asset_id uuid not null references core.media_assets (id) on delete cascade, kind text not null,
    position int, is_primary boolean not null default false, context jsonb not null default '{}',
    facebank_seed boolean not null default false,
    unique (entity_type, entity_id, kind, media_asset_id));
create schema screenalytics;
create table screenalytics.face_bank_images (
    image_id uuid primary key default gen_random_uuid(),
    person_id uuid not null references core.people (id) on delete cascade,
    media_asset_id uuid references core.media_assets (id) on delete set null,
    s3_original_key text not null,
    s3_aligned_key text,
    s3_embedding_key text,
    quality_score double precision,
    is_seed boolean not null default false,
    approved boolean not null default false,
    approved_at timestamptz,
    approved_by text,
    created_at timestamptz not null default now());
alter table core.media_assets enable row level security;
alter table core.media_links enable row level security;
alter table screenalytics.face_bank_images enable row level security;
create policy face_bank_images_service_role on screenalytics.face_bank_images
    to service_role using (true) with check (true);
grant usage on schema core, screenalytics to service_role;
grant all on all tables in schema core to service_role;
grant all on all tables in schema screenalytics to service_role;
"""


def create_application(url: str) -> FaceBank:
    """Make the application's tables in an empty database, with the person PERSON."""
    with psycopg.connect(url) as conn:
        conn.execute(SCHEMA)
        conn.execute("insert into core.people (id, full_name) values (%s, 'Person One')", [PERSON])
    return FaceBank(SecretStr(url))


def add_assets(url: str, photos: Sequence[dict[str, Any]], person: UUID = PERSON) -> dict[str, UUID]:
    """Photos in the person's gallery there; returns their ids by key."""
    ids = {photo["hosted_key"]: uuid4() for photo in photos}
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        cursor.executemany(
            "insert into core.media_assets (id, source, hosted_key) values (%s, 'imdb', %s)",
            [(asset, key) for key, asset in ids.items()],
        )
        cursor.executemany(
            "insert into core.media_links (entity_type, entity_id, media_asset_id, kind) values"
            " ('person', %s, %s, 'gallery')",
            [(person, asset) for asset in ids.values()],
        )
    return ids


def six_fields(number: int, **fields: Any) -> dict[str, Any]:
    """A photo as TRR-Backend lists it: a foreign key, sometimes without a size."""
    known = number % 7 != 0
    return {
        "served_url": f"https://cdn.example/images/people/photo%20({number}).jpg",
        "hosted_key": f"images/people/photo ({number}).jpg",
        "is_primary": number == 0,
        "width": 1600 if known else None,
        "height": 900 if known else None,
        "kind": "gallery",
    } | fields


@dataclass
class TrrBackend:
    """Its lists by `seed_only`; `requested` has the parameters of each request, without defaults."""

    url: str = ""
    seeds: list[dict[str, Any]] = field(default_factory=list)
    everything: list[dict[str, Any]] = field(default_factory=list)
    requested: list[dict[str, str]] = field(default_factory=list)

    @property
    def seed_calls(self) -> list[bool]:
        return [parameters.get("seed_only") == "true" for parameters in self.requested]


@contextmanager
def trr_backend() -> Iterator[TrrBackend]:
    """A server on loopback that pages by limit (200 unless given, at most 500) and offset, and sends no headers."""
    backend = TrrBackend()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = urlsplit(self.path)
            parameters = {name: values[0] for name, values in parse_qs(target.query).items()}
            backend.requested.append(parameters)
            limit, offset = int(parameters.get("limit", 200)), int(parameters.get("offset", 0))
            if not target.path.endswith("/photos"):
                return self._send(404, {"detail": "Not Found"})
            if self.headers["Authorization"] != f"Bearer {SCREENALYTICS_TOKEN}":
                return self._send(401, {"detail": "Unauthorized"})
            if limit > 500:
                return self._send(422, {"detail": "limit"})
            photos = backend.seeds if parameters.get("seed_only") == "true" else backend.everything
            is_known = target.path == f"/api/v1/screenalytics/people/{PERSON}/photos"
            return self._send(200, photos[offset : offset + limit] if is_known else [])

        def _send(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        backend.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield backend
        finally:
            server.shutdown()
            thread.join()
