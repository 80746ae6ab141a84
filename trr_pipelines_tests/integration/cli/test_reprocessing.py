"""`trr reprocess` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import write_files
from trr_pipelines_tests.support.commands import Trr, one_line


@pytest.fixture
def trr(tmp_path: Path, database_url: str, empty_database_url: str) -> Trr:
    """`trr` on separate databases given by URL, so that no server has to be started."""
    return Trr(tmp_path, TRR_DATABASE_URL=database_url, TRR_DAGSTER_PG_URL=empty_database_url, TRR_RENDER_PROCESSES="1")


def test_reprocessing_is_estimated_and_then_done_by_the_next_run(trr: Trr, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "photos", {"a.jpg": pictures.jpeg(), "cut.jpg": pictures.jpeg(seed=1)[:4000]})
    (batch,) = trr.here("import", folder, "--source", "deadline", "--json").json["batches"]
    trr("run", "--batch", batch)
    estimate = trr("reprocess", "--source", "deadline", "--dry-run", "--json").json
    assert (estimate["dry_run"], estimate["photos"], estimate["bytes_to_read"]) == (
        True,
        2,
        len(pictures.jpeg()) + 4000,
    )
    assert trr("run", "--json").json == []
    output = trr("reprocess", "--reason", "truncated").out
    assert "1 photos queued for reprocessing" in output
    assert "trr reprocess --report 1 --watch" in output
    (ran,) = trr("run", "--json").json
    assert (ran["batch"], ran["succeeded"]) == (batch, True)
    assert trr("status", "--json").json["failed_by_reason"] == {"truncated": 1}
    report = trr("reprocess", "--report", "1", "--watch").out
    assert report.startswith("request 1 (reason truncated) by ")
    assert ": 0 of 1 fixed, 1 still truncated, " in report


def test_invalid_filters_are_a_one_line_error(trr: Trr) -> None:
    one_line(trr.here("reprocess"), "at least one of state, reason, source and show")
    one_line(trr.here("reprocess", "--reason", "bad_luck"), "unknown reason 'bad_luck'", "truncated")
    one_line(trr.here("reprocess", "nothing"), "'nothing'")
    one_line(trr.here("reprocess", "--report", "7"), "no reprocess request 7")
    one_line(trr.here("reprocess", "--report", "7", "--source", "x"), "--report cannot be combined")
    one_line(trr.here("reprocess", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "--dry-run"), "a filter or --dry-run")
