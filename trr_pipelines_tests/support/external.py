"""Objects of another program in the store's bucket or another one, and photos that have them as external originals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.s3 import S3Store
from trr_pipelines.storage.store import ObjectStore
from trr_pipelines_tests.support.archives import query, value

BATCH = "application-2026-02-12-1"
PUBLIC = "https://cdn.application.example"


def put(store: ObjectStore, key: str, data: bytes, bucket: str | None = None) -> None:
    """Write an object as another program does, at any key."""
    if isinstance(store, DirectoryStore):
        path = store.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    else:
        assert isinstance(store, S3Store)
        store.client.put_object(Bucket=bucket or store.bucket, Key=key, Body=data)


def remove(store: ObjectStore, key: str) -> None:
    """Delete an object as another program does."""
    if isinstance(store, DirectoryStore):
        (store.root / key).unlink()
    else:
        assert isinstance(store, S3Store)
        store.client.delete_object(Bucket=store.bucket, Key=key)


def contents(store: ObjectStore) -> dict[str, bytes]:
    """Everything in the store's bucket, whatever its key, except records."""
    if isinstance(store, DirectoryStore):
        paths = (path for path in store.root.rglob("*") if path.is_file())
        found = {str(path.relative_to(store.root)): path.read_bytes() for path in paths}
    else:
        assert isinstance(store, S3Store)
        pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        found = {key: store.client.get_object(Bucket=store.bucket, Key=key)["Body"].read() for key in keys}
    return {key: data for key, data in found.items() if not key.startswith(".")}


def adopt(archive: Archive, keys: Mapping[str, str], *, bucket: str | None = None) -> dict[str, UUID]:
    """Add a pending photo for each name, whose original is at the key; returns their ids."""
    query(
        archive.database,
        "insert into core.import_batches (key, source, day, number) values (%s, 'application', '2026-02-12', 1)"
        " on conflict do nothing",
        BATCH,
    )
    return {name: _adopt(archive, name, key, bucket or archive.store.bucket) for name, key in keys.items()}


def _adopt(archive: Archive, name: str, key: str, bucket: str) -> UUID:
    photo_id: UUID = value(
        archive.database,
        "insert into core.media_assets"
        " (source, source_url, batch_key, is_external, hosted_bucket, hosted_key, hosted_url)"
        " values ('application', %s, %s, true, %s, %s, %s) returning id",
        f"https://source.example/{name}",
        BATCH,
        bucket,
        key,
        f"{PUBLIC}/{quote(key)}",
    )
    query(
        archive.database,
        "insert into core.variant_generations (media_asset_id, kind) values (%s, 'original')",
        photo_id,
    )
    return photo_id


def row_of(archive: Archive, photo_id: UUID) -> dict[str, Any]:
    """The photo's row."""
    (row,) = query(archive.database, "select * from core.media_assets where id = %s", photo_id)
    return row
