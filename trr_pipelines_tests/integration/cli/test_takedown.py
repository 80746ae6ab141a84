"""`trr takedown` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import dagster  # noqa: F401  its classes are known to `deserialize_value` once it is imported
import psycopg
import pytest
from dagster_shared.serdes import deserialize_value

from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.settings import load_settings
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support import external
from trr_pipelines_tests.support.archives import write_files
from trr_pipelines_tests.support.commands import Trr, one_line


@pytest.fixture
def trr(tmp_path: Path, database_url: str, empty_database_url: str) -> Trr:
    """`trr` on separate databases given by URL, so that no server has to be started."""
    return Trr(tmp_path, TRR_DATABASE_URL=database_url, TRR_DAGSTER_PG_URL=empty_database_url, TRR_RENDER_PROCESSES="1")


def events(url: str) -> list[str]:
    """Everything that Dagster's tables hold of events."""
    with psycopg.connect(url) as conn:
        statements = (
            "select event from event_logs",
            "select last_materialization from asset_keys where last_materialization is not null",
            "select evaluation_event from asset_check_executions where evaluation_event is not null",
        )
        return [row[0] for statement in statements for row in conn.execute(statement)]


def test_photos_of_a_person_are_removed_permanently(trr: Trr, tmp_path: Path, empty_database_url: str) -> None:
    folder = write_files(tmp_path / "photos", {f"{n}.jpg": pictures.jpeg(seed=n) for n in range(2)})
    trr.here("import", folder, "--source", "deadline", "--person", "Person One")
    trr("run")
    planned = trr("takedown", "person-one", "--dry-run", "--json").json
    assert (planned["dry_run"], len(planned["photo_ids"]), len(planned["purge_urls"])) == (True, 2, planned["objects"])
    assert "would be removed" in trr.here("takedown", planned["photo_ids"][0], "--dry-run").out
    before = events(empty_database_url)
    assert [event for event in before if "data:image/" in event]
    assert [event for event in before if planned["photo_ids"][0] in event]
    done = trr("takedown", "person-one", "--json").json
    assert {**done, "dry_run": True} == planned
    # Pictures, tables and links are removed from Dagster's events; the events stay, so that its pages keep working.
    after = events(empty_database_url)
    assert len(after) == len(before)
    for trace in ("data:image/", "/contact_sheets/", *planned["photo_ids"]):
        assert not [event for event in after if trace in event]
    assert all(deserialize_value(event) for event in after)
    again = trr("takedown", "person-one", "--json")
    assert (again.code, again.json["photo_ids"], again.json["purge_urls"]) == (0, [], planned["purge_urls"])
    assert trr.here("status", "--json").json["assets"] == {"pending": 0, "mirrored": 0, "failed": 0}
    assert trr.here("reconcile", "--json").json["objects_checked"] == 0
    again = trr.here("import", folder, "--source", "deadline", "--json")
    assert (again.code, again.json["created"], len(again.json["rejected"])) == (1, 0, 2)


def test_what_another_program_wrote_is_deleted_with_the_word(trr: Trr, tmp_path: Path, database_url: str) -> None:
    settings = load_settings(database_url=database_url, home=str(tmp_path / "home"))
    with open_archive(settings) as archive:
        external.put(archive.store, "images/Two words.jpg", pictures.jpeg())
        photo_id = str(external.adopt(archive, {"a": "images/Two words.jpg"})["a"])
        original = tmp_path / "home" / "media" / "images" / "Two words.jpg"
    said = trr.here("takedown", photo_id).out
    assert "--delete-external-originals" in said
    assert said.count(f"{external.PUBLIC}/images/Two%20words.jpg") == 2, "purged and kept"
    assert original.exists()
    said = trr.here("takedown", photo_id, "--delete-external-originals").out
    assert "0 photos removed, with 0 links, 1 objects" in said
    assert "stays" not in said
    assert not original.exists()


def test_an_unknown_person_or_photo_is_a_one_line_error(trr: Trr) -> None:
    one_line(trr.here("takedown", "no-such-person"), "no person no-such-person")
    one_line(trr.here("takedown", "7c9e6679-7425-40de-944b-e07fc1f90ae7"), "no photo 7c9e6679")
