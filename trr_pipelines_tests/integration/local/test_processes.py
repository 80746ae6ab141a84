"""Processes of the local stack: they end with their parent, run once per home, and are named when they fail."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import psutil
import pytest

from trr_pipelines.errors import SetupError
from trr_pipelines.local.dagster_home import PROJECT, dagster_home, socket_folder, write_workspace
from trr_pipelines.local.processes import Child, accepts, answers, last_line, require_free_port
from trr_pipelines.local.stack import only_one
from trr_pipelines.local.stopping import Stop, Stopped
from trr_pipelines.local.supervision import Supervisor
from trr_pipelines.settings import Settings
from trr_pipelines_tests.support.ports import free_port

PARENT = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # otherwise inherited from a test runner that ignores it
from trr_pipelines.local.processes import start_attached
child = start_attached("http.server", ["--bind", "127.0.0.1", sys.argv[1]], {}, None)
print(child.pid, flush=True)
time.sleep(600)
"""


def wait_for_end(process: psutil.Process, seconds: float = 10) -> None:
    _, alive = psutil.wait_procs([process], timeout=seconds)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_process_ends_with_its_parent_whatever_the_signal(sign: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(free_port())], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(sign)
    wait_for_end(child)


def child(folder: Path, module: str, *arguments: str) -> Child:
    return Child("part", module, list(arguments), folder / "part.log")


def test_a_ready_process_can_be_stopped(tmp_path: Path) -> None:
    port = free_port()
    part = Child(
        "part",
        "http.server",
        ["--bind", "127.0.0.1", str(port)],
        tmp_path / "part.log",
        answers(f"http://127.0.0.1:{port}/"),
        port=port,
    )
    part.start()
    part.wait_until_ready(Stop())
    assert not part.has_ended()
    part.stop()
    assert part.has_ended()
    assert not part.is_ready()


def test_the_answer_of_another_process_on_the_port_does_not_count(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    first = Child("first", "http.server", ["--bind", "127.0.0.1", str(port)], tmp_path / "1", answers(url), port=port)
    first.start()
    first.wait_until_ready(Stop())
    second = Child("second", "http.server", ["--bind", "127.0.0.1", str(port)], tmp_path / "2", answers(url), port=port)
    second.start()
    with pytest.raises(SetupError, match=r"second ended while starting: .*in use"):
        second.wait_until_ready(Stop())
    second.stop()
    first.stop()


def test_a_stop_ends_the_wait_for_a_process(tmp_path: Path) -> None:
    stop = Stop()
    part = Child("part", "http.server", ["--bind", "127.0.0.1", str(free_port())], tmp_path / "log", lambda: False)
    part.start()
    stop.request()
    with pytest.raises(Stopped):
        part.wait_until_ready(stop)
    part.stop()


def test_a_process_that_ends_while_starting_is_reported_with_the_last_line_of_its_log(tmp_path: Path) -> None:
    part = child(tmp_path, "no_such_module_here")
    part.is_ready = lambda: False
    part.start()
    with pytest.raises(SetupError, match=r"part ended while starting: .*No module named no_such_module_here"):
        part.wait_until_ready(Stop())
    part.stop()


def test_a_process_that_keeps_ending_is_restarted_after_pauses_and_does_not_end_the_others(tmp_path: Path) -> None:
    part, other = child(tmp_path, "no_such_module_here"), child(tmp_path, "http.server", "--bind", "127.0.0.1", "0")
    other.log = tmp_path / "other.log"
    part.start()
    other.start()
    messages: list[str] = []
    supervisor, stop = Supervisor([part, other], messages.append), Stop()
    Timer(12, stop.request).start()
    with pytest.raises(Stopped):
        supervisor.watch(stop)
    assert messages[:3] == ["part ended; starting it again"] * 3
    assert messages[3].startswith("part ended; starting it again in 2 s: ")
    assert messages[3].endswith("No module named no_such_module_here")
    assert messages[4].startswith("part ended; starting it again in 4 s: ")
    assert [(one.name, one.ends) for one in supervisor.failing()] == [("part", len(messages))]
    assert not other.has_ended()
    part.stop()
    other.stop()


def test_a_port_in_use_is_an_error_naming_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SetupError, match=rf"port {port} for the API is in use .*; give another in TRR_API_PORT"):
            require_free_port(port, "API", "TRR_API_PORT")
    require_free_port(port, "API", "TRR_API_PORT")


def test_a_second_stack_on_the_same_home_is_refused_naming_the_first_process(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with only_one(home, "up"):
        with (
            pytest.raises(SetupError, match=rf"trr up already runs for {home} \(process {os.getpid()}\)"),
            only_one(home, "up"),
        ):
            pass
        with only_one(home, "demo"), only_one(tmp_path / "another", "up"):
            pass
    with only_one(home, "up"):
        pass


def test_a_killed_stack_does_not_block_the_next_one(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from trr_pipelines.local.stack import only_one\n"
        "with only_one(Path(sys.argv[1]), 'up'): print('in', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "in\n"
        with pytest.raises(SetupError, match=f"process {first.pid}"), only_one(tmp_path, "up"):
            pass
        first.kill()
    with only_one(tmp_path, "up"):
        pass


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\ntwo\n\n", "two"),
        ("  spaced  \n", "spaced"),
        ("x" * 500, "x" * 300),
        ("\n\n", "see {log}"),
        (None, "see {log}"),
    ],
)
def test_the_last_line_of_a_log_is_the_last_with_text(tmp_path: Path, text: str | None, line: str) -> None:
    log = tmp_path / "a.log"
    if text is not None:
        log.write_text(text, encoding="utf-8")
    assert last_line(log) == line.format(log=log)


def test_dagsters_home_always_has_the_projects_configuration(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    home = dagster_home(settings)
    (home / "dagster.yaml").write_text("edited: true", encoding="utf-8")
    assert dagster_home(settings) == home
    assert (home / "dagster.yaml").read_text(encoding="utf-8") == (PROJECT / "dagster.yaml").read_text(encoding="utf-8")
    assert 'socket: "/a \\"b"' in write_workspace(settings, Path('/a "b')).read_text(encoding="utf-8")


@pytest.mark.parametrize("depth", [1, 60])
def test_sockets_have_a_private_folder_also_below_a_long_path(tmp_path: Path, depth: int) -> None:
    settings = Settings(home=tmp_path.joinpath(*["folder"] * depth))
    with socket_folder(settings) as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "server.sock"))
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    with socket_folder(settings) as folder:
        assert list(folder.iterdir()) == []


def test_a_server_that_is_not_there_does_not_answer(tmp_path: Path) -> None:
    began = time.monotonic()
    assert not accepts(tmp_path / "socket")()
    assert not answers(f"http://127.0.0.1:{free_port()}/")()
    assert time.monotonic() - began < 4
