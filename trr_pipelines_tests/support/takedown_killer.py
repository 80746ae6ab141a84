"""A process that runs `trr` in forks of itself, and kills a fork at a chosen statement or store call.

Forking from a process that has imported everything takes a twentieth of the time of a new one, so that a test can kill
a takedown, or the bridge, at many of its calls. Run as `python -m`; it reads jobs as lines of JSON and answers each
with a line.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psycopg
from dagster import AssetMaterialization, MetadataValue, build_sensor_context

from trr_pipelines import schema_migrations  # noqa: F401  imported before the forks
from trr_pipelines.bridge import check, plan, sync  # noqa: F401
from trr_pipelines.cli import main
from trr_pipelines.definitions import defs
from trr_pipelines.defs.metadata import table
from trr_pipelines.errors import Reason, RetryableError
from trr_pipelines.local.batch_runs import local_instance
from trr_pipelines.local.dagster_home import dagster_home
from trr_pipelines.pipeline.facebank import imports  # noqa: F401
from trr_pipelines.pipeline.takedown import dagster_events, takedown  # noqa: F401
from trr_pipelines.screenalytics import factory  # noqa: F401
from trr_pipelines.settings import load_settings
from trr_pipelines.storage import s3  # noqa: F401
from trr_pipelines.storage.directory import DirectoryStore

STORE_CALLS = ("put_if_absent", "replace", "get", "head", "list", "delete", "put_record", "records")


class Calls:
    """Counts statements, commits, store calls and deleted files; at number `at` it kills this process, or fails."""

    def __init__(self, at: int, *, fails: bool) -> None:
        self.count = 0
        self._at = at
        self._fails = fails

    def wrap(self, owner: Any, name: str, *, may_fail: bool) -> None:
        original = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            if may_fail or not self._fails:
                self.count += 1
                if self.count == self._at:
                    if self._fails:
                        raise RetryableError(Reason.STORAGE_UNAVAILABLE, f"{name} failed")
                    os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        setattr(owner, name, counted)

    def install(self) -> None:
        for name in STORE_CALLS:
            self.wrap(DirectoryStore, name, may_fail=True)
        self.wrap(psycopg.Cursor, "execute", may_fail=False)
        self.wrap(psycopg.Connection, "commit", may_fail=False)
        self.wrap(os, "unlink", may_fail=False)


def run_trr(job: dict[str, Any]) -> None:
    """Run a command as `trr` does; its output goes to the job's file, with its exit code and number of calls."""
    os.environ.update(job.get("environment", {}))
    calls = Calls(job["at"], fails=job["fails"])
    if job["at"] >= 0:
        calls.install()
    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    with redirect_stdout(out), redirect_stderr(err):
        sys.argv = ["trr", *job["arguments"]]
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code
    answer = {"code": code, "calls": calls.count, "out": out.getvalue(), "err": err.getvalue()}
    Path(job["file"]).write_text(json.dumps(answer), encoding="utf-8")


def tick(job: dict[str, Any]) -> None:
    """One tick of a sensor, and the runs that it requests."""
    assert defs.resources is not None
    with local_instance(dagster_home(load_settings())) as instance:
        resources = {name: defs.resources[name] for name in ("archive",)}
        with build_sensor_context(instance=instance, definitions=defs, resources=resources) as context:
            result: Any = defs.resolve_sensor_def(job["sensor"])(context)
        for _ in result.run_requests or ():
            assert defs.resolve_job_def(job["job"]).execute_in_process(instance=instance).success
    Path(job["file"]).write_text(json.dumps({"message": getattr(result.skip_reason, "skip_message", "")}), "utf-8")


def materialise(job: dict[str, Any]) -> None:
    """Events as a run records them: pictures, links, and tables with a row of each photo."""
    with local_instance(dagster_home(load_settings())) as instance:
        for one in job["events"]:
            records = [
                {"photo": one["photo"], "original": one["original"]},
                {"photo": "other", "original": "http://h/"},
            ]
            metadata = {
                "contact_sheet": MetadataValue.md(f"1 photo\n\n![1](data:image/webp;base64,{one['photo'][:8]})"),
                "contact_sheet_full": MetadataValue.url(f"http://127.0.0.1/contact_sheets/{one['partition']}/a.webp"),
                "first_photo": MetadataValue.url(f"http://127.0.0.1/admin/photos/{one['photo']}"),
                "details": table(records),
                "photos": 1,
            }
            instance.report_runless_asset_event(
                AssetMaterialization(one["asset"], partition=one["partition"], metadata=metadata)
            )
    Path(job["file"]).write_text("{}", encoding="utf-8")


DO: dict[str, Callable[[dict[str, Any]], None]] = {"trr": run_trr, "tick": tick, "materialise": materialise}


def serve() -> None:
    """Do one job after the other, each in a fork; the answer has the signal that ended it, or what it wrote."""
    for line in sys.stdin:
        job = json.loads(line)
        with tempfile.NamedTemporaryFile() as file:
            job["file"] = file.name
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    DO[job["do"]](job)
                    code = 0
                except Exception:  # noqa: BLE001  shown in the output of the test
                    traceback.print_exc()
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            _, status = os.waitpid(pid, 0)
            text = Path(file.name).read_text(encoding="utf-8")
        answer = json.loads(text or "{}")
        print(json.dumps({"ended": os.waitstatus_to_exitcode(status), **answer}), flush=True)


if __name__ == "__main__":
    serve()
