"""A gallery of thousands of photos, scrolled to its end in a browser: errors, memory, smoothness, SQL statements.

    .venv/bin/trr up &
    .venv/bin/python -m benchmarks.gallery_scroll [--photos 5000]

The photos are only rows that use the cards of existing photos of the archive; they are deleted at the end. Statements
are counted by the server, which logs those of the backend meanwhile.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from playwright.sync_api import CDPSession, Page

from benchmarks.browsers import signed_in_browser
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.embedded import embedded_postgres
from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.settings import Settings, load_settings

BACKEND = "API"  # application_name of the backend of `trr up`
# An entry of the log that is a statement of the backend: its session, and the statement.
STATEMENT = re.compile(rf"{BACKEND}\|(\S+)\|LOG:  (?:statement|execute [^:]*):(.*)", re.DOTALL)
WATCH = """
    window.frames_ms = [];
    let last = 0;
    const onFrame = now => { if (last) frames_ms.push(now - last); last = now; requestAnimationFrame(onFrame); };
    requestAnimationFrame(onFrame);
"""
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
    """Scroll and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=5000)
    photos = parser.parse_args().photos
    settings = load_settings()
    with open_archive(settings) as archive:
        archive.database.run(_empty)
        archive.database.run(lambda conn: conn.execute(FILL, {"photos": photos}))
        try:
            with _counted_statements(settings) as statements:
                pages = _scroll(settings, photos)
            _print_statements(statements, pages)
        finally:
            archive.database.run(_empty)


def _empty(conn: Connection) -> None:
    for statement in EMPTY:
        conn.execute(statement)  # type: ignore[arg-type]  our own


@contextmanager
def _counted_statements(settings: Settings) -> Iterator[list[tuple[str, str]]]:
    """Session and text of each statement that the backend executed in the block; filled when it ends."""
    found: list[tuple[str, str]] = []
    server, log = embedded_postgres(settings.home), settings.home / "postgres" / "log"
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        before = log.stat().st_size
        _set_logging(conn, "alter system set log_statement = 'all'", "alter system set log_line_prefix = 'trr|%a|%c|'")
        try:
            yield found
        finally:
            _set_logging(conn, "alter system reset log_statement", "alter system reset log_line_prefix")
    found += _statements(log, before)


def _set_logging(conn: psycopg.Connection[Any], *statements: str) -> None:
    for statement in (*statements, "select pg_reload_conf()"):
        conn.execute(statement)  # type: ignore[arg-type]  our own
    time.sleep(1)  # sessions apply the new setting before their next statement once notified


def _statements(log: Path, start: int) -> list[tuple[str, str]]:
    text = log.read_bytes()[start:].decode(errors="replace")
    entries = re.split(r"^trr\|", text, flags=re.MULTILINE)
    return [(match[1], match[2].strip()) for entry in entries if (match := STATEMENT.match(entry))]


def _print_statements(statements: list[tuple[str, str]], pages: int) -> None:
    """All statements for a page, and those of the snapshot that reads it, from its BEGIN to its COMMIT."""
    snapshots, open_ones = [], dict[str, list[str]]()
    for session, statement in statements:
        if statement.upper().startswith("BEGIN"):
            open_ones[session] = []
        open_ones.setdefault(session, []).append(statement)
        if statement.upper().startswith("COMMIT"):
            snapshots.append(open_ones.pop(session))
    gallery = [len(one) for one in snapshots if any("media_asset_variants" in statement for statement in one)]
    print(
        f"{len(statements)} statements of the backend for {pages} pages: {len(statements) / pages:.1f} for each;"
        f" those that read a page's photos: {len(gallery)} snapshots of {sorted(set(gallery))} statements"
    )


def _scroll(settings: Settings, photos: int) -> int:
    """Scroll to the end and back to the top; returns the number of requested pages."""
    with signed_in_browser(settings) as (browser, state):
        context = browser.new_context(viewport={"width": 1280, "height": 860}, storage_state=state)
        page = context.new_page()
        page.add_init_script(WATCH)
        errors: list[str] = []
        pages: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda answer: answer.status >= 400 and errors.append(f"{answer.status} {answer.url}"))
        page.on("request", lambda request: "cursor=" in request.url and pages.append(request.url))
        session = context.new_cdp_session(page)
        session.send("Performance.enable")
        began = time.monotonic()
        page.goto(f"http://127.0.0.1:{settings.admin_port}/admin/trr-people/scroll-benchmark/media-gallery")
        print("  tiles  seconds  heap MB  nodes in memory  elements of the page  layout s  frames p95 / longest ms")
        tiles, stuck = page.locator("#gallery .tile").count(), 0
        _print_memory(page, session, tiles, began)
        while tiles < photos and stuck < 400:
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            page.wait_for_timeout(50)
            count = page.locator("#gallery .tile").count()
            stuck = 0 if count > tiles else stuck + 1
            if count // 1000 > tiles // 1000 or count == photos:
                _print_memory(page, session, count, began)
            tiles = count
        _wheel_to_the_top(page)
        _print_memory(page, session, tiles, began)
        print(
            f"{tiles} of {photos} photos in {time.monotonic() - began:.1f} s, {len(pages) + 1} pages, errors: {errors}"
        )
        context.close()
        return len(pages) + 1


def _wheel_to_the_top(page: Page) -> None:
    """Scroll up from the end with the wheel, a screen at a time, as when searching for a photo."""
    page.mouse.move(640, 430)
    for _ in range(40):
        page.mouse.wheel(0, -860)
        page.wait_for_timeout(50)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("document.querySelector('#gallery .tile picture img')?.complete")


def _print_memory(page: Page, session: CDPSession, tiles: int, began: float) -> None:
    session.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    elements = page.evaluate("document.getElementsByTagName('*').length")
    frames = sorted(page.evaluate("frames_ms.splice(0)")) or [0]
    print(
        f"{tiles:7} {time.monotonic() - began:8.1f} {found['JSHeapUsedSize'] / 1e6:8.1f} {found['Nodes']:16.0f}"
        f" {elements:21} {found['LayoutDuration']:9.2f} {frames[int(len(frames) * 0.95)]:13.0f} / {frames[-1]:.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
