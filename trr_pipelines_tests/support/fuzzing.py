"""Runs schemathesis from its command line on the backend's OpenAPI document, with all checks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx

SECONDS = 60.0  # for one response

# A request that matches the schema may still name an unknown object, lack a precondition or combine values wrongly.
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
    """Result of a run: cases sent, responses by status, exit code and output."""

    cases: int
    statuses: dict[int, int]
    code: int
    output: str


def fuzz(
    url: str, headers: Mapping[str, str], folder: Path, *, examples: int, paths: str, ids: Mapping[str, UUID]
) -> Fuzzed:
    """Send `examples` generated cases to each operation whose path matches `paths`; `ids` are path parameters."""
    config = folder / "schemathesis.toml"
    given = "".join(f'"path.{name}" = "{value}"\n' for name, value in ids.items())
    config.write_text((f"[parameters]\n{given}" if given else "") + CONFIG)
    document, report = folder / "openapi.json", folder / "events.ndjson"
    # schemathesis waits 10 s for the document, which a busy machine may need longer to generate.
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
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3600)
    statuses: dict[int, int] = {}
    for line in report.read_text().splitlines():
        for status in _statuses(json.loads(line)):
            statuses[status] = statuses.get(status, 0) + 1
    return Fuzzed(sum(statuses.values()), statuses, process.returncode, process.stdout + process.stderr)


def _statuses(value: object) -> list[int]:
    """The statuses of all responses nested in a value of the report."""
    if isinstance(value, list):
        return [status for inner in value for status in _statuses(inner)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("status_code"), int):
        return [value["status_code"]]
    return [status for inner in value.values() for status in _statuses(inner)]
