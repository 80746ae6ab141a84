"""The smoke on real components: it passes, detects a failure of each part, and restores everything."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pydantic import SecretStr

from trr_pipelines.errors import SetupError
from trr_pipelines.rollout import rollout_status
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.smoke import runner
from trr_pipelines.smoke.evidence import Part, State, StepResult
from trr_pipelines.smoke.runner import Smoke, run_smoke
from trr_pipelines.smoke.steps import STEPS
from trr_pipelines_tests.support.archives import query
from trr_pipelines_tests.support.environments import Environment, changed
from trr_pipelines_tests.support.face_banks import bank_query
from trr_pipelines_tests.support.ports import refusing_port


def failed(smoke: Smoke) -> dict[str, str]:
    steps = [step for part in smoke.evidence.values() for step in part.steps]
    return {step.name: step.detail for step in steps if step.state is State.FAILED}


def state_of(environment: Environment) -> tuple[list[bool], list[object], list[object]]:
    """All state that a smoke changes."""
    return (
        environment.flags(),
        list(
            bank_query(environment.bank, "select person_id, media_asset_id, is_seed from face_bank_images order by 2")
        ),
        list(bank_query(environment.bank, "select id from person")),
    )


def test_everything_passes_and_is_restored(environment: Environment) -> None:
    before = state_of(environment)
    smoke = environment.smoke()
    assert failed(smoke) == {}
    assert smoke.passed
    assert [step.name for part in smoke.evidence.values() for step in part.steps] == [step.name for step in STEPS]
    assert state_of(environment) == before
    assert not list(environment.out.glob("*.undo.json"))


def test_the_evidence_lists_the_calls_in_order_without_secrets(environment: Environment) -> None:
    smoke = environment.smoke()
    as_json, as_markdown = (path.read_text(encoding="utf-8") for path in smoke.files)
    steps = {step["name"]: step for step in json.loads(as_json)["parts"]["screenalytics"]["steps"]}
    queried = {
        name: [call["seed_only"] for call in steps[name]["seen"]["calls"]] for name in ("unseeded_person_falls_back",)
    }
    assert queried == {"unseeded_person_falls_back": [True, False]}
    assert [call["seed_only"] for call in steps["seeded_person_needs_one_call"]["seen"]["first"]["calls"]] == [True]
    for name in ("service_role_key", "internal_admin_shared_secret", "screenalytics_service_token", "smoke_token"):
        assert getattr(environment.settings, name).get_secret_value() not in as_json + as_markdown
    assert "## backend: passed" in as_markdown


def test_a_minimal_smoke_changes_nothing(environment: Environment) -> None:
    query(environment.database, "update core.media_links set facebank_seed = true")
    before = state_of(environment), query(environment.database, "select count(*) from core.audit_log")
    smoke = environment.smoke(environment.plan(minimal=True))
    assert failed(smoke) == {}
    assert smoke.passed
    assert (state_of(environment), query(environment.database, "select count(*) from core.audit_log")) == before
    assert {step.name for part in smoke.evidence.values() for step in part.steps} == {
        step.name for step in STEPS if not step.changes
    }


def test_existing_rows_of_the_face_bank_are_unchanged_afterwards(environment: Environment) -> None:
    environment.smoke()
    bank_query(environment.bank, "insert into person (id, full_name) values (%s, 'Person One')", environment.person)
    for photo in query(environment.database, "select distinct media_asset_id from core.media_links"):
        bank_query(
            environment.bank,
            "insert into face_bank_images (person_id, media_asset_id, link_id, served_url, sha256, width, height,"
            " source, caption, is_seed, approved, reviewed_by, reviewed_at)"
            " values (%s, %s, gen_random_uuid(), 'http://x/', repeat('0', 64), 1, 1, '', '', false, true, 'a reviewer',"
            " now())",
            environment.person,
            photo["media_asset_id"],
        )
    before = state_of(environment)
    smoke = environment.smoke()
    assert failed(smoke) == {}
    assert state_of(environment) == before


def test_a_wrong_secret_fails_the_step_that_uses_it(environment: Environment) -> None:
    wrong = changed(environment.settings, "internal_admin_shared_secret", "another-secret-of-the-tests")
    assert "status 403, expected 200" in failed(environment.smoke(settings=wrong))["gallery_urls_return_images"]
    wrong = changed(environment.settings, "screenalytics_service_token", "another-token-of-the-tests")
    assert "status 401" in failed(environment.smoke(settings=wrong))["token_reads_photos_and_nothing_else"]
    wrong = changed(environment.settings, "smoke_token", "no-token")
    assert "signing in: status 401" in failed(environment.smoke(settings=wrong))["toggle_through_the_proxy"]


def test_a_backend_that_is_down_fails_one_step_and_the_rest_is_skipped(environment: Environment) -> None:
    with refusing_port() as port:
        smoke = environment.smoke(environment.plan(backend=f"http://127.0.0.1:{port}"))
    assert set(failed(smoke)) == {"backend_is_ready"}
    others = [step for part in smoke.evidence.values() for step in part.steps if step.name != "backend_is_ready"]
    assert {(step.state, step.detail) for step in others} == {(State.SKIPPED, "backend_is_ready failed")}


def test_an_admin_app_that_is_down_fails_only_its_own_part(environment: Environment) -> None:
    with refusing_port() as port:
        smoke = environment.smoke(environment.plan(admin=f"http://127.0.0.1:{port}"))
    assert set(failed(smoke)) == {"admin_is_ready"}
    assert {part: evidence.passed for part, evidence in smoke.evidence.items()} == {
        Part.BACKEND: True, Part.ADMIN: False, Part.SCREENALYTICS: True,
    }  # fmt: skip


def test_a_dropped_table_is_named(environment: Environment) -> None:
    bank_query(environment.bank, "drop table person cascade")
    smoke = environment.smoke()
    assert 'has no relation "person"; run: trr db upgrade' in failed(smoke)["face_bank_is_complete"]
    assert set(failed(smoke)) == {"face_bank_is_complete"}


def test_a_duplicate_photo_is_detected(environment: Environment) -> None:
    bank_query(
        environment.bank, "alter table face_bank_images drop constraint face_bank_images_person_id_media_asset_id_key"
    )
    assert failed(environment.smoke())  # without the constraint nothing can be imported
    bank_query(environment.bank, "insert into person (id) values (%s)", environment.person)
    for _ in range(2):
        bank_query(
            environment.bank,
            "insert into face_bank_images (person_id, media_asset_id, link_id, served_url, sha256, width, height,"
            " source, caption, is_seed) values (%s, gen_random_uuid(), gen_random_uuid(), 'http://x/', repeat('1', 64),"
            " 1, 1, '', '', false)",
            environment.person,
        )
    bank_query(
        environment.bank,
        "alter table face_bank_images add constraint face_bank_images_person_id_media_asset_id_key"
        " unique (person_id, media_asset_id)",
    )
    assert "rows violate a check" in failed(environment.smoke())["seeded_person_needs_one_call"]


def test_a_missing_media_file_is_named(environment: Environment) -> None:
    query(
        environment.database,
        "update core.media_asset_variants set hosted_key = hosted_key || 'x', hosted_url = hosted_url || 'x'",
    )
    assert (
        ": status 404, expected 206"
        in failed(environment.smoke(environment.plan(only_backend=True)))["gallery_urls_return_images"]
    )


class Interrupted(BaseException):
    """Simulates Ctrl-C during a step."""


@pytest.mark.parametrize("step", [step.name for step in STEPS if step.changes])
def test_an_interrupted_smoke_restores_everything(
    environment: Environment, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:

    before = state_of(environment)

    def interrupted(step: object) -> object:
        def run(world: object) -> object:
            step.run(world)  # type: ignore[attr-defined]
            raise Interrupted

        return run

    monkeypatch.setattr(
        runner, "STEPS", [replace(each, run=interrupted(each)) if each.name == step else each for each in STEPS]
    )
    with pytest.raises(Interrupted):
        environment.smoke()
    assert state_of(environment) == before


def test_leftovers_of_a_killed_smoke_are_restored_by_the_next(environment: Environment) -> None:
    (link,) = query(environment.database, "select id from core.media_links limit 1")
    query(environment.database, "update core.media_links set facebank_seed = true where id = %s", link["id"])
    environment.out.mkdir()
    entry = {"kind": "flag", "person": str(environment.person), "link": str(link["id"]), "value": False}
    (environment.out / "staging.undo.json").write_text(json.dumps([entry]))
    assert environment.smoke(environment.plan(minimal=True)).passed
    assert environment.flags() == [False] * 3


def test_state_that_cannot_be_restored_is_kept_and_reported(environment: Environment) -> None:
    environment.out.mkdir()
    entry = {"kind": "faces", "person": str(environment.person), "ids": [], "seeds": [], "was_known": False}
    (environment.out / "staging.undo.json").write_text(json.dumps([entry]))
    with pytest.raises(SetupError, match=r"cannot be undone: faces: .*--screenalytics"):
        environment.smoke(environment.plan(only_backend=True))
    assert (environment.out / "staging.undo.json").exists()
    assert environment.smoke().passed


def test_a_smoke_without_a_suitable_person_fails_with_a_message(environment: Environment) -> None:
    query(environment.database, "delete from core.media_links")
    assert "give --person" in failed(environment.smoke())["seeds_are_a_subset_of_all_photos"]


def test_a_smoke_closes_its_part_of_the_rollout(environment: Environment) -> None:
    environment.smoke(environment.plan(only_backend=True))
    rollout = rollout_status(environment.out)
    assert [stage.state for stage in rollout.stages] == ["passed", *["open"] * 5]
    assert rollout.next == "admin of staging: no smoke run yet"
    environment.smoke()
    assert [stage.state for stage in rollout_status(environment.out).stages] == [*["passed"] * 3, *["open"] * 3]


def test_each_step_is_reported_when_it_ends(environment: Environment) -> None:
    results: list[StepResult] = []
    run_smoke(environment.settings, environment.plan(only_backend=True, minimal=True), results.append)
    assert [result.part for result in results] == [Part.BACKEND] * len(results)
    assert results


def test_an_unreachable_face_bank_is_one_failed_step(environment: Environment) -> None:
    unreachable = FaceBank(SecretStr("postgresql://u:hunter2@127.0.0.1:1/x"))
    smoke = environment.smoke(environment.plan(bank=unreachable))
    assert set(failed(smoke)) == {"face_bank_is_complete"}
    assert "hunter2" not in smoke.files[0].read_text(encoding="utf-8")
