"""Dagster's storage: processes that start at the same time on an empty database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.defs.storage import TABLES_LOCK, ArchiveRunStorage
from trr_pipelines_tests.support.databases import new_database


def test_only_one_process_at_a_time_creates_the_tables(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Web server, daemon and code server start together: Dagster itself fails if they create the tables together."""
    with new_database(postgres, "template1") as url, ThreadPoolExecutor(1) as threads:
        monkeypatch.setenv("TRR_DAGSTER_PG_URL", url)
        with psycopg.connect(url) as other:
            other.execute(TABLES_LOCK)
            starting = threads.submit(ArchiveRunStorage.from_config_value, None, {})
            with pytest.raises(TimeoutError):
                starting.result(2)
            tables = other.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
            assert tables == (0,)
        assert starting.result(30).run_storage.get_runs_count() == 0
