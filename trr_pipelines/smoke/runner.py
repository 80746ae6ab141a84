"""Running a smoke: parties opened, steps tried one by one, changes put back, evidence written."""

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

# Without these nothing else of their part, or of anything, can be told.
_FIRST = {"backend_is_ready": None, "admin_is_ready": Part.ADMIN, "face_bank_is_whole": Part.SCREENALYTICS}

Say = Callable[[StepResult], None]


@dataclass(frozen=True)
class Plan:
    """What to try where. `admin` is empty and `bank` None where they are left out; `minimal` changes nothing."""

    environment: str
    backend: str
    admin: str
    bank: FaceBank | None
    person: str
    minimal: bool
    out: Path


@dataclass(frozen=True)
class Smoke:
    """How a smoke ended; `left` says in one line each what could not be put back."""

    evidence: Evidence
    left: Sequence[str]
    files: tuple[Path, Path]

    @property
    def passed(self) -> bool:
        """Whether every part that was tried passed, and everything was put back."""
        return not self.left and all(part.passed for part in self.evidence.values())


def run_smoke(settings: Settings, plan: Plan, say: Say) -> Smoke:
    """Try every step that the plan asks for; a step that fails stops only those that build on it.

    What was changed is put back at the end, also when this is interrupted; what a killed smoke left is put back first.
    Raises SetupError where that fails, and InputError for an environment that has no name.
    """
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=plan.backend, timeout=TIMEOUT, trust_env=False))
        backend = SmokeBackend(http, settings)
        admin = None
        if plan.admin:
            pages = httpx.Client(base_url=plan.admin, timeout=TIMEOUT, trust_env=False)
            admin = AdminApp(stack.enter_context(pages), settings)
        journal = _journal(plan, backend)
        left = journal.go_back()
        if left:
            raise SetupError(f"what an earlier smoke changed cannot be put back: {'; '.join(left)}")

        @cache
        def subject() -> Subject:
            return find_subject(backend, plan.person, may_have_seeds=plan.minimal)

        world = SmokeContext(
            settings.model_copy(update={"api_url": plan.backend}), backend, admin, plan.bank, journal, subject
        )
        results: list[StepResult] = []
        try:
            for step in _chosen(plan):
                results.append(_try(step, world, results))
                say(results[-1])
        finally:
            left = journal.go_back()
    found = _evidence(plan, results)
    return Smoke(found, left, write_evidence(plan.out, plan.environment, found))


def _chosen(plan: Plan) -> list[Step]:
    parts = {Part.BACKEND} | ({Part.ADMIN} if plan.admin else set())
    parts |= {Part.SCREENALYTICS} if plan.bank is not None else set()
    return [step for step in STEPS if step.part in parts and not (plan.minimal and step.changes)]


def _try(step: Step, world: SmokeContext, earlier: Sequence[StepResult]) -> StepResult:
    result = StepResult(step.part, step.name, step.claim, State.PASSED, "", 0.0)
    for one in earlier:
        if one.state is State.FAILED and one.name in _FIRST and _FIRST[one.name] in (None, step.part):
            return replace(result, state=State.SKIPPED, detail=f"{one.name} failed")
    began = time.monotonic()
    try:
        seen = step.run(world)
    except Exception as error:  # noqa: BLE001  whatever goes wrong is what a smoke is there to tell
        detail = " ".join(str(error).split()) or type(error).__name__
        return replace(result, state=State.FAILED, detail=detail[:500], seconds=round(time.monotonic() - began, 2))
    return replace(result, seen=seen, seconds=round(time.monotonic() - began, 2))


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
        answer = backend.toggle(entry["person"], entry["link"], entry["value"], backend.admin_app())
        expect(answer, httpx.codes.OK, f"flagging {entry['link']} as {entry['value']} again")

    def restore_faces(entry: Mapping[str, Any]) -> None:
        if plan.bank is None:
            raise SetupError("the face bank has to be given for that: --screenalytics")
        snapshot = Snapshot(tuple(entry["ids"]), tuple(entry["seeds"]), entry["was_known"])
        restore(plan.bank, UUID(entry["person"]), snapshot)

    return Journal(plan.out / f"{plan.environment}.undo.json", {"flag": set_flag, "faces": restore_faces})
