"""The cost of a page of 200 photos of a gallery, in a small and in a large catalogue.

    .venv/bin/python -m benchmarks.gallery_page [--assets 10000 1000000] [--pages 300] [--home FOLDER]

Fills a separate catalogue by SQL for each number of assets: shows of 1,000 photos, half of them in four seasons, and
people of 500; every photo with ledger rows and a crop, and in the galleries that are read with 6 + 4 variants.
Prints statements per page, the time of a page over HTTP and of its bare statements in the same run, requests per
second, and the buffers that PostgreSQL reads. The catalogues differ only in size.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
from psycopg.rows import dict_row

from trr_pipelines.catalogue import galleries, schema
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.catalogue.galleries import Filters
from trr_pipelines.pipeline.galleries.pages import MAX_TOTAL, PageRequest, show_gallery
from trr_pipelines_tests.support.ports import free_port

PAGE = 200
READ_GALLERIES = 8
SECRETS = {"TRR_SERVICE_ROLE_KEY": "benchmark-role", "TRR_INTERNAL_ADMIN_SHARED_SECRET": "benchmark-secret",
           "SCREENALYTICS_SERVICE_TOKEN": "benchmark-token", "TRR_JWT_SECRET": "b" * 64,
           "TRR_ADMIN_ALLOWLIST": "admin@example.com"}  # fmt: skip
HEADERS = {"Authorization": "Bearer benchmark-role", "X-TRR-Internal-Admin-Secret": "benchmark-secret"}
FILL = (Path(__file__).parent / "gallery_page.sql").read_text()


def main() -> None:
    """Measure each size and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--assets", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument(
        "--home", type=Path, help="where the database is kept, for another run; a temporary one without"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trr-gallery-") as scratch:
        server = EmbeddedPostgres(arguments.home or Path(scratch) / "home")
        server.start()
        try:
            for assets in arguments.assets:
                _measure(filled(server, assets, "gallery", FILL), assets, arguments.pages, Path(scratch))
        finally:
            server.release()


def filled(server: EmbeddedPostgres, assets: int, kind: str, script: str) -> str:
    """The URL of a catalogue of this size, filled by `script`; an existing one is upgraded."""
    name = f"{kind}_{assets}"
    url = server.url(name)
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        if conn.execute("select from pg_database where datname = %s", (name,)).fetchone() is not None:
            schema.upgrade(url)
            return url
        conn.execute(f"create database {name}")
    began = time.monotonic()
    schema.upgrade(url)
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in script.split(";\n"):
            if statement.strip():
                conn.execute(statement.replace(":assets", str(assets)).replace(":galleries", str(READ_GALLERIES)))
    print(f"{assets:,} assets filled in {time.monotonic() - began:.0f} s", flush=True)
    return url


def _measure(url: str, assets: int, pages: int, scratch: Path) -> None:
    with (
        psycopg.connect(url, row_factory=dict_row, prepare_threshold=None) as conn,
        serving(url, scratch, SECRETS) as client,
    ):
        conn.autocommit = True
        first = f"{READ_GALLERIES:06}"
        shows = [row["id"] for row in conn.execute("select id from core.shows where title < %s", (first,))]
        people = [row["id"] for row in conn.execute("select id from core.people where full_name < %s", (first,))]
        print(
            f"{assets:>9,} assets: statements for a page of 1 and of {PAGE}: {_statements(url, shows[0])}", flush=True
        )
        for what, ids in (("shows", shows), ("people", people)):
            entities = {id_: [id_, *galleries.seasons(conn, id_)] for id_ in ids}
            bare, served = _timed(conn, client, what, entities, pages)
            buffers, milliseconds = _explained(conn, entities[ids[0]])
            print(
                f"{assets:>9,} assets, {what:6}: bare SQL p50 {_ms(bare, 50)} p95 {_ms(bare, 95)} ms,"
                f" HTTP p50 {_ms(served, 50)} p95 {_ms(served, 95)} ms"
                f" (p95 {_percentile(served, 95) / _percentile(bare, 95):.2f}x),"
                f" EXPLAIN {buffers:,} buffers {milliseconds:.1f} ms",
                flush=True,
            )
        print(f"{assets:>9,} assets: {_rate(client, shows, pages):.1f} pages per second, 4 at a time", flush=True)


