"""Run a smoke: open the clients, run the steps, undo their changes, write the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from trr_pipelines.errors import SetupError
from trr_pipelines.screenalytics.bank import FaceBank, Snapshot, restore
from trr_pipelines.settings import Settings
from trr_pipelines.smoke.clients import TIMEOUT, AdminApp, SmokeBackend, expect
from trr_pipelines.smoke.evidence import Evidence, Part, PartEvidence, State, StepResult, write_evidence
from trr_pipelines.smoke.steps import STEPS, SmokeContext, Step
from trr_pipelines.smoke.subject import Subject, find_subject
from trr_pipelines.smoke.undo import Journal

# When one of these fails, the other steps of its part (None: of all parts) are skipped.
_FIRST = {"backend_is_ready": None, "admin_is_ready": Part.ADMIN, "face_bank_is_complete": Part.SCREENALYTICS}

OnResult = Callable[[StepResult], None]


@dataclass(frozen=True)
class Plan:
    """What to test where. An empty `admin` or a `bank` of None skips that part; `minimal` runs read-only steps."""

    environment: str
    backend: str
    admin: str
    bank: FaceBank | None
    person: str
    minimal: bool
    out: Path


@dataclass(frozen=True)
class Smoke:
    """Result of a smoke; `left` lists changes that could not be undone, one line each."""

    evidence: Evidence
    left: Sequence[str]
    files: tuple[Path, Path]

    @property
    def passed(self) -> bool:
        """Whether all tested parts passed, and all changes were undone."""
        return not self.left and all(part.passed for part in self.evidence.values())


def run_smoke(settings: Settings, plan: Plan, on_result: OnResult) -> Smoke:
    """Run every step of the plan; a failed step stops only the steps that depend on it.

    Changes are undone at the end, also after an interruption; changes left by a killed smoke are undone first. Raises
    SetupError if that fails, and InputError for an invalid environment name.
    """
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=plan.backend, timeout=TIMEOUT, trust_env=False))
        backend = SmokeBackend(http, settings)
        admin = None
        if plan.admin:
            pages = httpx.Client(base_url=plan.admin, timeout=TIMEOUT, trust_env=False)
            admin = AdminApp(stack.enter_context(pages), settings)
        journal = _journal(plan, backend)
        left = journal.undo_all()
        if left:
            raise SetupError(f"changes of an earlier smoke cannot be undone: {'; '.join(left)}")

        @cache
        def subject() -> Subject:
            return find_subject(backend, plan.person, may_have_seeds=plan.minimal)

        context = SmokeContext(
            settings.model_copy(update={"api_url": plan.backend}), backend, admin, plan.bank, journal, subject
        )
        results: list[StepResult] = []
        try:
            for step in _chosen(plan):
                results.append(_run_step(step, context, results))
                on_result(results[-1])
        finally:
            left = journal.undo_all()
    evidence = _evidence(plan, results)
    return Smoke(evidence, left, write_evidence(plan.out, plan.environment, evidence))


def _chosen(plan: Plan) -> list[Step]:
    parts = {Part.BACKEND} | ({Part.ADMIN} if plan.admin else set())
    parts |= {Part.SCREENALYTICS} if plan.bank is not None else set()
    return [step for step in STEPS if step.part in parts and not (plan.minimal and step.changes)]


def _run_step(step: Step, context: SmokeContext, earlier: Sequence[StepResult]) -> StepResult:
    result = StepResult(step.part, step.name, step.claim, State.PASSED, "", 0.0)
    for previous in earlier:
        is_prerequisite = previous.name in _FIRST and _FIRST[previous.name] in (None, step.part)
        if is_prerequisite and previous.state is State.FAILED:
            return replace(result, state=State.SKIPPED, detail=f"{previous.name} failed")
    started_at = time.monotonic()
    try:
        seen = step.run(context)
    except Exception as error:  # noqa: BLE001  any error is a failure of the step, and is reported
        detail = " ".join(str(error).split()) or type(error).__name__
        return replace(result, state=State.FAILED, detail=detail[:500], seconds=round(time.monotonic() - started_at, 2))
    return replace(result, seen=seen, seconds=round(time.monotonic() - started_at, 2))


def _evidence(plan: Plan, results: Sequence[StepResult]) -> Evidence:
    targets = {Part.BACKEND: plan.backend, Part.ADMIN: plan.admin, Part.SCREENALYTICS: f"face bank of {plan.backend}"}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    mode = "minimal" if plan.minimal else "full"
    return {
        part: PartEvidence(at, mode, version("trr-pipelines"), targets[part], steps)
        for part in Part
        if (steps := [result for result in results if result.part is part])
    }


def _journal(plan: Plan, backend: SmokeBackend) -> Journal:
    def set_flag(entry: Mapping[str, Any]) -> None:
        response = backend.toggle(entry["person"], entry["link"], entry["value"], backend.admin_app())
        expect(response, httpx.codes.OK, f"resetting facebank_seed of link {entry['link']} to {entry['value']}")

    def restore_faces(entry: Mapping[str, Any]) -> None:
        if plan.bank is None:
            raise SetupError("undoing this needs the face bank; run again with --screenalytics")
        snapshot = Snapshot(tuple(entry["ids"]), tuple(entry["seeds"]), entry["was_known"])
        restore(plan.bank, UUID(entry["person"]), snapshot)

    return Journal(plan.out / f"{plan.environment}.undo.json", {"flag": set_flag, "faces": restore_faces})
