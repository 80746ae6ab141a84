"""Logs of child processes stay bounded while the processes write to them."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Timer

import pytest

from trr_pipelines.local import log_files
from trr_pipelines.local.log_files import bound_log
from trr_pipelines.local.processes import Child
from trr_pipelines.local.stopping import Stop, Stopped
from trr_pipelines.local.supervision import Supervisor


def test_a_process_that_writes_without_end_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_BYTES", 50_000)
    (tmp_path / "writer.py").write_text(
        "import time\n"
        "for number in range(10**9):\n    print(f'line {number:<500}', flush=True)\n    time.sleep(0.001)\n"
    )
    writer = Child("writer", "writer", [], tmp_path / "part.log", environment={"PYTHONPATH": str(tmp_path)})
    writer.start()
    try:
        deadline = time.monotonic() + 20
        while len(list(tmp_path.glob("part.log.*"))) < log_files.KEPT:
            assert time.monotonic() < deadline
            bound_log(writer.log)
            time.sleep(0.05)
        assert writer.log.stat().st_size < 200_000
    finally:
        writer.stop()
    parts = sorted(tmp_path.glob("part.log.*"))
    assert [part.name for part in parts] == ["part.log.1", "part.log.2", "part.log.3"]
    assert all(part.stat().st_size < 200_000 and part.stat().st_mode & 0o777 == 0o600 for part in parts)
    assert int(parts[0].read_text().split()[1]) > int(parts[1].read_text().split()[1])


def test_the_supervisor_bounds_the_logs_of_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_BYTES", 1_000)
    log = tmp_path / "part.log"
    log.write_text("x" * 2_000)
    stop = Stop()
    Timer(1.2, stop.request).start()
    with pytest.raises(Stopped):
        Supervisor([Child("part", "none", [], log)], lambda _: None).watch(stop)
    assert (log.read_text(), len((tmp_path / "part.log.1").read_text())) == ("", 2_000)
