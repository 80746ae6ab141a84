"""A stack that is bridged to an application: its environment, objects, and requests of the admin app."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from trr_pipelines.samples.copies import numbered
from trr_pipelines_tests.pictures import jpeg
from trr_pipelines_tests.support.applications import Rows
from trr_pipelines_tests.support.backends import ADMIN_APP, ENVIRONMENT
from trr_pipelines_tests.support.stacks import PATIENCE_SECONDS, RunningStack, new_stack

FOLLOWED = ("media_assets", "media_links")
"""Tables of the application whose changes are followed, by an index on `updated_at` if there is one."""


def bridged_stack(home: Path, application_url: str) -> RunningStack:
    """A stack that is not started yet, whose application is at `application_url`."""
    stack = new_stack(home)
    return replace(stack, environment={**stack.environment, **ENVIRONMENT, "TRR_APPLICATION_DB_URL": application_url})


@dataclass
class BridgedStack:
    """A running stack with the application's rows and its bucket, a directory."""

    stack: RunningStack
    rows: Rows
    objects: int = 0

    def put(self, key: str, data: bytes | None = None) -> None:
        """Write an object of the application into the bucket, by default a JPEG of its own."""
        self.objects += 1
        path = self.stack.home / "media" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if data is not None else numbered(jpeg(600, 750), self.objects) or b"")

    def add_indexes(self) -> None:
        """The indexes that `trr bridge check` suggests."""
        for table in FOLLOWED:
            self.rows.execute(f"create index if not exists {table}_updated_at_idx on core.{table} (updated_at)")

    def remove_indexes(self) -> None:
        """No table has an index on `updated_at`."""
        for table in FOLLOWED:
            self.rows.execute(f"drop index if exists core.{table}_updated_at_idx")

    def photo(self, person_id: UUID, key: str, data: bytes | None = None, **link: Any) -> tuple[UUID, UUID]:
        """A hosted photo of a person, in one transaction as the application inserts it: ids of the row and the link."""
        self.put(key, data)
        with psycopg.connect(self.rows.url) as conn:
            (asset_id,) = conn.execute(
                "insert into core.media_assets (source, hosted_bucket, hosted_key, hosted_url, ingest_status)"
                " values ('imdb', 'local', %s, %s, 'hosted') returning id",
                (key, f"https://cdn.example/{key}"),
            ).fetchone()  # type: ignore[misc]
            (link_id,) = conn.execute(
                "insert into core.media_links (media_asset_id, entity_type, entity_id, kind)"
                " values (%s, 'person', %s, 'gallery') returning id",
                (asset_id, person_id),
            ).fetchone()  # type: ignore[misc]
        return asset_id, link_id

    def set_intent(self, link_id: UUID, x: float, y: float, zoom: float) -> None:
        """Write a crop intent as the application's editor does."""
        self.rows.execute(
            "update core.media_links set context = jsonb_set(coalesce(context, '{}'), '{thumbnail_crop}',"
            " jsonb_build_object('x', %s::numeric, 'y', %s::numeric, 'zoom', %s::numeric, 'mode', 'manual'))"
            " where id = %s",
            *(x, y, zoom, link_id),
        )

    def metadata(self, asset_id: UUID) -> dict[str, Any]:
        """`metadata` of a row."""
        (row,) = self.rows.execute("select metadata from core.media_assets where id = %s", asset_id)
        return dict(row["metadata"])

    def link(self, link_id: UUID) -> dict[str, Any]:
        """`context` and `facebank_seed` of a link, the context's keys laid out."""
        (row,) = self.rows.execute("select context, facebank_seed from core.media_links where id = %s", link_id)
        return {**(row["context"] or {}), "facebank_seed": row["facebank_seed"]}

    def request(self, method: str, path: str, **options: Any) -> Any:
        """The answer of the API to the admin app; fails the test on an error."""
        headers = {**ADMIN_APP, **options.pop("headers", {})}
        response = httpx.request(method, f"{self.stack.api}{path}", headers=headers, timeout=60, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text[:500]}"
        return response.json()


def seconds_until(condition: Callable[[], object], what: str, patience: float = PATIENCE_SECONDS) -> float:
    """Seconds until `condition` holds, looked at every 50 ms; fails the test with `what` on a timeout."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            pytest.fail(f"waited {patience} s for {what}")
        time.sleep(0.05)
    return time.monotonic() - began
