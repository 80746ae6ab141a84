"""Smoke evidence: one JSON file (read by `trr rollout status`) and one Markdown file per environment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from trr_pipelines.errors import InputError, SetupError


class Part(StrEnum):
    """The three deployments, in rollout order."""

    BACKEND = "backend"
    ADMIN = "admin"
    SCREENALYTICS = "screenalytics"


class State(StrEnum):
    """Result of a step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class StepResult:
    """Result of a step: its claim, state, one line of detail, duration and observed values."""

    part: Part
    name: str
    claim: str
    state: State
    detail: str
    seconds: float
    seen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PartEvidence:
    """Results of one part in one smoke. `at` is UTC in ISO 8601, `mode` is full or minimal."""

    at: str
    mode: str
    version: str
    target: str
    steps: Sequence[StepResult]

    @property
    def passed(self) -> bool:
        """Whether there was at least one step, and all passed."""
        return bool(self.steps) and all(step.state is State.PASSED for step in self.steps)


Evidence = dict[Part, PartEvidence]


def write_evidence(folder: Path, environment: str, evidence: Evidence) -> tuple[Path, Path]:
    """Write the parts of this run, keep earlier evidence of other parts; returns the JSON and Markdown paths."""
    everything = read_evidence(folder, environment) | evidence
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = folder / f"{environment}.json", folder / f"{environment}.md"
    parts = {part.value: {**asdict(result), "passed": result.passed} for part, result in everything.items()}
    report = {"environment": environment, "parts": parts}
    as_json.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8")
    as_markdown.write_text(_markdown(environment, everything), encoding="utf-8")
    return as_json, as_markdown


def read_evidence(folder: Path, environment: str) -> Evidence:
    """The evidence of an environment, empty before its first smoke.

    Raises InputError for an invalid environment name, SetupError for a damaged file.
    """
    if not environment.replace("-", "").isalnum() or len(environment) > 40:
        raise InputError(f"an environment name has 1 to 40 letters, digits and hyphens, not {environment[:60]!r}")
    path = folder / f"{environment}.json"
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
        return {Part(name): _part(values) for name, values in parts.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SetupError(f"{path} is not smoke evidence; remove it and run the smoke again") from None


def _part(values: dict[str, Any]) -> PartEvidence:
    steps = [
        StepResult(**{**step, "part": Part(step["part"]), "state": State(step["state"])}) for step in values["steps"]
    ]
    return PartEvidence(values["at"], values["mode"], values["version"], values["target"], steps)


_MARKS = {State.PASSED: "passed", State.FAILED: "**failed**", State.SKIPPED: "skipped"}


def _markdown(environment: str, evidence: Evidence) -> str:
    lines = [f"# Smoke of {environment}", ""]
    for part in Part:
        if part not in evidence:
            continue
        result = evidence[part]
        verdict = "passed" if result.passed else "not passed"
        lines += [
            f"## {part.value}: {verdict}",
            "",
            f"{result.target}, {result.at}, {result.mode}, version {result.version}",
            "",
            "| step | claim | result | seconds |",
            "|---|---|---|---:|",
            *(
                f"| `{step.name}` | {_cell(step.claim)} | {_MARKS[step.state]}"
                f"{': ' + _cell(step.detail) if step.detail else ''} | {step.seconds:.1f} |"
                for step in result.steps
            ),
            "",
        ]
        for step in result.steps:
            if step.seen:
                lines += [
                    f"`{step.name}` observed:",
                    "",
                    "```json",
                    json.dumps(step.seen, indent=2, default=str),
                    "```",
                    "",
                ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
