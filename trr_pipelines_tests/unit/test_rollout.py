"""The rollout status from its evidence: closed and open stages, and stages passed out of order."""

from __future__ import annotations

from pathlib import Path

import pytest

from trr_pipelines.errors import InputError, SetupError
from trr_pipelines.rollout import rollout_status
from trr_pipelines.smoke.evidence import Part, PartEvidence, State, StepResult, read_evidence, write_evidence


def smoke(folder: Path, environment: str, *parts: Part, mode: str = "full", state: State = State.PASSED) -> None:
    write_evidence(
        folder,
        environment,
        {
            part: PartEvidence(
                "2026-02-12T10:00:00+00:00",
                mode,
                "0.1.0",
                "http://x",
                [StepResult(part, "a_step", "a | claim", state, "why <b>", 0.5, {"calls": [True]})],
            )
            for part in parts
        },
    )


def states(folder: Path) -> list[str]:
    return [stage.state for stage in rollout_status(folder).stages]


def test_without_evidence_every_stage_is_open(tmp_path: Path) -> None:
    rollout = rollout_status(tmp_path)
    assert [stage.state for stage in rollout.stages] == ["open"] * 6
    assert (rollout.next, rollout.is_closed) == ("backend of staging: no smoke run yet", False)


def test_parts_are_closed_one_by_one(tmp_path: Path) -> None:
    smoke(tmp_path, "staging", Part.BACKEND)
    smoke(tmp_path, "staging", Part.ADMIN)
    assert states(tmp_path) == ["passed", "passed", "open", "open", "open", "open"]
    assert rollout_status(tmp_path).next == "screenalytics of staging: no smoke run yet"


def test_everything_passed_closes_the_rollout(tmp_path: Path) -> None:
    smoke(tmp_path, "staging", *Part)
    smoke(tmp_path, "production", *Part, mode="minimal")
    assert rollout_status(tmp_path).is_closed


def test_a_failure_is_reported_with_its_step(tmp_path: Path) -> None:
    smoke(tmp_path, "staging", Part.BACKEND, state=State.FAILED)
    stage = rollout_status(tmp_path).stages[0]
    assert (stage.state, stage.why) == ("failed", "a_step: why <b>")


def test_a_skipped_step_closes_nothing(tmp_path: Path) -> None:
    smoke(tmp_path, "staging", Part.BACKEND, state=State.SKIPPED)
    assert states(tmp_path)[0] == "failed"


def test_staging_needs_the_full_smoke(tmp_path: Path) -> None:
    smoke(tmp_path, "staging", Part.BACKEND, mode="minimal")
    assert rollout_status(tmp_path).stages[0].why == "only the minimal smoke was run"


def test_production_before_staging_is_out_of_order(tmp_path: Path) -> None:
    smoke(tmp_path, "production", Part.BACKEND)
    rollout = rollout_status(tmp_path)
    assert rollout.out_of_order == [
        f"backend of production passed before {part} of staging" for part in ("backend", "admin", "screenalytics")
    ]
    assert not rollout.is_closed


def test_evidence_is_read_as_it_was_written(tmp_path: Path) -> None:
    smoke(tmp_path, "staging", *Part)
    evidence = read_evidence(tmp_path, "staging")
    assert evidence[Part.ADMIN].steps[0].seen == {"calls": [True]}
    assert evidence[Part.ADMIN].passed
    assert "a \\| claim" in (tmp_path / "staging.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"parts": {"nothing": {}}}', '{"parts": {"admin": {}}}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "staging.json").write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match=r"staging\.json is not smoke evidence"):
        rollout_status(tmp_path)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x" * 41])
def test_an_environment_name_cannot_contain_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="an environment name has"):
        read_evidence(tmp_path, name)
