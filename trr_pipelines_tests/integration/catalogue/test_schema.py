"""The schema of a real database: upgraded once, and refused with a clear message when it is not ours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from trr_pipelines.catalogue import schema
from trr_pipelines.errors import SetupError
from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.settings import Settings

HEAD = schema.known_revisions()[-1]


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement)  # type: ignore[call-overload]  the tests' own SQL


def refusal(url: str) -> str:
    with psycopg.connect(url) as conn, pytest.raises(SetupError) as caught:
        schema.require_current(conn)
    return str(caught.value)


def test_an_empty_database_is_upgraded_to_the_newest_revision(empty_database_url: str) -> None:
    assert schema.upgrade(empty_database_url) == (None, HEAD)
    with psycopg.connect(empty_database_url) as conn:
        schema.require_current(conn)


def test_upgrading_again_changes_nothing(database_url: str) -> None:
    execute(database_url, "insert into core.shows (title) values ('The Valley')")
    assert schema.upgrade(database_url) == (HEAD, HEAD)
    with psycopg.connect(database_url) as conn:
        assert conn.execute("select title from core.shows").fetchall() == [("The Valley",)]


def test_concurrent_upgrades_wait_for_each_other(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        ended = list(threads.map(schema.upgrade, [empty_database_url] * 4))
    assert sorted(before or "" for before, _ in ended) == ["", *[HEAD] * 3]


def test_a_database_without_our_schema_is_refused_with_the_command_to_run(empty_database_url: str) -> None:
    assert refusal(empty_database_url).endswith("holds no TRR schema; run: trr db upgrade")


def test_a_schema_of_other_software_is_refused_and_left_alone(empty_database_url: str) -> None:
    execute(empty_database_url, "create schema core", "create table core.shows (title text)")
    expected = 'holds a schema "core" that is not ours (no core.alembic_version); give another database'
    assert expected in refusal(empty_database_url)
    with pytest.raises(SetupError, match="is not ours"):
        schema.upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as conn:
        tables = conn.execute("select tablename from pg_tables where schemaname = 'core'").fetchall()
    assert tables == [("shows",)]


def test_a_schema_of_newer_code_is_refused_and_left_alone(database_url: str) -> None:
    execute(database_url, "update core.alembic_version set version_num = '9999'")
    expected = f"is at revision 9999, newer than this code ({HEAD}); upgrade the code"
    assert expected in refusal(database_url)
    with pytest.raises(SetupError, match="is at revision 9999, newer than this code"):
        schema.upgrade(database_url)


def test_opening_an_archive_never_upgrades_a_database_given_by_url(empty_database_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=empty_database_url)
    with pytest.raises(SetupError, match="run: trr db upgrade"), open_archive(settings):
        pass
    with psycopg.connect(empty_database_url) as conn:
        assert conn.execute("select to_regnamespace('core')").fetchone() == (None,)


def test_a_migration_fails_rather_than_queue_behind_a_long_transaction(empty_database_url: str) -> None:
    execute(empty_database_url, "create schema core", "create table core.alembic_version (version_num text)")
    with psycopg.connect(empty_database_url) as reader:
        reader.execute("lock table core.alembic_version in access exclusive mode")
        with pytest.raises(SetupError, match="cannot upgrade the database: canceling statement due to lock timeout"):
            schema.upgrade(empty_database_url)


@pytest.mark.parametrize("url", ["postgresql://user@127.0.0.1:1/trr", "postgresql://user@/trr?host=/no/such/folder"])
def test_an_unreachable_database_is_a_one_line_error(url: str, tmp_path: Path) -> None:
    for attempt in (
        lambda: schema.upgrade(url),
        lambda: open_archive(Settings(home=tmp_path, database_url=url)).__enter__(),
    ):
        with pytest.raises(SetupError, match=r"^cannot (upgrade|reach) the database: ") as caught:
            attempt()
        assert "\n" not in str(caught.value)


# Constraints -------------------------------------------------------------------------------------

PHOTO = (
    "insert into core.import_batches (key, source, day, number) values ('b', 's', '2026-02-12', 1)",
    "insert into core.media_assets (id, source, source_url, batch_key)"
    " values ('00000000-0000-0000-0000-000000000001', 's', 'u', 'b')",
)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("insert into core.media_assets (source, source_url, batch_key) values ('s', 'u', 'b')", "media_assets_source"),
        (
            "insert into core.import_batches (key, source, day, number) values ('b,c', 's', '2026-02-12', 2)",
            "key_plain",
        ),
        ("update core.media_assets set state = 'failed'", "media_assets_failed_has_reason"),
        ("update core.media_assets set state = 'mirrored'", "media_assets_mirrored_is_hosted"),
        ("update core.media_assets set state = 'lost'", "media_assets_state_known"),
        (
            "insert into core.media_links (media_asset_id, show_id, person_id, kind)"
            " select id, id, id, 'photo' from core.media_assets",
            "media_links_one_entity",
        ),
        (
            "insert into core.variant_generations (media_asset_id, kind, state) select id, 'base', 'failed'"
            " from core.media_assets",
            "variant_generations_failed_has_reason",
        ),
        (
            "insert into core.variant_generations (media_asset_id, kind, next_attempt_at) select id, 'base', now()"
            " from core.media_assets",
            "variant_generations_only_failed_waits",
        ),
        ("insert into core.people (full_name) values (' ')", "people_full_name_not_blank"),
    ],
)
def test_constraints_reject_invalid_rows(database_url: str, statement: str, constraint: str) -> None:
    execute(database_url, *PHOTO)
    with pytest.raises(psycopg.errors.IntegrityError) as caught:
        execute(database_url, statement)
    assert constraint in (caught.value.diag.constraint_name or "")