@contextmanager
def serving(url: str, scratch: Path, settings: Mapping[str, str]) -> Iterator[httpx.Client]:
    """The backend in a separate process, on this catalogue."""
    port = free_port()
    environment = {"TRR_HOME": str(scratch / "api"), "TRR_DATABASE_URL": url, "PATH": "/usr/bin:/bin", **settings}
    command = [sys.executable, "-m", "trr_pipelines.api", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # it logs each request
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, headers=HEADERS, timeout=60) as client:
            deadline = time.monotonic() + 60
            while True:
                try:
                    client.get("/readyz").raise_for_status()
                    break
                except httpx.HTTPError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _timed(
    conn: psycopg.Connection[Any], client: httpx.Client, what: str, entities: dict[UUID, list[UUID]], pages: int
) -> tuple[list[float], list[float]]:
    """Seconds of the bare statements of a page, and of the page over HTTP, in turns."""
    chosen = random.Random(1)
    bare: list[float] = []
    served: list[float] = []
    for number in range(pages + 20):
        id_ = chosen.choice(list(entities))
        first = _seconds(lambda id_=id_: _bare(conn, entities[id_]))  # type: ignore[misc]
        second = _seconds(lambda id_=id_: _get(client, what, id_))  # type: ignore[misc]
        if number >= 20:  # the first ones warm caches
            bare.append(first)
            served.append(second)
    return bare, served


def _bare(conn: psycopg.Connection[Any], entities: list[UUID]) -> None:
    """Execute the statements of a page and fetch their rows, without building a payload."""
    with conn.transaction():
        conn.execute("set transaction isolation level repeatable read, read only")
        links = galleries.page(conn, entities, Filters(), sort="position", after=None, limit=PAGE + 1)
        assert len(links) == PAGE + 1
        files = galleries.served_files(conn, links[:PAGE])
        assert len(files) == 10 * PAGE
        galleries.total(conn, entities, Filters(), most=MAX_TOTAL + 1)


def _get(client: httpx.Client, what: str, id_: UUID, limit: int = PAGE) -> None:
    answer = client.get(f"/api/v1/admin/{what}/{id_}/gallery", params={"limit": limit})
    assert answer.status_code == 200, answer.text
    assert answer.content.count(b'"link_id"') == limit


def _explained(conn: psycopg.Connection[Any], entities: list[UUID]) -> tuple[int, float]:
    """Buffers that the statements of a page read and the milliseconds they take, with warm caches."""
    links = galleries.page(conn, entities, Filters(), sort="position", after=None, limit=PAGE + 1)[:PAGE]
    filters = dict.fromkeys(("kind", "tags", "seed", "q", "source", "state", "reason", "crop"))
    place = dict.fromkeys(("position", "created_at", "link_id"))
    statements = [
        (
            galleries._queries.page.sql,
            {**filters, **place, "entities": entities, "sort": "position", "limit": PAGE + 1},
        ),
        (galleries._queries.total.sql, {**filters, "entities": entities, "most": MAX_TOTAL + 1}),
        (
            galleries._queries.variants.sql,
            {
                "photo_ids": [link["media_asset_id"] for link in links],
                "served_crops": [link["served_crop"] for link in links],
            },
        ),
    ]
    buffers, milliseconds = 0, 0.0
    for sql, parameters in statements:
        (best,) = sorted(
            (_explain(conn, sql, parameters) for _ in range(5)), key=lambda found: found["Execution Time"]
        )[:1]
        buffers += best["Plan"]["Shared Hit Blocks"] + best["Plan"]["Shared Read Blocks"]
        milliseconds += best["Planning Time"] + best["Execution Time"]
    return buffers, milliseconds


def _explain(conn: psycopg.Connection[Any], sql: str, parameters: dict[str, Any]) -> dict[str, Any]:
    row = conn.execute("explain (analyze, buffers, format json) " + sql, parameters).fetchone()  # type: ignore[arg-type]
    assert row is not None
    found: dict[str, Any] = row["QUERY PLAN"][0]
    return found


def _statements(url: str, show: UUID) -> str:
    """Number of statements for a page of 1 and one of 200, including the one that opens the snapshot."""
    execute = psycopg.Cursor.execute
    counts = []
    database = Database(url).open()
    for limit in (1, PAGE):
        made = 0

        def counted(cursor: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += bool(arguments[0])
            return execute(cursor, *arguments, **options)

        psycopg.Cursor.execute = counted  # type: ignore[assignment, method-assign]
        try:
            show_gallery(database, show, PageRequest(Filters(), "position", None, limit))
        finally:
            psycopg.Cursor.execute = execute  # type: ignore[method-assign]
        counts.append(str(made))
    database.close()
    return " and ".join(counts)


def _rate(client: httpx.Client, ids: list[UUID], pages: int) -> float:
    with ThreadPoolExecutor(4) as threads:
        seconds = _seconds(lambda: list(threads.map(lambda n: _get(client, "shows", ids[n % len(ids)]), range(pages))))
    return pages / seconds


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _ms(values: list[float], percent: int) -> str:
    return f"{1000 * _percentile(values, percent):.1f}"


if __name__ == "__main__":
    main()
