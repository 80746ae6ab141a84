"""What a smoke found, kept as JSON for `trr rollout status` and as Markdown for people: one pair per environment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from trr_pipelines.errors import InputError, SetupError


class Part(StrEnum):
    """The three deployments, in the order in which they are rolled out."""

    BACKEND = "backend"
    ADMIN = "admin"
    SCREENALYTICS = "screenalytics"


class State(StrEnum):
    """How a step ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class StepResult:
    """A step: what it claims, how it ended, one line why, and what was seen."""

    part: Part
    name: str
    claim: str
    state: State
    detail: str
    seconds: float
    seen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PartEvidence:
    """The steps of one part in one run. `at` is UTC in ISO 8601, `mode` full or minimal."""

    at: str
    mode: str
    version: str
    target: str
    steps: Sequence[StepResult]

    @property
    def passed(self) -> bool:
        """Whether no step failed or was left out, and there was one at all."""
        return bool(self.steps) and all(step.state is State.PASSED for step in self.steps)


Evidence = dict[Part, PartEvidence]


def write_evidence(folder: Path, environment: str, found: Evidence) -> tuple[Path, Path]:
    """Write the parts that were run beside those that stand; returns the paths of JSON and Markdown."""
    everything = read_evidence(folder, environment) | found
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = folder / f"{environment}.json", folder / f"{environment}.md"
    parts = {part.value: {**asdict(one), "passed": one.passed} for part, one in everything.items()}
    report = {"environment": environment, "parts": parts}
    as_json.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8")
    as_markdown.write_text(_markdown(environment, everything), encoding="utf-8")
    return as_json, as_markdown


def read_evidence(folder: Path, environment: str) -> Evidence:
    """What stands of an environment; nothing where no smoke was run. Raises SetupError for a file that is damaged."""
    if not environment.replace("-", "").isalnum() or len(environment) > 40:
        raise InputError(f"an environment is named by letters, digits and -, not {environment[:60]!r}")
    path = folder / f"{environment}.json"
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
        return {Part(name): _part(values) for name, values in parts.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SetupError(f"{path} is no evidence of a smoke; remove it and run the smoke again") from None


def _part(values: dict[str, Any]) -> PartEvidence:
    steps = [
        StepResult(**{**step, "part": Part(step["part"]), "state": State(step["state"])}) for step in values["steps"]
    ]
    return PartEvidence(values["at"], values["mode"], values["version"], values["target"], steps)


_MARKS = {State.PASSED: "passed", State.FAILED: "**failed**", State.SKIPPED: "left out"}


def _markdown(environment: str, evidence: Evidence) -> str:
    lines = [f"# Smoke of {environment}", ""]
    for part in Part:
        if part not in evidence:
            continue
        one = evidence[part]
        verdict = "passed" if one.passed else "not passed"
        lines += [
            f"## {part.value}: {verdict}",
            "",
            f"{one.target}, {one.at}, {one.mode}, version {one.version}",
            "",
            "| step | claim | result | seconds |",
            "|---|---|---|---:|",
            *(
                f"| `{step.name}` | {_cell(step.claim)} | {_MARKS[step.state]}"
                f"{': ' + _cell(step.detail) if step.detail else ''} | {step.seconds:.1f} |"
                for step in one.steps
            ),
            "",
        ]
        for step in one.steps:
            if step.seen:
                lines += [f"`{step.name}` saw:", "", "```json", json.dumps(step.seen, indent=2, default=str), "```", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
