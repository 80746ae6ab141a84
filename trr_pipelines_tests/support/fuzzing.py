"""Schemathesis over the backend's OpenAPI document: all of its checks, run as its own command line runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

SECONDS = 60.0  # for one answer

# What the schema allows may still name something that is not there, lack a precondition, or make no sense together.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "304", "403", "404", "409", "412", "422", "428"]

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "412", "413", "415", "422", "428"]

[checks.missing_required_header]
expected-statuses = ["401", "403", "422"]
"""


@dataclass(frozen=True)
class Fuzzed:
    """How a run ended: cases that were sent, answers by status, and what was said of failures."""

    cases: int
    statuses: dict[int, int]
    code: int
    output: str


def fuzz(
    url: str, headers: Mapping[str, str], folder: Path, *, examples: int, paths: str, ids: Mapping[str, UUID]
) -> Fuzzed:
    """Send `examples` generated cases to each operation whose path matches `paths`; `ids` stand for path parameters."""
    config = folder / "schemathesis.toml"
    given = "".join(f'"path.{name}" = "{value}"\n' for name, value in ids.items())
    config.write_text((f"[parameters]\n{given}" if given else "") + CONFIG)
    document, report = folder / "openapi.json", folder / "events.ndjson"
    # Its own patience for the document is 10 s, which a busy machine needs to put it together.
    document.write_bytes(httpx.get(f"{url}/openapi.json", timeout=SECONDS, trust_env=False).content)
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run", str(document),
        "--url", url, "--request-timeout", str(SECONDS),
        "--checks", "all", "--max-examples", str(examples), "--include-path-regex", paths,
        "--continue-on-failure", "--no-color", "--seed", "1",
        "--suppress-health-check", "all", "--report-ndjson-path", str(report), "--phases", "examples,coverage,fuzzing",
    ]  # fmt: skip
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3600)
    statuses: dict[int, int] = {}
    for line in report.read_text().splitlines():
        for status in _statuses(json.loads(line)):
            statuses[status] = statuses.get(status, 0) + 1
    return Fuzzed(sum(statuses.values()), statuses, ended.returncode, ended.stdout + ended.stderr)


def _statuses(value: object) -> list[int]:
    """The statuses of all answers below a value of the report."""
    if isinstance(value, list):
        return [status for inner in value for status in _statuses(inner)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("status_code"), int):
        return [value["status_code"]]
    return [status for inner in value.values() for status in _statuses(inner)]
