"""`trr facebank` as run by Screenalytics: with three settings and a backend over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from trr_pipelines.api.app import create_app
from trr_pipelines.catalogue.database import Database
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.screenalytics.bank import FaceBank, put_cast
from trr_pipelines.screenalytics.schema import BESIDE
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.application_face_banks import PERSON, create_application, six_fields, trr_backend
from trr_pipelines_tests.support.commands import Result, run_here, run_process
from trr_pipelines_tests.support.face_banks import add_person, add_photos, bank_query, bank_rows

Run = Callable[..., Result]


@pytest.fixture
def backend(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    for name, value in backends.environment(archive).items():
        monkeypatch.setenv(name, value)
    with backends.serving(create_app()) as client:
        yield client


@pytest.fixture
def facebank(backend: httpx.Client, bank: FaceBank, tmp_path: Path) -> Run:
    """Runs `trr facebank …` in an empty folder with only the settings of Screenalytics.

    In a separate process, or in this one with `here=True`.
    """
    folder = tmp_path / "screenalytics"
    folder.mkdir()

    def run(*arguments: str, here: bool = False, **environment: str) -> Result:
        settings = {
            "TRR_API_URL": str(backend.base_url),
            "SCREENALYTICS_SERVICE_TOKEN": backends.SCREENALYTICS_TOKEN,
            "SCREENALYTICS_DB_URL": bank.url.get_secret_value(),
        } | environment
        variables = {"PATH": os.environ["PATH"], "HOME": str(folder)} | {k: v for k, v in settings.items() if v}
        result = (run_here if here else run_process)(("facebank", *arguments), variables, folder)
        assert list(folder.iterdir()) == []  # no embedded default was started, no secrets were created
        return result

    return run


def json_of(result: Result, code: int = 0) -> Any:
    assert result.code == code, result
    return result.json


def test_a_person_is_synced_with_three_settings_and_a_second_sync_changes_nothing(
    facebank: Run, bank: FaceBank, database: Database
) -> None:
    person = add_person(database)
    add_photos(database, person, 3, seeds=1)
    first = json_of(facebank("sync", "--person", str(person), "--look-at", "0", "--json"))
    (report,) = first["people"]
    assert (report["outcome"], report["inserted"], first["failed"]) == ("seeded", 1, [])
    assert report["calls"] == [{"seed_only": True, "page": 0, "status": 200}]
    again = json_of(facebank("sync", "--person", str(person), "--look-at", "0", "--json", here=True))
    assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, 1)


def test_a_show_syncs_its_cast_and_a_failed_person_does_not_stop_the_others(
    facebank: Run, bank: FaceBank, database: Database
) -> None:
    people = [add_person(database, f"Person {name}") for name in ("A", "B")]
    add_photos(database, people[0], 2, seeds=1)
    add_photos(database, people[1], 2, start=10)
    unknown = uuid4()
    put_cast(
        bank,
        [{"id": person, "full_name": f"{person}", "shows": ["the-valley"]} for person in [*people, unknown]],
    )
    result = facebank("sync", "--show", "the-valley", "--look-at", "0", "--json", here=True, DB_URL="")
    report = json_of(result, 1)
    assert {UUID(person["person_id"]): person["outcome"] for person in report["people"]} == {
        people[0]: "seeded",
        people[1]: "fallback_unseeded",
    }
    assert [UUID(person["person_id"]) for person in report["failed"]] == [unknown]
    assert len(bank_rows(bank)) == 3


@pytest.mark.parametrize(
    ("environment", "part"),
    [
        ({"SCREENALYTICS_SERVICE_TOKEN": ""}, "SCREENALYTICS_SERVICE_TOKEN is not set"),
        ({"SCREENALYTICS_DB_URL": "postgresql://u:hunter2@127.0.0.1:1/x"}, "cannot reach the Screenalytics database"),
        ({"SCREENALYTICS_DB_URL": "mysql://u:hunter2@db/x"}, "SCREENALYTICS_DB_URL: "),
        ({"SCREENALYTICS_DB_URL": "", "DB_URL": "mysql://u:hunter2@db/x"}, "DB_URL: "),
        ({"TRR_API_URL": "ftp://x"}, "TRR_API_URL: "),
    ],
)
def test_missing_or_invalid_settings_are_a_one_line_error(
    facebank: Run, environment: dict[str, str], part: str
) -> None:
    result = facebank("sync", "--person", str(uuid4()), here=True, **environment)
    assert result.code == 1
    assert part in result.err
    assert result.err.count("\n") == 1
    assert "hunter2" not in result.err


def test_a_missing_relation_is_a_one_line_error_with_the_command_that_fixes_it(facebank: Run, bank: FaceBank) -> None:
    bank_query(bank, "drop table person cascade")
    result = facebank("sync", "--show", "the-valley")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert 'has no relation "person"; run: trr db upgrade' in result.err


def test_an_unknown_show_is_named_in_the_error(facebank: Run) -> None:
    result = facebank("sync", "--show", "no-such-show", here=True)
    assert result.code == 1
    assert "no cast of the show 'no-such-show'" in result.err


@pytest.mark.parametrize("arguments", [(), ("--show", "a", "--person", str(uuid4())), ("--person", "not-an-id")])
def test_invalid_usage_is_a_one_line_error(facebank: Run, arguments: tuple[str, ...]) -> None:
    result = facebank("sync", *arguments, here=True)
    assert (result.code, result.err.count("\n")) == (1, 1)


def test_the_database_url_can_be_set_as_db_url(facebank: Run, bank: FaceBank, database: Database) -> None:
    person = add_person(database)
    url = bank.url.get_secret_value()
    assert json_of(facebank("sync", "--person", str(person), "--json", SCREENALYTICS_DB_URL="", DB_URL=url))["people"]


def test_reviews_are_kept_and_an_exclusion_is_durable(facebank: Run, bank: FaceBank, database: Database) -> None:
    person = add_person(database)
    kept, wrong = add_photos(database, person, 2, seeds=2)
    sync = ("sync", "--person", str(person), "--look-at", "0", "--json")
    facebank(*sync, here=True)
    assert facebank("review", str(person), str(kept.media_asset_id), "--approve").code == 0
    assert facebank("review", str(person), str(wrong.media_asset_id), "--not-this-person").code == 0
    assert json_of(facebank(*sync, here=True))["people"][0]["skipped"] == {"excluded": 1}
    assert {link: row["approved"] for link, row in bank_rows(bank).items()} == {kept.link_id: True}


def test_with_the_catalogue_casts_are_sent_and_takedowns_applied(
    facebank: Run, bank: FaceBank, database: Database, archive: Archive
) -> None:
    person = add_person(database)
    photo = add_photos(database, person, 1, seeds=1)[0]
    with_catalogue = backends.environment(archive)
    facebank("sync", "--person", str(person), "--look-at", "0", here=True)
    database.run(lambda conn: conn.execute("delete from core.media_assets where id = %s", [photo.media_asset_id]))
    assert json_of(facebank("forget", "--json", **with_catalogue)) == {"photos_gone": 1, "rows_removed": 1}
    assert json_of(facebank("cast", "--json", **with_catalogue)) == {"people": 0, "changed": 0}
    assert bank_rows(bank) == {}


def test_the_applications_table_is_filled_from_its_own_backend(empty_database_url: str, tmp_path: Path) -> None:
    """`trr db upgrade` and `trr facebank sync` with the application's database and TRR-Backend."""
    bank = create_application(empty_database_url)
    with trr_backend() as trr:
        trr.everything = [six_fields(number) for number in range(520)]
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "TRR_API_URL": trr.url,
            "SCREENALYTICS_SERVICE_TOKEN": backends.SCREENALYTICS_TOKEN,
            "SCREENALYTICS_DB_URL": empty_database_url,
        }
        sync = ("facebank", "sync", "--person", str(PERSON), "--look-at", "0", "--json")
        early = json_of(run_here(sync, variables, tmp_path), 1)
        assert "run: trr db upgrade" in early["failed"][0]["error"]
        upgraded = json_of(run_process(("db", "upgrade", "--json"), variables, tmp_path))
        assert upgraded["face_bank"] == {"before": None, "after": BESIDE.head}
        for options, inserted in (((), 5), (("--max-images", "8"), 3), (("--max-images", "20"), 12)):
            report = json_of(run_here((*sync, *options), variables, tmp_path))
            assert (report["people"][0]["outcome"], report["inserted"]) == ("fallback_unseeded", inserted)
        for most in ("0", "21"):
            assert run_here((*sync, "--max-images", most), variables, tmp_path).code == 2
        trr.seeds = [six_fields(3), {"photos": []}]
        assert "1.served_url: Field required" in json_of(run_here(sync, variables, tmp_path), 1)["failed"][0]["error"]
    (counted,) = bank_query(bank, "select count(*) as rows from screenalytics.face_bank_images")
    assert counted["rows"] == 20
