"""Commands beside an idle transaction that holds a table: each ends with one line that names the session."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import write_files
from trr_pipelines_tests.support.commands import Result, Trr

COMMANDS = (
    ("status",),
    ("import", "photos", "--source", "deadline"),
    ("gc",),
    ("reconcile",),
    ("takedown", "7c9e6679-7425-40de-944b-e07fc1f90ae7"),
)


@pytest.mark.parametrize(
    ("tables", "commands"),
    [("core.media_assets, core.media_asset_variants", COMMANDS), ("core.alembic_version", COMMANDS[:1])],
)
def test_no_command_hangs_without_a_word(
    tmp_path: Path, database_url: str, empty_database_url: str, tables: str, commands: tuple[tuple[str, ...], ...]
) -> None:
    """The tables are locked for as long as the commands run, as by a psql that was left open."""
    trr = Trr(tmp_path, TRR_DATABASE_URL=database_url, TRR_DAGSTER_PG_URL=empty_database_url)
    write_files(tmp_path / "photos", {"a.jpg": pictures.jpeg()})
    with psycopg.connect(database_url, application_name="left open") as idle:
        idle.execute(f"lock table {tables} in access exclusive mode")  # type: ignore[call-overload]  the test's own name

        def timed(command: tuple[str, ...]) -> tuple[Result, float]:
            began = time.monotonic()
            return trr(*command), time.monotonic() - began

        with ThreadPoolExecutor(len(commands)) as threads:
            results = list(threads.map(timed, commands))
        for command, (result, seconds) in zip(commands, results, strict=True):
            assert result.code == 1, command
            assert seconds < 90, command
            assert f"process {idle.info.backend_pid} (left open, user" in result.err, (command, result)
            assert "idle in transaction" in result.err
            assert "\ntrr: a lock in the database is not free" in f"\n{result.err}", result
