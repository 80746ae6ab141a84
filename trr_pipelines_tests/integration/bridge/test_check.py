"""`trr bridge check` on PostgreSQL 15: roles, row-level security, a transaction pooler, other schemas."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from trr_pipelines.bridge.check import BridgeFinding, check_bridge, require_usable
from trr_pipelines.bridge.publishing import publish_due
from trr_pipelines.bridge.sync import sync
from trr_pipelines.catalogue.database import Database
from trr_pipelines.errors import SetupError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.integration.bridge.conftest import Put, RenderAll
from trr_pipelines_tests.support.applications import SCHEMA, Reader, Rows, opened
from trr_pipelines_tests.support.postgres_15 import (
    PASSWORD,
    needs_pgbouncer,
    needs_postgres_15,
    pgbouncer,
    postgres_15,
    url,
)

pytestmark = needs_postgres_15
NAME = "archive"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server with the application's database of 30 photos, and the roles `owner`, `seeing` and `blind`."""
    with postgres_15() as port:
        with psycopg.connect(url(port, "admin", "postgres"), autocommit=True) as conn:
            for role, attributes in (("owner", ""), ("seeing", "bypassrls"), ("blind", "")):
                conn.execute(f"create role {role} login {attributes} password '{PASSWORD}'")  # type: ignore[arg-type]
            conn.execute("create database archive owner owner")
        with psycopg.connect(url(port, "owner", NAME), autocommit=True) as conn:
            conn.execute(SCHEMA.read_text())  # type: ignore[arg-type]
            conn.execute("grant usage on schema core to seeing, blind")
            conn.execute("grant select, insert, update, delete on all tables in schema core to seeing, blind")
        rows = Rows(url(port, "owner", NAME))
        person = rows.person("Ana")
        for number in range(30):
            rows.link(rows.asset(f"images/{number}.jpg"), "person", person)
        rows.execute("analyze")
        yield port


def found(port: int, role: str, name: str = NAME) -> dict[str, BridgeFinding]:
    with opened(url(port, role, name)) as application:
        return {finding.name: finding for finding in check_bridge(application, None)}


def test_owner_and_bypassing_role_are_usable(port: int) -> None:
    for role in ("owner", "seeing"):
        findings = found(port, role)
        assert [name for name, finding in findings.items() if finding.state == "error"] == []
        assert findings["visible rows"].detail == "30 rows of media_assets, 30 links"
        assert "PostgreSQL 15" in findings["server"].detail
        assert "create index concurrently on core.media_assets (updated_at)" in findings["indexes"].remedy


def test_a_role_that_sees_no_rows_is_refused_with_the_remedy(port: int) -> None:
    finding = found(port, "blind")["visible rows"]
    assert finding.state == "error"
    assert "it sees 0 rows of core.media_assets, which has about 30 rows" in finding.detail
    assert "BYPASSRLS" in finding.remedy
    with opened(url(port, "blind", NAME)) as application, pytest.raises(SetupError, match="row-level security"):
        require_usable(application)


def test_missing_grants_are_named_one_by_one(port: int) -> None:
    rows = Rows(url(port, "owner", NAME))
    rows.execute("revoke delete on core.media_asset_variants from seeing")
    rows.execute("revoke update on core.media_links from seeing")
    rows.execute("grant update (context) on core.media_links to seeing")
    try:
        finding = found(port, "seeing")["grants"]
    finally:
        rows.execute("grant select, insert, update, delete on all tables in schema core to seeing")
    assert finding.state == "error"
    assert "grant update (facebank_seed) on core.media_links" in finding.remedy
    assert "grant delete on core.media_asset_variants" in finding.remedy
    assert "(context)" not in finding.remedy


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("drop table core.media_asset_variants", "no table core.media_asset_variants"),
        ("alter table core.media_links drop column context", "core.media_links has no column context"),
        (
            "alter table core.media_assets alter column metadata drop default,"
            " alter column metadata type text using metadata::text",
            "core.media_assets.metadata is text, not jsonb",
        ),
    ],
    ids=["table", "column", "type"],
)
def test_other_schemas_are_named(port: int, statement: str, detail: str) -> None:
    with psycopg.connect(url(port, "admin", "postgres"), autocommit=True) as conn:
        conn.execute("drop database if exists other with (force)")
        conn.execute("create database other owner owner")
    rows = Rows(url(port, "owner", "other"))
    rows.execute(SCHEMA.read_text())
    rows.execute("drop index core.media_assets_metadata_idx")
    rows.execute(statement)
    finding = found(port, "owner", "other")["tables"]
    assert (finding.state, finding.detail) == ("error", detail)


def test_an_empty_archive_is_refused(port: int) -> None:
    with psycopg.connect(url(port, "admin", "postgres"), autocommit=True) as conn:
        conn.execute("drop database if exists empty with (force)")
        conn.execute("create database empty owner owner")
    assert found(port, "owner", "empty")["tables"].detail == "there is no schema core, or this role may not use it"
    Rows(url(port, "owner", "empty")).execute(SCHEMA.read_text())
    assert found(port, "owner", "empty")["visible rows"].detail == "core.media_assets is empty"


@needs_pgbouncer
def test_everything_works_through_a_transaction_pooler_as_a_role_without_superuser(
    port: int, archive: Archive, database: Database, put: Put, render_all: RenderAll
) -> None:
    for number in range(30):
        put(f"images/{number}.jpg")
    with pgbouncer(port) as pooled:
        assert "transaction mode" in found(pooled, "seeing")["pooler"].detail
        with opened(url(pooled, "seeing", NAME)) as application:
            assert sync(archive, application, lane="live").photos == 30
            render_all()
            assert publish_due(database, application) == {"published": 30}
    reader = Reader(url(port, "owner", NAME))
    (person,) = Rows(url(port, "owner", NAME)).execute("select id from core.people")
    assert not any(photo["missing_variants"] for photo in reader.gallery(person["id"]))


def test_a_wrong_url_is_one_line(port: int) -> None:
    for wrong in (url(port, "owner", "missing"), url(port, "owner", NAME).replace(PASSWORD, "wrong"), url(1, "a", "b")):
        with pytest.raises(SetupError, match="cannot reach the application's database: ") as error, opened(wrong):
            pass
        assert "\n" not in str(error.value)
        assert PASSWORD not in str(error.value)
