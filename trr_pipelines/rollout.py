"""Whether a rollout may be closed: read from the evidence of smokes, in the order in which the parts are rolled out.

Backend, then admin app, then Screenalytics; all of staging before anything of production. Staging needs the full
smoke, production the minimal one.
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
    """One part in one environment. `state`: passed, failed, or open (never tried); `why` is one line."""

    environment: str
    part: str
    state: str
    why: str
    at: str


@dataclass(frozen=True)
class Rollout:
    """All six stages in order; `next` names what to do first, and is empty when all is closed."""

    stages: Sequence[Stage]
    out_of_order: Sequence[str]
    next: str

    @property
    def is_closed(self) -> bool:
        return not self.next and not self.out_of_order

    def report(self) -> dict[str, Any]:
        """The rollout in JSON's types."""
        return {**asdict(self), "closed": self.is_closed}


def rollout_status(folder: Path) -> Rollout:
    """Where the rollout stands by the evidence in `folder`. Raises SetupError for a file that is damaged."""
    stages = [_stage(folder, environment, part) for environment in ENVIRONMENTS for part in Part]
    open_ones = [stage for stage in stages if stage.state != "passed"]
    out_of_order = [
        f"{later.part} of {later.environment} passed before {earlier.part} of {earlier.environment}"
        for index, later in enumerate(stages)
        if later.state == "passed"
        for earlier in stages[:index]
        if earlier.state != "passed"
    ]
    first = f"{open_ones[0].part} of {open_ones[0].environment}: {open_ones[0].why}" if open_ones else ""
    return Rollout(stages, out_of_order, first)


def _stage(folder: Path, environment: str, part: Part) -> Stage:
    found = read_evidence(folder, environment).get(part)
    if found is None:
        return Stage(environment, part.value, "open", "no smoke was run", "")
    broken = [step for step in found.steps if step.state is not State.PASSED]
    if broken or not found.steps:
        why = f"{broken[0].name}: {broken[0].detail or broken[0].state}" if broken else "no step was run"
        return Stage(environment, part.value, "failed", why, found.at)
    if environment == "staging" and found.mode != "full":
        return Stage(environment, part.value, "open", "only the minimal smoke was run", found.at)
    return Stage(environment, part.value, "passed", "", found.at)
