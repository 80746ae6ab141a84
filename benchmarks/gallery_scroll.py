"""A gallery of thousands of photos, scrolled to its end in a browser: errors, memory, requests.

    .venv/bin/trr up &
    .venv/bin/python -m benchmarks.gallery_scroll [--photos 5000]

The photos are rows only, each with the card of some photo that the archive has; they go when it ends.
"""

from __future__ import annotations

import argparse
import time

from benchmarks.browsers import signed_in_browser
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.settings import load_settings

FILL = """
with batch as (
    insert into core.import_batches (key, source, day, number)
    values ('20000101-scroll-00001', 'scroll', '2000-01-01', 1)
), person as (
    insert into core.people (full_name) values ('Scroll') returning id
), slug as (
    insert into core.slugs (entity_kind, slug, entity_id) select 'person', 'scroll-benchmark', id from person
), cards as (
    select v.hosted_url, a.placeholder, row_number() over () - 1 as number, count(*) over () as cards
    from core.media_asset_variants v join core.media_assets a on a.id = v.media_asset_id
    where v.variant_key = 'card' and v.format = 'webp' and v.superseded_at is null limit 200
), assets as (
    insert into core.media_assets (source, source_url, batch_key, state, sha256, bytes, width, height, format, frames,
        hosted_bucket, hosted_key, hosted_url, placeholder)
    select 'scroll', 'scroll/' || n, '20000101-scroll-00001', 'mirrored', lpad(to_hex(n), 64, '0'), 1000, 720, 900,
        'webp', 1, 'scroll', 'scroll/' || n, cards.hosted_url, cards.placeholder
    from generate_series(1, %(photos)s) n join cards on cards.number = n %% cards.cards
    returning id, source_url
)
insert into core.media_links (media_asset_id, person_id, kind, position, caption)
select assets.id, person.id, 'photo', split_part(source_url, '/', 2)::integer, source_url from assets, person
"""
EMPTY = (
    "delete from core.people where id in (select entity_id from core.slugs where slug = 'scroll-benchmark')",
    "delete from core.slugs where slug = 'scroll-benchmark'",
    "delete from core.media_assets where source = 'scroll'",
    "delete from core.import_batches where source = 'scroll'",
)


def main() -> None:
    """Scroll, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=5000)
    photos = parser.parse_args().photos
    settings = load_settings()
    with open_archive(settings) as archive:
        archive.database.run(_empty)
        archive.database.run(lambda conn: conn.execute(FILL, {"photos": photos}))
        try:
            _scroll(f"http://127.0.0.1:{settings.admin_port}/admin/trr-people/scroll-benchmark/media-gallery", photos)
        finally:
            archive.database.run(_empty)


def _empty(conn: Connection) -> None:
    for statement in EMPTY:
        conn.execute(statement)  # type: ignore[arg-type]  our own


def _scroll(url: str, photos: int) -> None:
    settings = load_settings()
    with signed_in_browser(settings) as (browser, state):
        context = browser.new_context(viewport={"width": 1280, "height": 860}, storage_state=state)
        page = context.new_page()
        errors: list[str] = []
        pages: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda answer: answer.status >= 400 and errors.append(f"{answer.status} {answer.url}"))
        page.on("request", lambda asked: "cursor=" in asked.url and pages.append(asked.url))
        session = context.new_cdp_session(page)
        session.send("Performance.enable")
        began = time.monotonic()
        page.goto(url)
        tiles, stuck = 0, 0
        print("  tiles  seconds  heap MB  DOM nodes  layout s")
        while tiles < photos and stuck < 100:
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            page.wait_for_timeout(50)
            count = page.locator("#gallery .tile").count()
            stuck = 0 if count > tiles else stuck + 1
            if count // 1000 > tiles // 1000 or count == photos:
                session.send("HeapProfiler.collectGarbage")
                found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
                print(
                    f"{count:7} {time.monotonic() - began:8.1f} {found['JSHeapUsedSize'] / 1e6:8.1f}"
                    f" {found['Nodes']:10.0f} {found['LayoutDuration']:9.2f}"
                )
            tiles = count
        print(
            f"{tiles} of {photos} photos in {time.monotonic() - began:.1f} s, {len(pages) + 1} pages, errors: {errors}"
        )
        context.close()


if __name__ == "__main__":
    main()
