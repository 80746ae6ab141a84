"""Loading the definitions: it touches nothing, whatever the surroundings are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
        "TRR_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "TRR_MEDIA_STORE": "file:/proc/no/such/store",
    }
    ended = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert {"import_batch", "rerender"} <= set(ended.stdout.split())
    assert list(tmp_path.iterdir()) == []
