"""`trr takedown` as a user runs it."""

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


def test_photos_of_a_person_are_removed_permanently(trr: Trr, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "photos", {f"{n}.jpg": pictures.jpeg(seed=n) for n in range(2)})
    trr.here("import", folder, "--source", "deadline", "--person", "Person One")
    trr("run")
    planned = trr("takedown", "person-one", "--dry-run", "--json").json
    assert (planned["dry_run"], len(planned["photo_ids"]), len(planned["purge_urls"])) == (True, 2, planned["objects"])
    assert "would be removed" in trr.here("takedown", planned["photo_ids"][0], "--dry-run").out
    done = trr("takedown", "person-one", "--json").json
    assert {**done, "dry_run": True} == planned
    assert trr.here("status", "--json").json["assets"] == {"pending": 0, "mirrored": 0, "failed": 0}
    assert trr.here("reconcile", "--json").json["objects_checked"] == 0
    again = trr.here("import", folder, "--source", "deadline", "--json")
    assert (again.code, again.json["created"], len(again.json["rejected"])) == (1, 0, 2)


def test_an_unknown_person_or_photo_is_a_one_line_error(trr: Trr) -> None:
    one_line(trr.here("takedown", "no-such-person"), "no person no-such-person")
    one_line(trr.here("takedown", "7c9e6679-7425-40de-944b-e07fc1f90ae7"), "no photo 7c9e6679")
