"""Tokens, escape sequences and forged lines in URLs, names and files: what an import and its run let out."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.commands import Trr
from trr_pipelines_tests.support.scripted_server import ScriptedServer, answer

CANARY = "c4n4ry"


@pytest.fixture
def trr(tmp_path: Path, database_url: str, empty_database_url: str) -> Trr:
    return Trr(
        tmp_path,
        TRR_DATABASE_URL=database_url,
        TRR_DAGSTER_PG_URL=empty_database_url,
        TRR_RENDER_PROCESSES="1",
        TRR_FETCH_ALLOW_NETWORKS='["127.0.0.0/8"]',
    )


def everything_in(url: str) -> str:
    """All rows of all tables of a database as text."""
    with psycopg.connect(url) as conn:
        tables = conn.execute(
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        rows = [conn.execute(f"select t::text from {table} t").fetchall() for (table,) in tables]  # type: ignore[arg-type]  # noqa: S608
    return str(rows)


def test_no_token_of_a_source_leaves_the_catalogue(
    trr: Trr, tmp_path: Path, database_url: str, empty_database_url: str
) -> None:
    scripts = {"/ok.jpg": answer(body=pictures.jpeg()), "/bad.jpg": answer(body=b"<html>"), "/no.jpg": answer(404)}
    with ScriptedServer(scripts) as server:
        host = f"127.0.0.1:{server.port}"
        manifest = tmp_path / "photos.csv"
        urls = [
            *(f"http://{host}/{name}?token={CANARY}" for name in ("ok.jpg", "bad.jpg", "no.jpg")),
            f"http://user:{CANARY}@{host}/ok.jpg",
            f"http://{host}/x\x1b[2J.jpg?token={CANARY}",
        ]
        manifest.write_text(
            "url,source\n" + "".join(f"{url},https://u:{CANARY}@cdn.example/?t={CANARY}\n" for url in urls)
        )
        imported = trr("import", manifest, "--source", "web", "--show", "The Valley")
        ran = trr("run", "--json")
    status, explained = trr("status"), trr("reconcile")
    said = "".join(result.out + result.err for result in (imported, ran, status, explained))
    assert CANARY not in said
    assert "\x1b" not in said
    assert f"http://user:{CANARY}" not in everything_in(database_url)
    assert CANARY not in everything_in(empty_database_url)
    assert ["cdn-example" in run["batch"] for run in json.loads(ran.out)] == [True]
    logs = [path.read_bytes() for path in trr.folder.rglob("*") if path.is_file() and "photos" not in path.name]
    assert not any(CANARY.encode() in log for log in logs)


@pytest.mark.parametrize("name", ["A\nB", "A\x1b[31mB", "A\u202eB"])
def test_a_name_that_the_api_refuses_is_refused_by_an_import_too(trr: Trr, tmp_path: Path, name: str) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(pictures.jpeg())
    manifest = tmp_path / "photos.jsonl"
    rows = [{"path": str(photo), "source": "deadline", field: name} for field in ("show", "person")]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    imported = trr("import", manifest, "--source", "web")
    assert imported.code == 1
    assert imported.err.count("has a character that cannot be shown") == 2
    assert len(imported.err.splitlines()) == 2 + imported.err.count("warning")
    assert "\x1b" not in imported.err
