"""Checks of what was published: each function looks at rows of the application and reports what violates its claim."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx

from trr_pipelines.bridge.application import Application, load_queries
from trr_pipelines.bridge.publication import publication_of
from trr_pipelines.catalogue import application as catalogue
from trr_pipelines.catalogue.application import PublishedAsset
from trr_pipelines.errors import MediaError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks.invariants import Finding, TableRow, finding

_queries = load_queries("publishing.sql")

SAMPLE = 60
URL_THREADS = 8
TIMEOUT = httpx.Timeout(10.0, connect=5.0)


def published_is_what_was_rendered(archive: Archive, application: Application, batch: str | None) -> Finding:
    """What readers of the application find for each sampled photo is what the catalogue serves."""
    sample = _sample(archive, batch)
    shown = _shown(application, sample)
    broken: list[TableRow] = []
    for asset in sample:
        wanted = archive.database.read(lambda conn: catalogue.to_publish(conn, asset.id))  # noqa: B023
        publication = None if wanted is None else publication_of(wanted)
        if publication is None or wanted is None or wanted.version != asset.published_version:
            continue  # it changes at this moment
        metadata = shown.get(asset.id)
        if metadata is None:
            broken.append(_row(asset, "its row is missing in the application"))
            continue
        differing = [key for key, value in publication.keys.items() if metadata.get(key) != value]
        differing += [key for key in publication.removed if key in metadata]
        sets = metadata.get("variants")
        differing += [
            name for name, files in publication.sets.items() if not isinstance(sets, dict) or sets.get(name) != files
        ]
        contexts = _contexts(application, publication.link_keys)
        differing += [
            f"{key} of link {link_id}"
            for link_id, keys in publication.link_keys.items()
            for key, value in keys.items()
            if link_id in contexts and contexts[link_id].get(key) != value
        ]
        if differing:
            broken.append(_row(asset, f"another writer changed {', '.join(sorted(differing))}"))
    return finding(len(sample), broken, overwritten=archive.database.read(catalogue.numbers).overwritten)


def no_published_url_is_dead(archive: Archive, application: Application, batch: str | None) -> Finding:
    """Every sampled URL that readers of the application find answers 200 with an image."""
    sample = _sample(archive, batch)
    shown = _shown(application, sample)
    urls = [(asset, url) for asset in sample for url in _urls_of(shown.get(asset.id, {}), archive.settings.base_url)]
    chosen = urls[:: max(1, -(-len(urls) // SAMPLE))]
    with httpx.Client(timeout=TIMEOUT, trust_env=False) as client, ThreadPoolExecutor(URL_THREADS) as threads:
        problems = list(threads.map(lambda one: _problem_of(client, one[1]), chosen))
    broken = [
        _row(asset, f"{url}: {problem}") for (asset, url), problem in zip(chosen, problems, strict=True) if problem
    ]
    return finding(len(chosen), broken)


def nothing_of_others_was_changed(archive: Archive, application: Application, batch: str | None) -> Finding:
    """The original of each sampled photo is where the application says, with the bytes that were read."""
    del application
    sample = _sample(archive, batch)
    broken: list[TableRow] = []
    for asset in sample:
        if asset.hosted_key is None or asset.bytes is None:
            continue
        try:
            found = archive.store.head_external(asset.hosted_bucket or archive.store.bucket, asset.hosted_key)
        except MediaError as error:
            broken.append(_row(asset, str(error)))
            continue
        if found is None:
            broken.append(_row(asset, f"{asset.hosted_key} is missing"))
        elif found.bytes != asset.bytes:
            broken.append(_row(asset, f"{asset.hosted_key} has {found.bytes} bytes, not {asset.bytes}"))
    return finding(len(sample), broken)


def _sample(archive: Archive, batch: str | None) -> list[PublishedAsset]:
    return archive.database.read(lambda conn: catalogue.published_sample(conn, batch, SAMPLE))


def _shown(application: Application, sample: Iterable[PublishedAsset]) -> dict[UUID, dict[str, Any]]:
    """The metadata of these rows there, by id."""
    ids: dict[str, list[UUID]] = {"media_assets": [], "cast_photos": []}
    for asset in sample:
        ids[asset.origin].append(asset.id)
    rows: list[Any] = []
    if ids["media_assets"]:
        rows += application.read(lambda conn: list(_queries.metadata_of(conn, ids=ids["media_assets"])))
    if ids["cast_photos"]:
        rows += application.read(lambda conn: list(_queries.metadata_of_cast_photos(conn, ids=ids["cast_photos"])))
    return {row["id"]: row["metadata"] if isinstance(row["metadata"], dict) else {} for row in rows}


def _contexts(application: Application, link_ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    """The context of these links there, by id."""
    ids = list(link_ids)
    rows = application.read(lambda conn: list(_queries.contexts_of(conn, ids=ids))) if ids else []
    return {row["id"]: row["context"] if isinstance(row["context"], dict) else {} for row in rows}


def _urls_of(metadata: dict[str, Any], base_url: str) -> list[str]:
    """Every URL of ours in the keys that readers read."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, str) and value.startswith(f"{base_url}/"):
            found.append(value)

    walk({key: value for key, value in metadata.items() if key == "variants" or key.endswith("_url")})
    return list(dict.fromkeys(found))


def _problem_of(client: httpx.Client, url: str) -> str:
    try:
        response = client.head(url)
    except httpx.HTTPError as error:
        return f"no answer: {error}"
    kind = response.headers.get("content-type", "none")
    if response.status_code != httpx.codes.OK:
        return f"status {response.status_code}"
    return "" if kind.startswith("image/") else f"type {kind}"


def _row(asset: PublishedAsset, problem: str) -> TableRow:
    return {"photo": str(asset.photo_id), "batch": asset.batch_key, "row": str(asset.id), "problem": problem}
