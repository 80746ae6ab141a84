"""The definitions: loading them touches nothing, and a first-time reader of the UI finds everything explained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dagster import Definitions

LOAD = """
import sys, warnings
warnings.simplefilter("ignore")
import dagster, dagster_aws.s3, dagster_postgres, boto3, psycopg_pool, alembic, PIL.Image, pandas, httpx  # theirs
touched = []
def listen(event, arguments):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir", "os.remove", "os.rename"):
        touched.append((event, str(arguments)))
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        touched.append((event, str(arguments)))
sys.dont_write_bytecode = True
sys.addaudithook(listen)
from trr_pipelines.definitions import defs
names = sorted(job.name for job in defs.resolve_all_job_defs())
print(*names)
assert touched == [], touched
"""


def test_definitions_load_without_touching_anything(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "TRR_HOME": "/proc/no/such/home",
        "TRR_DATABASE_URL": "postgresql://none@127.0.0.1:1/none",
        "TRR_MEDIA_STORE": "file:/proc/no/such/store",
    }
    ended = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert {"import_batch", "rerender"} <= set(ended.stdout.split())
    assert list(tmp_path.iterdir()) == []


def test_everything_in_the_ui_is_explained(defs: Definitions) -> None:
    repository = defs.get_repository_def()
    graph = defs.resolve_asset_graph()
    explained = {
        **{f"asset {key.to_user_string()}": graph.get(key).description for key in graph.get_all_asset_keys()},
        **{f"check {key.name}": graph.get(key).description for key in graph.asset_check_keys},
        **{f"job {job.name}": job.description for job in repository.get_all_jobs() if not job.name.startswith("__")},
        **{f"sensor {sensor.name}": sensor.description for sensor in repository.sensor_defs},
        **{f"schedule {schedule.name}": schedule.description for schedule in repository.schedule_defs},
        **{f"resource {name}": one.description for name, one in repository.get_top_level_resources().items()},
    }
    assert [name for name, description in explained.items() if len(description or "") < 30] == []


def test_every_asset_has_an_owner_a_group_and_kinds(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners, key
        assert node.kinds, key
        assert node.group_name not in ("", "default"), key
