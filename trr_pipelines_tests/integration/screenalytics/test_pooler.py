"""Both kinds of face bank behind a pooler in transaction mode, which keeps no state of a session."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr

from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.screenalytics import bank as banks
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.factory import upgrade_bank
from trr_pipelines.screenalytics.importing import import_facebank_images
from trr_pipelines.screenalytics.kinds import Kind
from trr_pipelines.screenalytics.reports import no_duplicate_faces
from trr_pipelines_tests.support.application_face_banks import (
    PERSON,
    TrrBackend,
    add_assets,
    create_application,
    six_fields,
    trr_backend,
)
from trr_pipelines_tests.support.face_banks import bank_query, client_of
from trr_pipelines_tests.support.poolers import pgbouncer_path, transaction_pooler


@pytest.fixture(scope="module")
def pooler(server_home: Path) -> Iterator[tuple[EmbeddedPostgres, int]]:
    """A server of its own, and the port of the pooler in front of it."""
    program = pgbouncer_path()
    if program is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer, as root")
    server = EmbeddedPostgres(server_home)
    server.start()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="trr-pooler-") as folder,
            transaction_pooler(program, server, Path(folder)) as port,
        ):
            yield server, port
    finally:
        server.release()


@pytest.fixture
def trr() -> Iterator[TrrBackend]:
    with trr_backend() as running:
        yield running


@pytest.fixture
def pooled_url(pooler: tuple[EmbeddedPostgres, int]) -> str:
    """An empty database behind the pooler."""
    server, port = pooler
    name = f"pooled_{uuid4().hex[:8]}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute(f"create database {name}")
    return f"postgresql://postgres@127.0.0.1:{port}/{name}"


@pytest.mark.parametrize("kind", list(Kind))
def test_imports_reviews_and_removals_need_no_session(pooled_url: str, trr: TrrBackend, kind: Kind) -> None:
    trr.seeds = [six_fields(number) for number in range(520)]
    if kind is Kind.APPLICATION:
        create_application(pooled_url)
        add_assets(pooled_url, trr.seeds)
    for before in (None, kind.schema.head):
        assert upgrade_bank(pooled_url) == (before, kind.schema.head)
    bank = FaceBank(SecretStr(pooled_url))
    counts = []
    for _ in range(6):  # more often than a prepared statement would need
        with client_of(trr.url) as client:
            counts.append(import_facebank_images(bank, client, PERSON).inserted)
    assert counts == [520, 0, 0, 0, 0, 0]
    first, second, *_ = banks.faces(bank, PERSON)
    banks.review(bank, PERSON, first["media_asset_id"], approved=True, rejected=False, author="a reviewer")
    banks.exclude(bank, PERSON, second["media_asset_id"], author="a reviewer")
    assert banks.remove_photos(bank, [first["media_asset_id"]]) == 1
    assert len(banks.faces(bank, PERSON)) == 518
    assert no_duplicate_faces(bank, PERSON).broken == []
    locks = bank_query(bank, "select count(*) as held from pg_locks where locktype = 'advisory'")
    assert locks == [{"held": 0}]


def test_importers_at_once_share_two_server_connections(pooled_url: str, trr: TrrBackend) -> None:
    create_application(pooled_url)
    upgrade_bank(pooled_url)
    bank = FaceBank(SecretStr(pooled_url))
    trr.everything = [six_fields(number) for number in range(60)]
    done: list[int] = []

    def run() -> None:
        with client_of(trr.url) as client:
            done.append(import_facebank_images(bank, client, PERSON, max_images=20).inserted)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 20
    assert len(banks.faces(bank, PERSON)) == 20
