"""The face bank in Dagster: from a flag to a row, what the sensors ask for, checks, and takedowns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from dagster import DagsterInstance, Definitions, ExecuteInProcessResult, RunRequest, SensorResult, build_sensor_context

from trr_pipelines.api.app import create_app
from trr_pipelines.catalogue.database import Database
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.screenalytics.bank import FaceBank, cast_of, review
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.archives import query, value
from trr_pipelines_tests.support.face_banks import Photo, add_person, add_photos, bank_query, bank_rows


@pytest.fixture
def backend(
    defs: Definitions, archive: Archive, bank: FaceBank, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    """The backend that the definitions ask, and the face bank that they write."""
    for name, setting in backends.environment(archive).items():
        monkeypatch.setenv(name, setting)
    monkeypatch.setenv("SCREENALYTICS_DB_URL", bank.url.get_secret_value())
    with backends.serving(create_app(), backends.ADMIN_APP) as client:
        monkeypatch.setenv("TRR_API_URL", str(client.base_url))
        yield client


@pytest.fixture
def person(database: Database) -> UUID:
    return add_person(database)


def tick(defs: Definitions, instance: DagsterInstance, name: str) -> SensorResult:
    assert defs.resources is not None
    resources = {"archive": defs.resources["archive"]}
    with build_sensor_context(instance=instance, definitions=defs, resources=resources) as context:
        result = defs.resolve_sensor_def(name)(context)
    assert isinstance(result, SensorResult)
    return result


def requests(defs: Definitions, instance: DagsterInstance, name: str = "facebank_seeds") -> list[RunRequest]:
    return list(tick(defs, instance, name).run_requests or ())


def run(
    defs: Definitions, instance: DagsterInstance, person: UUID, *, run_id: str | None = None, **config: Any
) -> ExecuteInProcessResult:
    instance.add_dynamic_partitions("facebank_people", [str(person)])
    return defs.resolve_job_def("facebank_import").execute_in_process(
        instance=instance,
        partition_key=str(person),
        run_config={"ops": {"facebank_images": {"config": config}}},
        raise_on_error=False,
    )


def follow(defs: Definitions, instance: DagsterInstance) -> list[ExecuteInProcessResult]:
    """Runs whatever the sensor asks for, as the daemon would."""
    return [
        run(defs, instance, UUID(str(request.partition_key)), fall_back=False) for request in requests(defs, instance)
    ]


def toggle(client: httpx.Client, person: UUID, photo: Photo, flag: bool) -> None:
    path = f"/api/v1/admin/person/{person}/gallery/{photo.link_id}/facebank-seed"
    assert client.patch(path, json={"facebank_seed": flag}).status_code == 200


def metadata(result: ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: one.value for name, one in event.materialization.metadata.items()}


def passed(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_a_flag_becomes_one_run_and_the_run_a_row(
    defs: Definitions,
    instance: DagsterInstance,
    backend: httpx.Client,
    bank: FaceBank,
    database: Database,
    person: UUID,
) -> None:
    photo = add_photos(database, person, 3)[1]
    assert requests(defs, instance) == []
    toggle(backend, person, photo, True)
    result = tick(defs, instance, "facebank_seeds")
    (request,) = result.run_requests or ()
    assert (request.run_key, request.partition_key) == (f"facebank:{person}:1", str(person))
    (added,) = result.dynamic_partitions_requests or ()
    assert added.partition_keys == [str(person)]

    (ran,) = follow(defs, instance)
    assert ran.success
    assert {link: row["is_seed"] for link, row in bank_rows(bank).items()} == {photo.link_id: True}
    reported = metadata(ran)
    names = ("outcome", "run_calls", "run_inserted", "dagster/partition_row_count")
    assert [reported[name] for name in names] == ["seeded", 1, 1, 1]
    assert passed(ran) == {"no_duplicate_faces": True, "approvals_untouched": True, "seeds_match_backend": True}
    assert requests(defs, instance) == []


def test_removing_the_last_flag_clears_it_and_imports_no_one_else(
    defs: Definitions,
    instance: DagsterInstance,
    backend: httpx.Client,
    bank: FaceBank,
    database: Database,
    person: UUID,
) -> None:
    photo = add_photos(database, person, 4)[0]
    for flag, is_seed in ((True, True), (False, False)):
        toggle(backend, person, photo, flag)
        (ran,) = follow(defs, instance)
        assert ran.success
        assert {link: row["is_seed"] for link, row in bank_rows(bank).items()} == {photo.link_id: is_seed}
    assert metadata(ran)["outcome"] == "empty"


def test_a_run_by_hand_falls_back_to_all_photos(
    defs: Definitions,
    instance: DagsterInstance,
    backend: httpx.Client,
    bank: FaceBank,
    database: Database,
    person: UUID,
) -> None:
    add_photos(database, person, 4)
    ran = run(defs, instance, person)
    assert (metadata(ran)["outcome"], metadata(ran)["run_calls"]) == ("fallback_unseeded", 2)
    assert len(bank_rows(bank)) == 4


def test_a_toggle_during_an_import_is_followed_by_another(
    defs: Definitions, instance: DagsterInstance, backend: httpx.Client, database: Database, person: UUID
) -> None:
    """What a run read before the toggle acknowledges only what was there before it."""
    from trr_pipelines.pipeline.facebank.imports import begin_import, end_import

    first, second = add_photos(database, person, 2)
    toggle(backend, person, first, True)
    version = begin_import(database, person, "run-1")
    assert requests(defs, instance) == []  # held
    toggle(backend, person, second, True)
    end_import(database, person, version, "run-1")
    assert [request.run_key for request in requests(defs, instance)] == [f"facebank:{person}:2"]


def test_seeds_wait_until_one_of_them_is_served(
    defs: Definitions, instance: DagsterInstance, backend: httpx.Client, database: Database, person: UUID
) -> None:
    add_photos(database, person, 1, seeds=1, served=False)
    assert requests(defs, instance) == []
    query(
        database,
        "update core.media_assets set state = 'mirrored', sha256 = repeat('ab', 32), bytes = 1, width = 2, height = 2,"
        " format = 'jpeg', frames = 1, hosted_bucket = 'local', hosted_key = 'k', hosted_url = 'http://127.0.0.1:1/k'",
    )
    assert len(requests(defs, instance)) == 1


def test_a_seed_with_another_original_is_imported_again(
    defs: Definitions,
    instance: DagsterInstance,
    backend: httpx.Client,
    bank: FaceBank,
    database: Database,
    person: UUID,
) -> None:
    (photo,) = add_photos(database, person, 1, seeds=1)
    follow(defs, instance)
    query(database, "update core.media_assets set updated_at = now(), dominant_color = '#ffffff'")
    assert requests(defs, instance) == []
    query(database, "update core.media_assets set sha256 = repeat('cd', 32)")
    follow(defs, instance)
    assert bank_rows(bank)[photo.link_id]["sha256"] == "cd" * 32


def test_a_change_after_too_many_failures_is_asked_for_again(
    defs: Definitions, instance: DagsterInstance, backend: httpx.Client, database: Database, person: UUID
) -> None:
    first, second = add_photos(database, person, 2)
    toggle(backend, person, first, True)
    query(
        database,
        "insert into core.dispatches (scope, failures, not_before) values (%s, 5, now())",
        f"facebank:{person}",
    )
    query(database, "update core.facebank_imports set changed_at = now() - interval '1 hour'")
    assert requests(defs, instance) == []
    toggle(backend, person, second, True)
    assert len(requests(defs, instance)) == 1


def test_a_run_that_fails_writes_nothing_and_leaves_the_change_open(
    defs: Definitions, instance: DagsterInstance, backend: httpx.Client, bank: FaceBank, database: Database,
    person: UUID, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    add_photos(database, person, 1, seeds=1)
    monkeypatch.setenv("SCREENALYTICS_SERVICE_TOKEN", "another-token-of-the-tests")
    (ran,) = follow(defs, instance)
    assert not ran.success
    assert bank_rows(bank) == {}
    assert value(database, "select acknowledged from core.facebank_imports") == 0


def test_checks_see_what_is_wrong(
    defs: Definitions,
    instance: DagsterInstance,
    backend: httpx.Client,
    bank: FaceBank,
    database: Database,
    person: UUID,
) -> None:
    add_photos(database, person, 2, seeds=2)
    follow(defs, instance)
    bank_query(bank, "alter table face_bank_images drop constraint face_bank_images_person_id_media_asset_id_key")
    bank_query(
        bank,
        "insert into face_bank_images (person_id, media_asset_id, link_id, served_url, sha256, width, height, source,"
        " caption, is_seed) select person_id, media_asset_id, link_id, served_url, sha256, width, height, source,"
        " caption, is_seed from face_bank_images limit 1",
    )
    bank_query(bank, "update person set reviews_changed = 3")
    bank_query(bank, "update face_bank_images set is_seed = false")
    from trr_pipelines.screenalytics import reports
    from trr_pipelines.screenalytics.factory import open_client
    from trr_pipelines.settings import load_settings

    assert len(reports.no_duplicate_faces(bank, person).broken) == 2
    assert reports.approvals_untouched(bank, person).broken[0]["reviews changed"] == 3
    with open_client(load_settings()) as client:
        assert len(reports.seeds_match_backend(bank, client, person).broken) == 2


def test_reviews_are_counted_by_the_check(
    defs: Definitions,
    instance: DagsterInstance,
    backend: httpx.Client,
    bank: FaceBank,
    database: Database,
    person: UUID,
) -> None:
    photo = add_photos(database, person, 2, seeds=2)[0]
    follow(defs, instance)
    review(bank, person, photo.media_asset_id, approved=True, rejected=False, author="a reviewer")
    ran = run(defs, instance, person)
    (check,) = [one for one in ran.get_asset_check_evaluations() if one.check_name == "approvals_untouched"]
    assert (check.passed, check.metadata["approved"].value) == (True, 1)


def test_a_run_writes_the_casts_to_the_face_bank(
    defs: Definitions,
    instance: DagsterInstance,
    backend: httpx.Client,
    bank: FaceBank,
    database: Database,
    person: UUID,
) -> None:
    photo = add_photos(database, person, 1, seeds=1)[0]
    other = add_person(database, "Person Two")
    query(
        database,
        "with show as (insert into core.shows (title) values ('The Valley') returning id),"
        " slug as (insert into core.slugs (entity_kind, slug, entity_id) select 'show', 'the-valley', id from show),"
        " season as (insert into core.seasons (show_id, number) select id, 1 from show returning id),"
        " linked as (insert into core.media_links (media_asset_id, person_id, kind)"
        "  values (%(photo)s, %(other)s, 'photo'))"
        " insert into core.media_links (media_asset_id, season_id, kind) select %(photo)s, id, 'photo' from season",
        {"photo": photo.media_asset_id, "other": other},
    )
    follow(defs, instance)
    assert cast_of(bank, "the-valley") == [person, other]


# Takedowns ---------------------------------------------------------------------------------------------------------


def test_a_photo_that_was_taken_down_disappears_and_one_that_was_unlinked_stays(
    defs: Definitions,
    instance: DagsterInstance,
    backend: httpx.Client,
    bank: FaceBank,
    database: Database,
    person: UUID,
) -> None:
    gone, unlinked, kept = add_photos(database, person, 3, seeds=3)
    follow(defs, instance)
    query(database, "delete from core.media_links where id = %s", unlinked.link_id)
    assert requests(defs, instance, "facebank_removals") == []
    query(database, "delete from core.media_assets where id = %s", gone.media_asset_id)
    (request,) = requests(defs, instance, "facebank_removals")
    assert request.run_key == "facebank-removals:1"
    assert defs.resolve_job_def("facebank_removal").execute_in_process(instance=instance).success
    assert set(bank_rows(bank)) == {unlinked.link_id, kept.link_id}
    assert requests(defs, instance, "facebank_removals") == []
    follow(defs, instance)
    assert {link: row["is_seed"] for link, row in bank_rows(bank).items()} == {
        unlinked.link_id: False,
        kept.link_id: True,
    }


def test_a_duplicate_that_ends_while_it_arrives_is_no_takedown(
    defs: Definitions, instance: DagsterInstance, backend: httpx.Client, database: Database, person: UUID
) -> None:
    add_photos(database, person, 1, seeds=1, served=False)
    query(database, "delete from core.media_assets")
    assert requests(defs, instance, "facebank_removals") == []


def test_a_person_who_is_removed_leaves_nothing_open(
    defs: Definitions, instance: DagsterInstance, backend: httpx.Client, database: Database, person: UUID
) -> None:
    add_photos(database, person, 1, seeds=1)
    query(database, "delete from core.people")
    assert requests(defs, instance) == []


@pytest.mark.parametrize("name", ["facebank_seeds", "facebank_removals"])
def test_without_a_face_bank_the_sensors_say_so(
    defs: Definitions, instance: DagsterInstance, archive: Archive, database: Database, person: UUID, name: str
) -> None:
    add_photos(database, person, 1, seeds=1)
    query(database, "delete from core.media_assets")
    reason = tick(defs, instance, name).skip_reason
    assert reason is not None
    assert reason.skip_message == "SCREENALYTICS_DB_URL is not set"
