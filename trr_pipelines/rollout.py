"""State of a rollout, derived from the smoke evidence.

Order: backend, admin app, Screenalytics; all of staging before production. Staging needs the full smoke, production
the minimal one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trr_pipelines.smoke.evidence import Part, State, read_evidence

ENVIRONMENTS = ("staging", "production")


@dataclass(frozen=True)
class Stage:
    """One part in one environment. `state`: passed, failed, or open (not run yet); `why` is one line."""

    environment: str
    part: str
    state: str
    why: str
    at: str


@dataclass(frozen=True)
class Rollout:
    """All six stages in order; `next` is the first unfinished one with its reason, empty when all have passed."""

    stages: Sequence[Stage]
    out_of_order: Sequence[str]
    next: str

    @property
    def is_closed(self) -> bool:
        return not self.next and not self.out_of_order

    def report(self) -> dict[str, Any]:
        """The rollout in the types of JSON."""
        return {**asdict(self), "closed": self.is_closed}


def rollout_status(folder: Path) -> Rollout:
    """The state of the rollout by the evidence in `folder`. Raises SetupError for a damaged file."""
    stages = [_stage(folder, environment, part) for environment in ENVIRONMENTS for part in Part]
    unfinished = [stage for stage in stages if stage.state != "passed"]
    out_of_order = [
        f"{later.part} of {later.environment} passed before {earlier.part} of {earlier.environment}"
        for index, later in enumerate(stages)
        if later.state == "passed"
        for earlier in stages[:index]
        if earlier.state != "passed"
    ]
    first = f"{unfinished[0].part} of {unfinished[0].environment}: {unfinished[0].why}" if unfinished else ""
    return Rollout(stages, out_of_order, first)


def _stage(folder: Path, environment: str, part: Part) -> Stage:
    evidence = read_evidence(folder, environment).get(part)
    if evidence is None:
        return Stage(environment, part.value, "open", "no smoke run yet", "")
    broken = [step for step in evidence.steps if step.state is not State.PASSED]
    if broken or not evidence.steps:
        why = f"{broken[0].name}: {broken[0].detail or broken[0].state}" if broken else "the smoke ran no steps"
        return Stage(environment, part.value, "failed", why, evidence.at)
    if environment == "staging" and evidence.mode != "full":
        return Stage(environment, part.value, "open", "only the minimal smoke was run", evidence.at)
    return Stage(environment, part.value, "passed", "", evidence.at)
