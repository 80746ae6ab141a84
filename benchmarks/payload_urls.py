"""Checks that every URL in the payloads of many photos responds as declared in the payload.

    .venv/bin/python -m benchmarks.payload_urls PHOTOS [--count 1000] [--side 640]

Cuts `count` different pictures of about `side` pixels out of real photos, processes them, and requests every
URL of their gallery from the backend: status, type, bytes, and width and height of the picture. Every fourth is
compressed so strongly that its original is smaller than its derivatives. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from pydantic import SecretStr

from benchmarks.gallery_page import SECRETS, serving
from trr_pipelines.catalogue import schema
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.pipeline.imports.importing import import_rows
from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.settings import Settings


def main() -> None:
    """Create and render photos, request their URLs and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--side", type=int, default=640)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trr-urls-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o711)  # the embedded server may run as another user
        (folder / "in").mkdir()
        _cut(arguments.photos, folder / "in", arguments.count, arguments.side)
        server = EmbeddedPostgres(folder / "home")
        server.start()
        try:
            url = server.url("trr")
            sys.exit(_looked_at(url, folder))
        finally:
            server.release()


def _cut(photos: Path, folder: Path, count: int, side: int) -> None:
    """Different parts of the photos, in turns, as JPEG, WebP and PNG."""
    chosen = random.Random(1)
    sources = [_shrunk(photo, side * 2) for photo in sorted(photos.iterdir())]
    pictures = itertools.cycle(picture for picture in sources if picture is not None)
    for number in range(count):
        picture = next(pictures)
        width, height = (min(chosen.randint(side // 2, side), length) for length in picture.size)
        left, top = chosen.randint(0, picture.width - width), chosen.randint(0, picture.height - height)
        part = picture.crop((left, top, left + width, top + height))
        image_format, options = (("JPEG", {"quality": 90}), ("WEBP", {"quality": 90}), ("PNG", {}))[number % 3]
        if number % 4 == 0:
            image_format, options = ("JPEG", {"quality": 4}) if number % 8 else ("WEBP", {"quality": 2})
        part.save(folder / f"{number:05}.{image_format.lower()}", image_format, **options)


def _shrunk(photo: Path, side: int) -> Image.Image | None:
    try:
        with Image.open(photo) as image:
            image.draft("RGB", (side, side))
            image.thumbnail((side, side))
            bare = image.convert("RGB")
            bare.info = {}  # an original with a comment or a profile is not served directly
            return bare
    except OSError:
        return None


def _looked_at(url: str, folder: Path) -> int:
    settings = Settings(
        home=folder / "api", database_url=SecretStr(url), media_store=f"file:{folder / 'media'}", render_processes=2
    )
    schema.upgrade(url)
    with open_archive(settings) as archive:
        rows = read_rows(folder / "in", Defaults("bench", show="The Valley"))
        for batch in import_rows(archive.database, rows).batches:
            mirror_originals(archive, Scope(batch=batch), "run")
            render_photos(archive, Scope(batch=batch), "run")
            print(f"rendered {batch}", flush=True)
    environment = {"TRR_MEDIA_STORE": settings.media_store, **SECRETS}
    counts: Counter[str] = Counter()
    with serving(url, folder, environment) as client:
        cursor: dict[str, str] = {}
        while True:
            page = client.get("/api/v1/admin/shows/the-valley/gallery", params={"limit": 200, **cursor}).json()
            for item in page["items"]:
                _check_item(client, item, counts)
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
    print(", ".join(f"{count:,} {what}" for what, count in counts.items()))
    return int(any(what.startswith("WRONG") for what in counts))


def _check_item(client: httpx.Client, item: dict[str, Any], counts: Counter[str]) -> None:
    """Request every URL of an item and count correct and wrong responses."""
    declared = {file["url"]: (file["width"], file["height"], file["bytes"]) for file in item["srcset"]}
    declared[item["original_url"]] = (item["width"], item["height"], item["bytes"])
    types = {url: source["type"] for source in item["sources"] for url in source["srcset"].split() if "/" in url}
    urls = set(declared) | set(types) | {item[name] for name in item if name.endswith("_url") and item[name]}
    counts["photos"] += 1
    counts[f"photos with base {item['generation']['base']} and crop {item['generation']['crop']}"] += 1
    counts["photos shown by their originals"] += item["detail_url"] == item["original_url"]
    for url in urls:
        path = url.removeprefix("http://127.0.0.1:8000")
        answer = client.get(path)
        with Image.open(BytesIO(answer.content)) as image:
            actual = (*image.size, len(answer.content))
            type_ = f"image/{(image.format or '').lower()}"
        content_type = answer.headers["content-type"]
        is_right = (
            answer.status_code == 200
            and declared.get(url, actual) == actual
            and types.get(url, content_type) == content_type == type_
            and len(answer.content) <= item["bytes"]
        )
        counts["URLs as declared" if is_right else f"WRONG: {path} {actual} {content_type}"] += 1


if __name__ == "__main__":
    main()
