"""The test's side of `support.takedown_killer`: asks it for commands, killed at a chosen call or not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


class Killer:
    """The process of `support.takedown_killer`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "trr_pipelines_tests.support.takedown_killer"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, what: str, **values: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **values}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the killer ended"
        return json.loads(line)

    def trr(self, *arguments: str, at: int = -1, fails: bool = False, **values: Any) -> Any:
        return self.do("trr", arguments=arguments, at=at, fails=fails, **values)

    def tick(self, sensor: str, job: str = "") -> None:
        assert self.do("tick", sensor=sensor, job=job)["ended"] == 0

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
