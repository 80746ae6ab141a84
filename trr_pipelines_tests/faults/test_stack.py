"""`trr up` killed, closed and interrupted in the middle of runs: the work goes on, and an end leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import write_files
from trr_pipelines_tests.support.stacks import RunningStack, Terminal, new_stack, wait_for

PHOTOS = 40
# A run without a process ends within a minute, whatever was killed with it.
ENDED_SECONDS = 60
IN_PROGRESS = ("STARTED", "STARTING", "CANCELING")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{number:03}.jpg": pictures.jpeg(1500, 1000, seed=number) for number in range(PHOTOS)}
    return write_files(tmp_path_factory.mktemp("photos"), files)


@pytest.fixture
def stack(server_home: Path) -> Iterator[RunningStack]:
    server_home.mkdir(exist_ok=True)
    stack = new_stack(server_home / ".trr")
    yield stack
    for process in psutil.process_iter():  # of a failed test
        try:
            if process.environ().get("TRR_HOME") == str(stack.home):
                process.kill()
        except psutil.Error:
            continue


def has_open_work(stack: RunningStack) -> bool:
    metrics = httpx.get(f"{stack.api}/metrics", timeout=30).text
    open_photos = re.findall(r'^trr_open_photos{kind="\w+",state="(\w+)"} (\S+)', metrics, re.MULTILINE)
    return any(float(count) for state, count in open_photos if state != "failed")


def wait_for_running_work(stack: RunningStack) -> list[str]:
    """Wait until a run is in the middle of its work; returns the ids of the runs in progress."""
    wait_for(lambda: stack.runs("STARTED"), "a run to start")
    time.sleep(1)
    return [run["runId"] for run in stack.runs(*IN_PROGRESS)]


def code_server(stack: RunningStack) -> psutil.Process:
    for process in psutil.process_iter():
        try:
            if "trr_pipelines.local.code_server" in process.cmdline() and process.environ()["TRR_HOME"] == str(
                stack.home
            ):
                return process
        except (psutil.Error, KeyError):
            continue
    raise AssertionError("no code server")


def test_killed_runs_end_within_a_minute_and_every_kind_of_stop_leaves_nothing(
    stack: RunningStack, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "secrets.py").write_text("open('imported', 'w')\nraise SystemExit('imported')\n")
    (tmp_path / "dagster.py").write_text("open('imported', 'w')\nraise SystemExit('imported')\n")
    terminal = Terminal(stack, tmp_path)
    terminal.wait_until_up()
    stack.trr("import", str(photos), "--source", "deadline", "--show", "The Valley")

    # The code server and the processes of its runs, together.
    killed = wait_for_running_work(stack)
    os.killpg(code_server(stack).pid, signal.SIGKILL)
    began = time.monotonic()
    wait_for(
        lambda: {run["runId"] for run in stack.runs("FAILURE")} >= set(killed), "the killed runs to end", ENDED_SECONDS
    )
    assert time.monotonic() - began < ENDED_SECONDS

    # Everything but the database, in the middle of a later run.
    killed = wait_for_running_work(stack)
    terminal.process.kill()
    terminal.process.wait()
    terminal = Terminal(stack, tmp_path)
    terminal.wait_until_up()
    wait_for(lambda: not {run["runId"] for run in stack.runs(*IN_PROGRESS)} & set(killed), "them to end", ENDED_SECONDS)

    # The window closed while it starts no work is the end of everything, the database too.
    wait_for(lambda: not has_open_work(stack), "all photos")
    status = json.loads(stack.trr("status", "--json"))
    assert [status["generations"][kind]["complete"] for kind in ("base", "crop")] == [PHOTOS, PHOTOS]
    assert "0 orphan objects, 0 rows without objects" in stack.trr("reconcile")
    terminal.close()
    assert terminal.wait_for_end() == 0
    assert stack.processes() == []

    # Ctrl-C pressed three times by an impatient user.
    terminal = Terminal(stack, tmp_path)
    terminal.wait_until_up()
    for _ in range(3):
        terminal.press_ctrl_c()
        time.sleep(0.4)
    assert terminal.wait_for_end() == 0
    assert terminal.output.rstrip().endswith("stopped")
    assert "Traceback" not in terminal.output
    assert stack.processes() == []
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("seconds", [0.1, 0.5, 2.5])
def test_ctrl_c_while_it_starts_shows_no_traceback_and_leaves_nothing(
    stack: RunningStack, tmp_path: Path, seconds: float
) -> None:
    terminal = Terminal(stack, tmp_path)
    time.sleep(seconds)
    terminal.press_ctrl_c()
    code = terminal.wait_for_end()
    assert (code in (0, 130, -signal.SIGINT), "Traceback" in terminal.output) == (True, False), terminal.output
    assert stack.processes() == []
